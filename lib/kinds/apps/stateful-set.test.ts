// StatefulSets and ReplicationControllers: defaults and checks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replicationControllerKind } from '../core/replication-controller.ts';
import { rulesOf } from '../testing/rules.ts';
import type { StatefulSet } from '../types/apps-v1.ts';
import type { ReplicationController } from '../types/core-v1.ts';
import { statefulSetKind } from './stateful-set.ts';

const { created, updated, stored } = rulesOf(statefulSetKind);
const labels = { app: 'web' };
const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i', volumeMounts: [{ name: 'data', mountPath: '/data' }] }] } };
const set = (spec: object) => ({ spec: { serviceName: 'web', selector: { matchLabels: labels }, template, volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: {} }], ...spec } });

test('what a StatefulSet does not say', () => {
  const { spec } = stored(set({})) as StatefulSet;
  assert.deepEqual([spec.replicas, spec.podManagementPolicy, spec.updateStrategy, spec.revisionHistoryLimit, spec.persistentVolumeClaimRetentionPolicy], [
    1, 'OrderedReady', { type: 'RollingUpdate', rollingUpdate: { partition: 0 } }, 10, { whenDeleted: 'Retain', whenScaled: 'Retain' },
  ]);
  assert.deepEqual(spec.volumeClaimTemplates, [{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'data' }, spec: { volumeMode: 'Filesystem' }, status: { phase: 'Pending' } }]);
});

for (const [name, body, expected] of [
  ['mounts of its claims', set({}), []],
  ['a name with dots', { metadata: { name: 'a.b' }, ...set({}) }, ['metadata.name: Invalid value: "a.b": must not contain dots']],
  ['an unknown management', set({ podManagementPolicy: 'x' }), ["spec.podManagementPolicy: Invalid value: \"x\": must be 'OrderedReady' or 'Parallel'"]],
  ['an unknown strategy', set({ updateStrategy: { type: 'x' } }), ["spec.updateStrategy: Invalid value: {\"type\":\"x\"}: must be 'RollingUpdate' or 'OnDelete'"]],
  ['a rolling update that waits', set({ updateStrategy: { type: 'OnDelete', rollingUpdate: { partition: 1 } } }), ["spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'"]],
  ['a negative partition', set({ updateStrategy: { rollingUpdate: { partition: -1 } } }), ['spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0']],
  ['an unknown retention', set({ persistentVolumeClaimRetentionPolicy: { whenScaled: 'x' } }), ['spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "x": supported values: "Retain", "Delete"']],
  ['labels that it does not select', set({ selector: { matchLabels: { app: 'x' } } }), ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`']],
  ['an empty selector', set({ selector: {} }), ['spec.selector: Invalid value: {}: empty selector is invalid for statefulset']],
  ['no selector', set({ selector: undefined }), ['spec.selector: Required value']],
] as const) {
  test(`StatefulSet: ${name}`, () => assert.deepEqual(created(body), expected));
}

test('what of a StatefulSet may change', () => {
  assert.deepEqual(updated(set({ replicas: 3, minReadySeconds: 5, ordinals: { start: 1 } }), set({})), []);
  assert.deepEqual(updated(set({ serviceName: 'other' }), set({})), [
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
  ]);
});

test('a ReplicationController takes selector and labels from its template', () => {
  const controllers = rulesOf(replicationControllerKind);
  const pods = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const { metadata, spec } = controllers.stored({ spec: { template: pods } }) as ReplicationController;
  assert.deepEqual([metadata.labels, spec.selector, spec.replicas], [labels, labels, 1]);
  assert.deepEqual(controllers.created({ spec: { template: { ...pods, metadata: {} } } }), ['spec.selector: Required value']);
  assert.deepEqual(controllers.created({ spec: { selector: { app: 'x' }, template: pods } }), ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`']);
});
