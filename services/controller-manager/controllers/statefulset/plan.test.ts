import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatefulSet } from '#lib/kinds/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '#lib/kinds/types/core-v1.ts';
import { claimsOf, hasIdentity, newPod } from './identity.ts';
import { planStatefulSet, statefulSetStatus, type PlanInput, type Step } from './plan.ts';
import { planClaimOwners } from './retention.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const template = { metadata: { name: '', labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'nginx' }] } };
const revision = (name: string) => ({ name, template });
type Spec = Partial<StatefulSet['spec']>;
const statefulSet = (replicas: number, spec: Spec = {}, status: Partial<StatefulSet['status']> = {}): StatefulSet => ({
  metadata: { name: 'web', namespace: 'default', uid: 'set', generation: 2 },
  spec: { replicas, serviceName: 'web', selector: { matchLabels: { app: 'web' } }, template, ...spec },
  status: { replicas: 0, currentRevision: 'web-1', ...status },
});
interface Shape { phase?: string; ready?: boolean; revision?: string; deleting?: boolean; readySince?: string }
const pod = (set: StatefulSet, ordinal: number, { phase = 'Running', ready = true, revision: name = 'web-1', deleting = false, readySince = '2026-01-01T11:00:00Z' }: Shape = {}): Pod => {
  const made = newPod(set, ordinal, name, template);
  return {
    ...made, metadata: { ...made.metadata, name: `web-${ordinal}`, uid: `uid-${ordinal}`, ...(deleting ? { deletionTimestamp: '2026-01-01T11:59:00Z' } : {}) },
    status: { phase, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: readySince }] },
  };
};
const text = (step: Step): string => {
  switch (step.type) {
    case 'create': return `create ${step.pod.metadata.name} ${step.pod.metadata.labels?.['controller-revision-hash'] ?? ''}`;
    case 'delete': return `delete ${step.pod.metadata.name} (${step.why})`;
    default: return `${step.type} ${step.pod.metadata.name}`;
  }
};
const steps = (set: StatefulSet, pods: Pod[], extra: Partial<PlanInput> = {}): string[] => planStatefulSet({
  set, pods, current: revision('web-1'), update: revision('web-1'), hasRightOwners: () => true, isClaimStale: () => false, nowMs: NOW, ...extra,
}).steps.map(text);
const rolling = { update: revision('web-2') };

test('an ordered set makes one pod at a time and waits until it is ready', () => {
  const set = statefulSet(3);
  assert.deepEqual(steps(set, []), ['create web-0 web-1']);
  assert.deepEqual(steps(set, [pod(set, 0, { ready: false })]), []);
  assert.deepEqual(steps(set, [pod(set, 0)]), ['create web-1 web-1']);
  assert.deepEqual(steps(set, [pod(set, 0, { phase: 'Pending', ready: false })]), ['provide-claims web-0']);
});

test('minReadySeconds makes the next one wait for availability', () => {
  const set = statefulSet(2, { minReadySeconds: 30 });
  assert.deepEqual(steps(set, [pod(set, 0, { readySince: '2026-01-01T11:59:50Z' })]), []);
  assert.deepEqual(steps(set, [pod(set, 0, { readySince: '2026-01-01T11:59:20Z' })]), ['create web-1 web-1']);
});

test('a parallel set makes and deletes all at once', () => {
  const set = statefulSet(3, { podManagementPolicy: 'Parallel' });
  assert.deepEqual(steps(set, []), ['create web-0 web-1', 'create web-1 web-1', 'create web-2 web-1']);
  const small = statefulSet(1, { podManagementPolicy: 'Parallel' });
  assert.deepEqual(steps(small, [pod(small, 0), pod(small, 1), pod(small, 2)]), ['delete web-2 (scale down)', 'delete web-1 (scale down)']);
});

test('ordinals begin where the spec says', () => {
  const set = statefulSet(2, { ordinals: { start: 5 } });
  assert.deepEqual(steps(set, []), ['create web-5 web-1']);
  assert.deepEqual(steps(set, [pod(set, 4), pod(set, 5), pod(set, 6)]), ['delete web-4 (scale down)']);
});

test('a pod on its way out holds its place: no second one of its identity', () => {
  const set = statefulSet(2);
  assert.deepEqual(steps(set, [pod(set, 0, { deleting: true }), pod(set, 1)]), []);
  const parallel = statefulSet(2, { podManagementPolicy: 'Parallel' });
  assert.deepEqual(steps(parallel, [pod(parallel, 0, { deleting: true })]), ['create web-1 web-1']);
});

test('an ended pod is deleted, and made again only when it is gone', () => {
  const set = statefulSet(2);
  assert.deepEqual(steps(set, [pod(set, 0, { phase: 'Failed', ready: false })]), ['delete web-0 (ended)']);
  assert.deepEqual(steps(set, [pod(set, 0, { phase: 'Succeeded', ready: false, deleting: true })]), []);
});

test('scaling down goes from the top, one at a time, and waits for the unhealthy below', () => {
  const set = statefulSet(1);
  assert.deepEqual(steps(set, [pod(set, 0), pod(set, 1), pod(set, 2)]), ['delete web-2 (scale down)']);
  assert.deepEqual(steps(set, [pod(set, 0), pod(set, 1), pod(set, 2, { deleting: true })]), []);
  assert.deepEqual(steps(set, [pod(set, 0, { ready: false }), pod(set, 1)]), []);
  assert.deepEqual(steps(set, [pod(set, 0), pod(set, 1, { ready: false })]), ['delete web-1 (scale down)']);
});

test('a rolling update takes the highest outdated pod and waits for its successor', () => {
  const set = statefulSet(3);
  assert.deepEqual(steps(set, [pod(set, 0), pod(set, 1), pod(set, 2)], rolling), ['delete web-2 (update)']);
  assert.deepEqual(steps(set, [pod(set, 0), pod(set, 1), pod(set, 2, { revision: 'web-2', ready: false })], rolling), []);
  assert.deepEqual(steps(set, [pod(set, 0), pod(set, 1), pod(set, 2, { revision: 'web-2' })], rolling), ['delete web-1 (update)']);
});

test('below the partition pods stay, and come back, in the old revision', () => {
  const set = statefulSet(3, { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } });
  assert.deepEqual(steps(set, [pod(set, 0), pod(set, 1), pod(set, 2, { revision: 'web-2' })], rolling), []);
  assert.deepEqual(steps(set, [pod(set, 0), pod(set, 2, { revision: 'web-2' })], rolling), ['create web-1 web-1']);
  assert.deepEqual(steps(set, [pod(set, 0), pod(set, 1)], rolling), ['create web-2 web-2']);
});

test('maxUnavailable lets several go at once', () => {
  const set = statefulSet(4, { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '50%' } } });
  assert.deepEqual(steps(set, [0, 1, 2, 3].map((ordinal) => pod(set, ordinal)), rolling), ['delete web-3 (update)', 'delete web-2 (update)']);
});

test('OnDelete leaves outdated pods to their fate', () => {
  const set = statefulSet(2, { updateStrategy: { type: 'OnDelete' } });
  assert.deepEqual(steps(set, [pod(set, 0), pod(set, 1)], rolling), []);
  assert.deepEqual(steps(set, [pod(set, 0)], rolling), ['create web-1 web-2']);
});

test('a set that is being deleted does nothing', () => {
  const set = statefulSet(2);
  assert.deepEqual(steps({ ...set, metadata: { ...set.metadata, deletionTimestamp: '2026-01-01T11:59:00Z' } }, [pod(set, 0)]), []);
});

test('names, labels, host name and claims follow the ordinal', () => {
  const set = statefulSet(1, { volumeClaimTemplates: [{ metadata: { name: 'www' }, spec: { accessModes: ['ReadWriteOnce'] } }] });
  const made = newPod(set, 3, 'web-9', template);
  assert.deepEqual(made.metadata.labels, { app: 'web', 'statefulset.kubernetes.io/pod-name': 'web-3', 'apps.kubernetes.io/pod-index': '3', 'controller-revision-hash': 'web-9' });
  assert.equal(made.spec.hostname, 'web-3');
  assert.equal(made.spec.subdomain, 'web');
  assert.deepEqual(made.spec.volumes, [{ name: 'www', persistentVolumeClaim: { claimName: 'www-web-3' } }]);
  assert.deepEqual(claimsOf(set, 3).map(({ metadata }) => [metadata.name, metadata.labels]), [['www-web-3', { app: 'web' }]]);
  const stripped = { ...pod(set, 3), metadata: { name: 'web-3', labels: { app: 'web' } } };
  assert.equal(hasIdentity(set, pod(set, 3)), true);
  assert.equal(hasIdentity(set, stripped), false);
});

test('a stale claim holds the pod back', () => {
  const set = statefulSet(1);
  const plan = planStatefulSet({ set, pods: [], current: revision('web-1'), update: revision('web-1'), hasRightOwners: () => true, isClaimStale: () => true, nowMs: NOW });
  assert.deepEqual([plan.steps, plan.isBlockedByClaim], [[], true]);
});

test('claims are owned as the retention policy asks', () => {
  const claim: PersistentVolumeClaim = { metadata: { name: 'www-web-0' }, spec: {} };
  const owners = (whenDeleted: string, whenScaled: string, ordinal: number, present: PersistentVolumeClaim = claim) => {
    const set = statefulSet(1, { persistentVolumeClaimRetentionPolicy: { whenDeleted, whenScaled } });
    return planClaimOwners(present, set, pod(set, ordinal)).ownerReferences?.map(({ kind }) => kind);
  };
  assert.equal(owners('Retain', 'Retain', 0), undefined);
  assert.deepEqual(owners('Delete', 'Retain', 0), ['StatefulSet']);
  assert.equal(owners('Retain', 'Delete', 0), undefined);
  assert.deepEqual(owners('Retain', 'Delete', 1), ['Pod']);
  const owned = { ...claim, metadata: { ...claim.metadata, ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'set', controller: true }] } };
  assert.deepEqual(owners('Delete', 'Delete', 1, owned), ['Pod']);
  assert.deepEqual(owners('Retain', 'Retain', 0, owned), []);
});

test('the status counts by revision, and an update that is through becomes the current one', () => {
  const set = statefulSet(2);
  const status = (pods: Pod[]) => statefulSetStatus({ set, pods, current: revision('web-1'), update: revision('web-2'), nowMs: NOW }, 0);
  const half = status([pod(set, 0), pod(set, 1, { revision: 'web-2' })]);
  assert.deepEqual([half.currentReplicas, half.updatedReplicas, half.currentRevision], [1, 1, 'web-1']);
  const through = status([pod(set, 0, { revision: 'web-2' }), pod(set, 1, { revision: 'web-2' })]);
  assert.deepEqual([through.currentReplicas, through.updatedReplicas, through.currentRevision], [2, 2, 'web-2']);
});
