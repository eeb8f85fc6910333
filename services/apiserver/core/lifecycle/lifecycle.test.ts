import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podKind } from '#lib/kinds/core/pod.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { anyKind, type AnyKind, type KubernetesObject } from '#lib/kinds/define-kind.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { planDelete, shouldDeleteAfterUpdate } from './delete.ts';
import { mainRules, prepareCreate, prepareUpdate } from './write.ts';

const pods = anyKind(podKind);
const configMaps = anyKind(configMapKind);
const NOW = Date.parse('2026-01-01T00:00:00Z');
const pod = (metadata: object = {}, spec: object = { nodeName: 'n', terminationGracePeriodSeconds: 30 }): KubernetesObject =>
  ({ metadata: { name: 'p', namespace: 'a', uid: 'u', resourceVersion: '7', generation: 1, ...metadata }, spec, status: { phase: 'Running' } }) as unknown as KubernetesObject;
const configMap = (metadata: object = {}): KubernetesObject => ({ metadata: { name: 'c', namespace: 'a', uid: 'u', resourceVersion: '7', ...metadata } });
const marked = (kind: AnyKind, object: KubernetesObject, options: object = {}) => {
  const plan = planDelete(kind, object, options, NOW);
  assert.equal(plan.action, 'mark');
  const { deletionTimestamp, deletionGracePeriodSeconds, generation, finalizers } = (plan as { object: KubernetesObject }).object.metadata;
  return { deletionTimestamp, deletionGracePeriodSeconds, generation, finalizers };
};
const message = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof StatusError) return error.message;
    throw error;
  }
  return 'nothing was thrown';
};

test('a running pod gets its grace period and a new generation', () => {
  assert.deepEqual(marked(pods, pod()), { deletionTimestamp: '2026-01-01T00:00:30Z', deletionGracePeriodSeconds: 30, generation: 2, finalizers: undefined });
  assert.equal(marked(pods, pod(), { gracePeriodSeconds: 5 }).deletionTimestamp, '2026-01-01T00:00:05Z');
});

test('a pod that no node runs goes at once', () => {
  assert.equal(planDelete(pods, pod({}, { terminationGracePeriodSeconds: 30 }), {}, NOW).action, 'remove');
  assert.equal(planDelete(pods, pod(), { gracePeriodSeconds: 0 }, NOW).action, 'remove');
});

test('a second delete can only shorten the grace', () => {
  const dying = pod({ deletionTimestamp: '2026-01-01T00:00:20Z', deletionGracePeriodSeconds: 30 });
  assert.equal(planDelete(pods, dying, {}, NOW).action, 'keep');
  assert.equal(planDelete(pods, dying, { gracePeriodSeconds: 60 }, NOW).action, 'keep');
  assert.equal(planDelete(pods, dying, { gracePeriodSeconds: 0 }, NOW).action, 'remove');
  assert.deepEqual(marked(pods, dying, { gracePeriodSeconds: 15 }), { deletionTimestamp: '2026-01-01T00:00:05Z', deletionGracePeriodSeconds: 15, generation: 1, finalizers: undefined });
});

test('finalizers hold an object back', () => {
  assert.deepEqual(marked(configMaps, configMap({ finalizers: ['a/b'] })), { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 0, generation: undefined, finalizers: ['a/b'] });
  assert.deepEqual(marked(configMaps, configMap(), { propagationPolicy: 'Foreground' }).finalizers, ['foregroundDeletion']);
  assert.deepEqual(marked(configMaps, configMap(), { propagationPolicy: 'Orphan' }).finalizers, ['orphan']);
  assert.equal(planDelete(configMaps, configMap(), { propagationPolicy: 'Background' }, NOW).action, 'remove');
});

test('an update that takes off the last finalizer of a deleted object removes it', () => {
  const dying = configMap({ finalizers: ['a/b'], deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 0 });
  assert.equal(shouldDeleteAfterUpdate(configMap(), dying), true);
  assert.equal(shouldDeleteAfterUpdate(dying, dying), false);
  assert.equal(shouldDeleteAfterUpdate(configMap(), configMap({ finalizers: ['a/b'] })), false);
});

test('preconditions name both values', () => {
  assert.equal(message(() => planDelete(pods, pod(), { preconditions: { uid: 'x' } }, NOW)),
    'Operation cannot be fulfilled on Pod "p": the UID in the precondition (x) does not match the UID in record (u). The object might have been deleted and then recreated');
});

const create = (object: KubernetesObject, kind = configMaps) => {
  prepareCreate(kind, object, { namespace: 'a', nowMs: NOW, uid: 'new', suffix: 'abcde' });
  return object.metadata;
};

test('a new object gets its system fields whatever the client wrote there', () => {
  assert.deepEqual(create({ metadata: { name: 'c', uid: 'mine', creationTimestamp: 'x', deletionTimestamp: 'y', generation: 9 } }),
    { name: 'c', uid: 'new', namespace: 'a', creationTimestamp: '2026-01-01T00:00:00Z' });
  assert.equal(create({ metadata: { generateName: 'web-', name: '' } }).name, 'web-abcde');
  assert.equal(message(() => create({ metadata: { name: 'c', resourceVersion: '5' } })), 'resourceVersion should not be set on objects to be created');
  assert.equal(message(() => create({ metadata: { name: '' } })), 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required');
  assert.match(message(() => create({ metadata: { name: 'Bad_Name' } })), /^ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain/);
});

test('an update from an older version is a conflict, one without a version is not', () => {
  const update = (metadata: object) => message(() => prepareUpdate(configMaps, configMap(metadata), configMap(), mainRules));
  assert.equal(update({ resourceVersion: '6' }), 'Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the latest version and try again');
  assert.equal(update({ resourceVersion: undefined }), 'nothing was thrown');
  assert.equal(update({ uid: 'other' }), 'Operation cannot be fulfilled on configmaps "c": Precondition failed: UID in precondition: other, UID in object meta: u');
});

test('a changed spec raises the generation, a changed status on the main endpoint is not taken', () => {
  const deployments = anyKind(deploymentKind);
  const base = (replicas: number, status: object) => ({
    metadata: { name: 'd', namespace: 'a', uid: 'u', resourceVersion: '7', generation: 3, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { replicas, selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i', terminationMessagePolicy: 'File', imagePullPolicy: 'Always' }], restartPolicy: 'Always', dnsPolicy: 'ClusterFirst' } } },
    status,
  }) as unknown as KubernetesObject & { status: unknown };
  const next = base(2, { replicas: 9 });
  deployments.applyDefaults?.(next);
  const previous = base(1, { replicas: 1 });
  deployments.applyDefaults?.(previous);
  prepareUpdate(deployments, next, previous, mainRules);
  assert.equal(next.metadata.generation, 4);
  assert.deepEqual(next.status, { replicas: 1 });
});
