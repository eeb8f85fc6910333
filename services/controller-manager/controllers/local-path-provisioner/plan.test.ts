import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PersistentVolumeClaim } from '#lib/kinds/types/core-v1.ts';
import { concernOf, helperPod, hostOf, letGo, problemOf, removalOf, volumeFor } from './plan.ts';

const claim: PersistentVolumeClaim = { metadata: { name: 'data', namespace: 'default', uid: 'u1' }, spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'standard', resources: { requests: { storage: '1Gi' } } } };
const storageClass = { metadata: { name: 'standard' }, provisioner: 'kubreak.dev/local-path', reclaimPolicy: 'Delete' };

test('a volume is a folder of one node, and known as ours', () => {
  const volume = volumeFor(claim, storageClass, 'w1-k8s');
  assert.equal(volume.spec.hostPath?.path, '/var/lib/local-path-provisioner/pvc-u1_default_data');
  assert.equal(hostOf(volume), 'w1-k8s');
  assert.equal(volume.metadata.annotations?.['pv.kubernetes.io/provisioned-by'], 'kubreak.dev/local-path');
  assert.deepEqual([volume.spec.claimRef?.uid, volume.spec.capacity?.['storage'], volume.spec.persistentVolumeReclaimPolicy], ['u1', '1Gi', 'Delete']);
});

test('a released volume goes with its folder, also when it was deleted by hand; one to be retained keeps its folder', () => {
  const volume = volumeFor(claim, storageClass, 'w1-k8s');
  const seen = (phase: string, policy: string, isDeleting: boolean) => removalOf({
    ...volume, metadata: { ...volume.metadata, ...(isDeleting ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) }, spec: { ...volume.spec, persistentVolumeReclaimPolicy: policy }, status: { phase },
  });
  assert.deepEqual([seen('Bound', 'Delete', true), seen('Released', 'Delete', false), seen('Released', 'Delete', true)], ['none', 'folder', 'folder']);
  assert.deepEqual([seen('Released', 'Retain', false), seen('Released', 'Retain', true), seen('Bound', 'Retain', true)], ['none', 'release', 'none']);
  const free = letGo(volume);
  assert.deepEqual([free?.metadata.finalizers, free && letGo(free)], [[], undefined]);
});

test('the helper reaches no more than the folder of all volumes', () => {
  const pod = helperPod({ action: 'delete', volumeName: 'pvc-u1', folder: '/var/lib/local-path-provisioner/pvc-u1_default_data', nodeName: 'w1-k8s', concerns: 'volume pvc-u1' });
  assert.deepEqual(pod.spec.containers[0]?.command, ['rm', '-rf', '/volumes/pvc-u1_default_data']);
  assert.equal(pod.spec.volumes?.[0]?.hostPath?.path, '/var/lib/local-path-provisioner');
  assert.deepEqual(concernOf(pod), { type: 'volume', key: 'pvc-u1' });
  assert.equal(concernOf({ ...pod, metadata: { ...pod.metadata, namespace: 'default' } }), undefined);
});

test('what a folder cannot be is said', () => {
  assert.equal(problemOf(claim, 'w1-k8s'), undefined);
  assert.equal(problemOf(claim, undefined), 'configuration error, no node was specified');
  assert.match(problemOf({ ...claim, spec: { ...claim.spec, accessModes: ['ReadWriteMany'] } }, 'w1') ?? '', /^NodePath only supports ReadWriteOnce/);
});
