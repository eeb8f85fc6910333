// Volumes, claims, storage classes, quotas and limits: defaults, checks, columns.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageClassKind } from '../storage/storage-class.ts';
import { volumeAttachmentKind } from '../storage/volume-attachment.ts';
import { rulesOf } from '../testing/rules.ts';
import type { LimitRange, PersistentVolume, PersistentVolumeClaim, ResourceQuota } from '../types/core-v1.ts';
import { limitRangeKind } from './limit-range.ts';
import { persistentVolumeClaimKind } from './persistent-volume-claim.ts';
import { persistentVolumeKind } from './persistent-volume.ts';
import { podKind } from './pod.ts';
import { resourceQuotaKind } from './resource-quota.ts';

const volumes = rulesOf(persistentVolumeKind);
const claims = rulesOf(persistentVolumeClaimKind);
const volume = (spec: object) => ({ spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/data' }, ...spec } });
const claim = (spec: object) => ({ spec: { resources: { requests: { storage: '1Gi' } }, accessModes: ['ReadWriteOnce'], ...spec } });
const MODES = '"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"';

for (const [name, body, expected] of [
  ['a volume without errors', volume({}), []],
  ['no modes, no capacity, no source', { spec: {} }, ['spec.accessModes: Required value', 'spec.capacity: Required value', 'spec.capacity: Unsupported value: {}: supported values: "storage"', 'spec: Required value: must specify a volume type']],
  ['nothing in it', volume({ capacity: { storage: '0' } }), ['spec.capacity[storage]: Invalid value: "0": must be greater than zero']],
  ['an unknown mode', volume({ accessModes: ['x'] }), [`spec.accessModes: Unsupported value: "x": supported values: ${MODES}`]],
  ['one pod and many', volume({ accessModes: ['ReadWriteOncePod', 'ReadWriteMany'] }), ['spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes']],
  ['two sources', volume({ nfs: { server: 's', path: '/' } }), ['spec.nfs: Forbidden: may not specify more than 1 volume type']],
  ['a local volume anywhere', volume({ hostPath: undefined, local: { path: '/mnt' } }), ['spec.nodeAffinity: Required value: Local volume requires node affinity']],
  ['an unknown reclaim policy', volume({ persistentVolumeReclaimPolicy: 'x' }), ['spec.persistentVolumeReclaimPolicy: Unsupported value: "x": supported values: "Delete", "Recycle", "Retain"']],
  ['recycling the root', volume({ hostPath: { path: '/' }, persistentVolumeReclaimPolicy: 'Recycle' }), ["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"]],
  ['a driver without handle', volume({ hostPath: undefined, csi: { driver: 'd' } }), ['spec.csi.volumeHandle: Required value']],
] as const) {
  test(`volume: ${name}`, () => assert.deepEqual(volumes.created(body), expected));
}
test('the source of a volume stays', () => {
  assert.match(volumes.updated(volume({ hostPath: { path: '/other' } }), volume({})).join(), /^spec\.persistentvolumesource: Forbidden: spec\.persistentvolumesource is immutable after creation\n/);
});

for (const [name, body, expected] of [
  ['a claim without errors', claim({ storageClassName: 'standard' }), []],
  ['neither mode nor size', { spec: {} }, ['spec.accessModes: Required value: at least 1 access mode is required', 'spec.resources[storage]: Required value']],
  ['a size of nothing', claim({ resources: { requests: { storage: '0' } } }), ['spec.resources[storage]: Invalid value: "0": must be greater than zero']],
  ['an unknown volume mode', claim({ volumeMode: 'x' }), ['spec.volumeMode: Unsupported value: "x": supported values: "Block", "Filesystem"']],
  ['a copy of something else', claim({ dataSource: { kind: 'Pod', name: 'p' } }), [
    "spec.dataSource: Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default apiGroup", "spec.dataSourceRef: Invalid value: \"Pod\": must be 'PersistentVolumeClaim' when referencing the default apiGroup",
  ]],
] as const) {
  test(`claim: ${name}`, () => assert.deepEqual(claims.created(body), expected));
}
test('a claim stays as it is, but for its volume, and its size once bound', () => {
  const previous = claims.stored(claim({})) as PersistentVolumeClaim;
  assert.match(claims.updated(claim({ accessModes: ['ReadWriteMany'] }), previous).join(), /^spec: Forbidden: spec is immutable after creation except resources\.requests and volumeAttributesClassName for bound claims\n/);
  assert.deepEqual(claims.updated(claim({ volumeName: 'pv' }), previous), []);
  assert.deepEqual(claims.updated(claim({ storageClassName: 'standard' }), previous), []);
  const larger = claim({ resources: { requests: { storage: '2Gi' } } });
  assert.match(claims.updated(larger, previous).join(), /^spec: Forbidden/);
  previous.status = { phase: 'Bound', capacity: { storage: '1Gi' } };
  const { updated } = rulesOf({ ...persistentVolumeClaimKind, prepareForCreate: () => undefined });
  assert.deepEqual(updated(larger, previous), []);
  assert.deepEqual(updated(claim({ resources: { requests: { storage: '512Mi' } } }), previous), ['spec.resources.requests.storage: Forbidden: field can not be less than status.capacity']);
});

test('storage classes', () => {
  const { created, updated } = rulesOf(storageClassKind);
  assert.deepEqual(created({}), ['provisioner: Required value']);
  assert.deepEqual(created({ provisioner: 'a/b', reclaimPolicy: 'Recycle', volumeBindingMode: 'x' }), ['reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"', 'volumeBindingMode: Unsupported value: "x": supported values: "Immediate", "WaitForFirstConsumer"']);
  assert.deepEqual(updated({ provisioner: 'a/c' }, { provisioner: 'a/b' }), ['provisioner: Invalid value: "a/c": field is immutable']);
  assert.deepEqual(rulesOf(volumeAttachmentKind).created({ spec: { attacher: 'd', nodeName: 'n', source: {} } }), ['spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName']);
});

test('quotas count what there is to count', () => {
  const { created, updated } = rulesOf(resourceQuotaKind);
  assert.deepEqual(created({ spec: { hard: { pods: '10', 'requests.cpu': '1', 'count/jobs.batch': '2', 'requests.nvidia.com/gpu': '1', 'standard.storageclass.storage.k8s.io/requests.storage': '1Gi' } } }), []);
  assert.deepEqual(created({ spec: { hard: { apples: '1', pods: '0.5' } } }), ['spec.hard[apples]: Invalid value: "apples": must be a standard resource for quota', 'spec.hard[pods]: Invalid value: "0.5": must be an integer']);
  assert.deepEqual(created({ spec: { hard: { pods: '1' }, scopes: ['Terminating', 'NotTerminating'] } }), ['spec.scopes.scopes: Invalid value: ["Terminating","NotTerminating"]: conflicting scopes']);
  assert.deepEqual(created({ spec: { hard: { services: '1' }, scopes: ['BestEffort'] } }), ['spec.scopes.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource']);
  assert.deepEqual(created({ spec: { hard: { pods: '1' }, scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In' }] } } }), [
    "spec.scopeSelector.matchExpressions.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
  ]);
  assert.deepEqual(updated({ spec: { scopes: ['BestEffort'] } }, { spec: {} }), ['spec.scopes: Invalid value: ["BestEffort"]: field is immutable']);
});

test('limits of a container complete each other', () => {
  const { stored, created } = rulesOf(limitRangeKind);
  const limits = (item: object) => ({ spec: { limits: [{ type: 'Container', ...item }] } });
  assert.deepEqual((stored(limits({ max: { cpu: '2' }, min: { cpu: '100m', memory: '1Mi' } })) as LimitRange).spec.limits[0], {
    type: 'Container', max: { cpu: '2' }, min: { cpu: '100m', memory: '1Mi' }, default: { cpu: '2' }, defaultRequest: { cpu: '2', memory: '1Mi' },
  });
  assert.deepEqual(created(limits({ min: { cpu: '2' }, max: { cpu: '1' }, default: { cpu: '1' }, defaultRequest: { cpu: '1' } })), [
    'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1', 'spec.limits[0].defaultRequest[cpu]: Invalid value: "1": min value 2 is greater than default request value 1',
    'spec.limits[0].default[cpu]: Invalid value: "2": min value 2 is greater than default value 1',
  ]);
  assert.deepEqual(created({ spec: { limits: [{ type: 'Pod', default: { cpu: '1' } }, { type: 'Pod' }, { type: 'Thing' }, { type: 'PersistentVolumeClaim' }] } }), [
    "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'", 'spec.limits[1].type: Duplicate value: "Pod"',
    'spec.limits[2].type: Invalid value: "Thing": must be a standard limit type or fully qualified',
    'spec.limits[3].limits: Required value: either minimum or maximum storage value is required, but neither was provided',
  ]);
  assert.deepEqual(created(limits({ max: { cpu: '4' }, min: { cpu: '1' }, maxLimitRequestRatio: { cpu: '5' } })), ['spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "5": ratio 5 is greater than max/min = 4.000000']);
});

test('the columns of a volume, a claim and a quota', () => {
  const nowMs = Date.parse('2026-01-01T00:01:00Z');
  const metadata = { name: 'web', creationTimestamp: '2026-01-01T00:00:00Z' };
  const pv = { ...volumes.stored({ metadata, ...volume({ storageClassName: 'standard', claimRef: { namespace: 'default', name: 'c' } }) }), status: { phase: 'Bound' } } as PersistentVolume;
  assert.deepEqual((persistentVolumeKind.columns ?? []).map(({ value }) => value(pv, nowMs)), ['web', '1Gi', 'RWO', 'Retain', 'Bound', 'default/c', 'standard', '<unset>', '', '60s', 'Filesystem']);
  const pvc: PersistentVolumeClaim = { ...(claims.stored({ metadata, ...claim({ volumeName: 'pv' }) }) as PersistentVolumeClaim), status: { phase: 'Bound', capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce', 'ReadOnlyMany'] } };
  assert.deepEqual((persistentVolumeClaimKind.columns ?? []).map(({ value }) => value(pvc, nowMs)), ['web', 'Bound', 'pv', '1Gi', 'RWO,ROX', '', '<unset>', '60s', 'Filesystem']);
  const quota: ResourceQuota = { metadata, spec: {}, status: { hard: { pods: '2', 'limits.cpu': '1' }, used: { pods: '1', 'limits.cpu': '0' } } };
  assert.deepEqual((resourceQuotaKind.columns ?? []).map(({ value }) => value(quota, nowMs)), ['web', 'pods: 1/2', 'limits.cpu: 0/1', '60s']);
});

test('the volumes of a pod', () => {
  const { created } = rulesOf(podKind);
  const pod = (volume: object) => ({ spec: { containers: [{ name: 'c', image: 'i' }], volumes: [{ name: 'v', ...volume }] } });
  assert.deepEqual(created(pod({ persistentVolumeClaim: { claimName: 'c' } })), []);
  assert.deepEqual(created(pod({ persistentVolumeClaim: {} })), ['spec.volumes[0].persistentVolumeClaim.claimName: Required value']);
  assert.deepEqual(created(pod({ nfs: { server: 's', path: 'x' } })), ['spec.volumes[0].nfs.path: Invalid value: "x": must be an absolute path']);
  assert.deepEqual(created(pod({ ephemeral: { volumeClaimTemplate: { spec: {} } } })), [
    'spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is required', 'spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value',
  ]);
});
