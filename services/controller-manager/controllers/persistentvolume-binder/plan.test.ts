import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec } from '#lib/kinds/types/core-v1.ts';
import type { StorageClass } from '#lib/kinds/types/storage-v1.ts';
import { planClaim, type StorageView } from './claim-plan.ts';
import { planReclaim, planVolume } from './volume-plan.ts';

const COMPLETED = { 'pv.kubernetes.io/bind-completed': 'yes' };
const claim = (spec: Partial<PersistentVolumeClaim['spec']> = {}, annotations: Record<string, string> = {}): PersistentVolumeClaim => ({
  metadata: { name: 'c', namespace: 'default', uid: 'u1', annotations },
  spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'standard', resources: { requests: { storage: '1Gi' } }, ...spec },
});
const volume = (spec: Partial<PersistentVolumeSpec> = {}, phase = 'Available', annotations: Record<string, string> = {}): PersistentVolume => ({
  metadata: { name: 'v', annotations }, spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'standard', capacity: { storage: '1Gi' }, persistentVolumeReclaimPolicy: 'Delete', ...spec }, status: { phase },
});
const standard: StorageClass = { metadata: { name: 'standard', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } }, provisioner: 'kubreak.dev/local-path', volumeBindingMode: 'WaitForFirstConsumer' };
const immediate: StorageClass = { ...standard, volumeBindingMode: 'Immediate' };
const mine = { namespace: 'default', name: 'c', uid: 'u1' };

const plan = (one: PersistentVolumeClaim, view: Partial<StorageView> = {}): string[] =>
  planClaim(one, { volumes: [], classes: [standard], waitingPods: [], ...view }).map((action) => {
    switch (action.type) {
      case 'bind': return `bind ${action.volume.metadata.name}`;
      case 'set-class': return `class ${action.className}`;
      case 'ask-provisioner': return `ask ${action.provisioner}`;
      case 'set-phase': return action.phase;
      case 'event': return `${action.reason}: ${action.message}`;
    }
  });

test('a claim of a delaying class waits, and says for whom', () => {
  assert.deepEqual(plan(claim()), ['WaitForFirstConsumer: waiting for first consumer to be created before binding', 'Pending']);
  assert.deepEqual(plan(claim(), { waitingPods: ['a'] })[0], 'WaitForPodScheduled: waiting for pod a to be scheduled');
  assert.deepEqual(plan(claim(), { waitingPods: ['a', 'b'] })[0], 'WaitForPodScheduled: waiting for pods a,b to be scheduled');
});

test('a provisioner is asked once a node is chosen, or at once when the class does not wait', () => {
  const asked = plan(claim({}, { 'volume.kubernetes.io/selected-node': 'w1' }));
  assert.equal(asked[0], 'ask kubreak.dev/local-path');
  assert.match(asked[1] ?? '', /^ExternalProvisioning: Waiting for a volume to be created either by the external provisioner 'kubreak\.dev\/local-path' or manually/);
  assert.equal(plan(claim(), { classes: [immediate] })[0], 'ask kubreak.dev/local-path');
});

test('a claim without a class takes what there is, then the default class; one with the empty class stays without', () => {
  const classless = claim({ storageClassName: undefined });
  assert.deepEqual(plan(classless, { volumes: [volume({ storageClassName: '' })] }), ['bind v']);
  assert.deepEqual(plan(classless), ['class standard']);
  assert.deepEqual(plan(claim({ storageClassName: '' })), ['FailedBinding: no persistent volumes available for this claim and no storage class is set', 'Pending']);
  assert.deepEqual(plan(claim({ storageClassName: 'none' })), ['ProvisioningFailed: storageclass.storage.k8s.io "none" not found', 'Pending']);
});

test('a volume asked for by name is taken when it is free and fits', () => {
  const named = claim({ volumeName: 'v' });
  assert.deepEqual(plan(named), ['Pending']);
  assert.deepEqual(plan(named, { volumes: [volume()] }), ['bind v']);
  assert.deepEqual(plan(named, { volumes: [volume({ capacity: { storage: '1Mi' } })] })[0], 'VolumeMismatch: Cannot bind to requested volume "v": requested PV is too small');
  assert.deepEqual(plan(named, { volumes: [volume({ claimRef: { namespace: 'default', name: 'other', uid: 'u9' } })] })[0], 'FailedBinding: volume "v" already bound to a different claim.');
});

test('a bound claim that lost its volume is lost, and says so once', () => {
  const bound = claim({ volumeName: 'v' }, COMPLETED);
  assert.deepEqual(plan(bound, { volumes: [volume({ claimRef: mine }, 'Bound')] }), ['bind v']);
  assert.deepEqual(plan(bound), ['Lost', 'ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!']);
  assert.deepEqual(plan({ ...bound, status: { phase: 'Lost' } }), []);
  assert.deepEqual(plan(bound, { volumes: [volume({ claimRef: { ...mine, uid: 'u9' } })] }), ['Lost', 'ClaimMisbound: Two claims are bound to the same volume, this one is bound incorrectly']);
});

const phases = (...args: Parameters<typeof planVolume>): string[] => planVolume(...args).map((action) => (action.type === 'set-phase' ? action.phase : action.type === 'unbind' ? `unbind, keeps ${action.keepsReservation}` : action.type));

test('a volume is available, bound, or released as its claim is', () => {
  assert.deepEqual(phases(volume({}, 'Pending'), undefined), ['Available']);
  assert.deepEqual(phases(volume({ claimRef: { namespace: 'default', name: 'c' } }), undefined), ['Available'], 'reserved for a claim that is yet to come');
  assert.deepEqual(phases(volume({ claimRef: mine }), claim({ volumeName: 'v' })), ['Bound']);
  assert.deepEqual(phases(volume({ claimRef: mine }, 'Bound'), undefined), ['Released', 'reclaim']);
  assert.deepEqual(phases(volume({ claimRef: mine }, 'Released'), undefined), ['reclaim']);
});

test('a volume whose claim went to another one is freed, or reclaimed when it was made for it', () => {
  const elsewhere = claim({ volumeName: 'other' });
  assert.deepEqual(phases(volume({ claimRef: mine }, 'Bound', { 'pv.kubernetes.io/bound-by-controller': 'yes' }), elsewhere), ['unbind, keeps false']);
  assert.deepEqual(phases(volume({ claimRef: mine }, 'Bound'), elsewhere), ['unbind, keeps true']);
  assert.deepEqual(phases(volume({ claimRef: mine }, 'Bound', { 'pv.kubernetes.io/provisioned-by': 'x' }), elsewhere), ['Released', 'reclaim']);
});

test('reclaiming follows the policy, and only below /tmp can a host path be deleted', () => {
  const hostPath = { path: '/mnt/data' };
  assert.deepEqual(planReclaim(volume({ hostPath, persistentVolumeReclaimPolicy: 'Retain' })), { type: 'none' });
  assert.deepEqual(planReclaim(volume({ hostPath })), { type: 'fail', reason: 'VolumeFailedDelete', message: 'host_path deleter only supports /tmp/.+ but received provided /mnt/data' });
  assert.deepEqual(planReclaim(volume({ hostPath: { path: '/tmp/x' } })), { type: 'delete-host-path', path: '/tmp/x' });
  assert.deepEqual(planReclaim(volume({ nfs: { server: 's', path: '/' } })), { type: 'fail', reason: 'VolumeFailedDelete', message: 'error getting deleter volume plugin for volume "v": no deletable volume plugin matched' });
  assert.deepEqual(planReclaim(volume({ hostPath }, 'Released', { 'pv.kubernetes.io/provisioned-by': 'kubreak.dev/local-path' })), { type: 'none' });
  assert.deepEqual(planReclaim(volume({ hostPath, persistentVolumeReclaimPolicy: 'Recycle' })), { type: 'scrub' });
  assert.equal(planReclaim(volume({ local: { path: '/x' }, persistentVolumeReclaimPolicy: 'Recycle' })).type, 'fail');
});
