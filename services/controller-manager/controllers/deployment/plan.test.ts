import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Deployment, ReplicaSet } from '#lib/kinds/types/apps-v1.ts';
import { isScalingEvent, planCleanUp, planRecreate, planRollingUpdate, planScale, type Rollout, type Scale } from './plan.ts';
import { annotationsOfNew, newReplicaSetOf, replicaSetFor, rollingLimits } from './replica-sets.ts';
import { rolloutStatus, timeToDeadlineMs } from './status.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const template = (image: string): Deployment['spec']['template'] => ({ metadata: { name: '', labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image }] } });

function deployment(replicas: number, { maxSurge = '25%', maxUnavailable = '25%', image = 'nginx:2', ...extra }: { maxSurge?: number | string; maxUnavailable?: number | string; image?: string } & Partial<Deployment['spec']> = {}): Deployment {
  return {
    metadata: { name: 'web', namespace: 'default', uid: 'd', generation: 1, annotations: { note: 'x', 'kubectl.kubernetes.io/last-applied-configuration': '{}' } },
    spec: { replicas, selector: { matchLabels: { app: 'web' } }, template: template(image), strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } }, progressDeadlineSeconds: 600, revisionHistoryLimit: 10, ...extra },
  };
}
interface Shape { available?: number; image?: string; desired?: number; max?: number; revision?: number; created?: string; status?: number }
function replicaSet(name: string, replicas: number, { available = replicas, image = 'nginx:1', desired = 10, max = 13, revision = 1, created = '2026-01-01T10:00:00Z', status = replicas }: Shape = {}): ReplicaSet {
  return {
    metadata: {
      name, namespace: 'default', uid: name, creationTimestamp: created, generation: 1,
      annotations: { 'deployment.kubernetes.io/revision': String(revision), 'deployment.kubernetes.io/desired-replicas': String(desired), 'deployment.kubernetes.io/max-replicas': String(max) },
    },
    spec: { replicas, selector: { matchLabels: { app: 'web' } }, template: { ...template(image), metadata: { name: '', labels: { app: 'web', 'pod-template-hash': name } } } },
    status: { replicas: status, availableReplicas: available, readyReplicas: available, observedGeneration: 1 },
  };
}
const shown = (scales: readonly Scale[]): Record<string, number> => Object.fromEntries(scales.map(({ replicaSet: { metadata }, replicas }) => [metadata.name, replicas]));
const rollout = (owner: Deployment, newReplicaSet: ReplicaSet | undefined, ...oldReplicaSets: ReplicaSet[]): Rollout => ({ deployment: owner, newReplicaSet, oldReplicaSets });

test('maxSurge rounds up, maxUnavailable down, and both nothing means one unavailable', () => {
  assert.deepEqual(rollingLimits(deployment(10)), { maxSurge: 3, maxUnavailable: 2 });
  assert.deepEqual(rollingLimits(deployment(3, { maxSurge: 0, maxUnavailable: '10%' })), { maxSurge: 0, maxUnavailable: 1 });
  assert.deepEqual(rollingLimits(deployment(2, { maxUnavailable: 5 })), { maxSurge: 1, maxUnavailable: 2 });
});

test('a rolling update first goes up as far as surge allows', () => {
  assert.deepEqual(shown(planRollingUpdate(rollout(deployment(10), replicaSet('new', 0, { image: 'nginx:2' }), replicaSet('old', 10)))), { new: 3 });
});

test('then it goes down as far as enough pods stay available', () => {
  // 13 pods in all, 8 must stay available, 3 new ones are not yet: 2 old ones may go.
  assert.deepEqual(shown(planRollingUpdate(rollout(deployment(10), replicaSet('new', 3, { available: 0, image: 'nginx:2' }), replicaSet('old', 10)))), { old: 8 });
});

test('unhealthy old pods go first, whatever their ReplicaSet', () => {
  const oldest = replicaSet('oldest', 5, { available: 5 });
  const broken = replicaSet('broken', 3, { available: 0, created: '2026-01-01T11:00:00Z' });
  assert.deepEqual(shown(planRollingUpdate(rollout(deployment(8, { maxSurge: 0, maxUnavailable: 3 }), replicaSet('new', 0, { image: 'nginx:2', available: 0 }), oldest, broken))), { broken: 0 });
});

test('nothing moves while a new ReplicaSet has no available pods and none may be missing', () => {
  assert.deepEqual(planRollingUpdate(rollout(deployment(3, { maxSurge: 1, maxUnavailable: 0 }), replicaSet('new', 1, { available: 0, image: 'nginx:2' }), replicaSet('old', 3))), []);
});

test('Recreate scales all old ones down, waits for their pods, and only then makes new ones', () => {
  const owner = deployment(3);
  owner.spec.strategy = { type: 'Recreate' };
  const podsOf = () => [{ metadata: { name: 'p' }, spec: { containers: [] }, status: { phase: 'Running' } }];
  assert.equal(planRecreate(rollout(owner, undefined, replicaSet('old', 3)), podsOf).type, 'scale-down');
  assert.equal(planRecreate(rollout(owner, undefined, replicaSet('old', 0)), podsOf).type, 'wait');
  assert.equal(planRecreate(rollout(owner, undefined, replicaSet('old', 0)), () => []).type, 'scale-up');
});

test('a changed size is seen by the annotation and set straight on the only active ReplicaSet', () => {
  const resized = rollout(deployment(5, { image: 'nginx:1' }), replicaSet('web', 10, { image: 'nginx:1' }));
  assert.equal(isScalingEvent(resized), true);
  assert.deepEqual(shown(planScale(resized)), { web: 5 });
});

test('in the middle of a rollout a new size is shared in proportion, the rest going to the biggest', () => {
  // Kubernetes 1.36, Deployment: proportional scaling; the example of the documentation: 10 to 15 with 8 old and 5 new.
  const owner = deployment(15, { maxSurge: 3, maxUnavailable: 2 });
  const scales = shown(planScale(rollout(owner, replicaSet('new', 5, { available: 0, image: 'nginx:2' }), replicaSet('old', 8))));
  assert.deepEqual(scales, { new: 7, old: 11 });
});

test('when the new ReplicaSet is saturated the old ones go to nothing', () => {
  const owner = deployment(10);
  assert.deepEqual(shown(planScale(rollout(owner, replicaSet('new', 10, { image: 'nginx:2' }), replicaSet('old', 2)))), { old: 0 });
});

test('clean-up keeps the latest revisions and whatever still has pods', () => {
  const olds = [replicaSet('r1', 0, { revision: 1 }), replicaSet('r2', 0, { revision: 2, status: 1 }), replicaSet('r3', 0, { revision: 3 })];
  assert.deepEqual(planCleanUp(rollout(deployment(1, { revisionHistoryLimit: 1 }), undefined, ...olds)).map(({ metadata }) => metadata.name), ['r1']);
});

test('the oldest ReplicaSet with the template is the new one, its hash label aside', () => {
  const owner = deployment(1, { image: 'nginx:1' });
  const found = newReplicaSetOf(owner, [replicaSet('b', 1, { created: '2026-01-01T11:00:00Z' }), replicaSet('a', 1)]);
  assert.equal(found?.metadata.name, 'a');
});

test('a new ReplicaSet carries hash, revision, size and the annotations of its Deployment', () => {
  const created = replicaSetFor(deployment(4), 7, 2);
  const hash = created.metadata.labels?.['pod-template-hash'] ?? '';
  assert.match(hash, /^[bcdfghjklmnpqrstvwxz2456789]{6,10}$/);
  assert.equal(created.metadata.name, `web-${hash}`);
  assert.deepEqual(created.metadata.annotations, { note: 'x', 'deployment.kubernetes.io/revision': '7', 'deployment.kubernetes.io/desired-replicas': '4', 'deployment.kubernetes.io/max-replicas': '5' });
  assert.deepEqual(created.spec?.selector, { matchLabels: { app: 'web', 'pod-template-hash': hash } });
  assert.equal(created.spec?.template?.metadata?.labels?.['pod-template-hash'], hash);
});

test('a ReplicaSet that comes back gets the next revision and remembers its old one', () => {
  const annotations = annotationsOfNew(deployment(1), replicaSet('old', 0, { revision: 1 }), 3);
  assert.equal(annotations['deployment.kubernetes.io/revision'], '3');
  assert.equal(annotations['deployment.kubernetes.io/revision-history'], '1');
});

const progressing = (owner: Deployment, status: string, reason: string, at: string): Deployment => ({
  ...owner, status: { ...owner.status, conditions: [{ type: 'Progressing', status, reason, message: '', lastUpdateTime: at, lastTransitionTime: at }] },
});

test('a finished rollout says so', () => {
  const owner = progressing(deployment(2), 'True', 'NewReplicaSetCreated', '2026-01-01T11:59:00Z');
  const status = rolloutStatus(rollout(owner, replicaSet('new', 2, { image: 'nginx:2' })), NOW);
  const condition = status.conditions?.find(({ type }) => type === 'Progressing');
  assert.equal(condition?.reason, 'NewReplicaSetAvailable');
  assert.equal(condition?.message, 'ReplicaSet "new" has successfully progressed.');
  assert.equal(status.conditions?.find(({ type }) => type === 'Available')?.message, 'Deployment has minimum availability.');
  assert.equal(timeToDeadlineMs(owner, status, NOW), undefined);
});

test('a status has no zeros, as Go leaves them out', () => {
  const status = rolloutStatus(rollout(deployment(2), replicaSet('new', 2, { image: 'nginx:2' })), NOW);
  assert.deepEqual(Object.entries(status).filter(([, value]) => value === 0), [['terminatingReplicas', 0]]); // a pointer upstream
  assert.equal('unavailableReplicas' in status, false);
});

test('a rollout without progress for the deadline has timed out, and is looked at again then', () => {
  const stuck = replicaSet('new', 2, { available: 0, image: 'nginx:2' });
  const counts = { replicas: 2, updatedReplicas: 2, readyReplicas: 0, availableReplicas: 0 };
  const late = progressing({ ...deployment(2), status: counts }, 'True', 'ReplicaSetUpdated', '2026-01-01T11:49:00Z');
  const condition = rolloutStatus(rollout(late, stuck), NOW).conditions?.find(({ type }) => type === 'Progressing');
  assert.deepEqual([condition?.status, condition?.reason, condition?.message], ['False', 'ProgressDeadlineExceeded', 'ReplicaSet "new" has timed out progressing.']);
  const early = progressing({ ...deployment(2), status: counts }, 'True', 'ReplicaSetUpdated', '2026-01-01T11:59:00Z');
  assert.equal(timeToDeadlineMs(early, rolloutStatus(rollout(early, stuck), NOW), NOW), 541_000);
});

test('the failure of a ReplicaSet shows on its Deployment', () => {
  const failing = replicaSet('new', 2, { available: 0, image: 'nginx:2' });
  failing.status = { ...failing.status, replicas: 0, conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'quota' }] };
  const condition = rolloutStatus(rollout(deployment(2), failing), NOW).conditions?.find(({ type }) => type === 'ReplicaFailure');
  assert.deepEqual([condition?.status, condition?.reason, condition?.message], ['True', 'FailedCreate', 'quota']);
});
