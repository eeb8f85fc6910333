import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeSpec } from '#lib/kinds/types/core-v1.ts';
import { bestVolumeFor, defaultClass, mismatchOf, volumeBoundTo } from './volume-binding.ts';

const claim = (spec: Partial<PersistentVolumeClaimSpec> = {}): PersistentVolumeClaim => ({
  metadata: { name: 'c', namespace: 'default', uid: 'u1' },
  spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'manual', resources: { requests: { storage: '1Gi' } }, ...spec },
});
const volume = (name: string, spec: Partial<PersistentVolumeSpec> = {}, phase = 'Available'): PersistentVolume => ({
  metadata: { name, labels: { tier: name } }, spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'manual', capacity: { storage: '1Gi' }, ...spec }, status: { phase },
});
const best = (...volumes: PersistentVolume[]): string | undefined => bestVolumeFor(claim(), volumes, { isDelayed: false })?.metadata.name;

test('the smallest volume that is large enough is taken', () => {
  assert.equal(best(volume('large', { capacity: { storage: '10Gi' } }), volume('small', { capacity: { storage: '500Mi' } }), volume('right', { capacity: { storage: '2Gi' } })), 'right');
});

test('a volume with no more access modes than asked for goes before a smaller one with more', () => {
  assert.equal(best(volume('many', { accessModes: ['ReadWriteOnce', 'ReadOnlyMany'] }), volume('exact', { capacity: { storage: '5Gi' } })), 'exact');
  assert.equal(best(volume('other', { accessModes: ['ReadOnlyMany'] })), undefined);
});

test('class, mode, phase and selector must fit', () => {
  assert.equal(best(volume('v', { storageClassName: 'fast' })), undefined);
  assert.equal(best(volume('v', { volumeMode: 'Block' })), undefined);
  assert.equal(best(volume('v', {}, 'Released')), undefined);
  assert.equal(bestVolumeFor(claim({ selector: { matchLabels: { tier: 'b' } } }), [volume('a'), volume('b')], { isDelayed: false })?.metadata.name, 'b');
});

test('a volume that is reserved for the claim goes before all others, and is no one else\'s', () => {
  const reserved = volume('mine', { claimRef: { namespace: 'default', name: 'c' }, capacity: { storage: '50Gi' } });
  assert.equal(best(volume('fitting'), reserved), 'mine');
  assert.equal(best(volume('theirs', { claimRef: { namespace: 'default', name: 'other' } })), undefined);
  assert.equal(best(volume('earlier', { claimRef: { namespace: 'default', name: 'c', uid: 'u0' } })), undefined);
});

test('a claim that waits for its consumer takes a volume only for a node', () => {
  const near = volume('v', { nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'host', operator: 'In', values: ['w1'] }] }] } } });
  const on = (host: string) => bestVolumeFor(claim(), [near], { isDelayed: true, node: { metadata: { name: host, labels: { host } }, spec: {} } })?.metadata.name;
  assert.equal(bestVolumeFor(claim(), [near], { isDelayed: true }), undefined);
  assert.deepEqual([on('w1'), on('w2')], ['v', undefined]);
});

test('a volume asked for by name is refused with upstream\'s words', () => {
  assert.equal(mismatchOf(volume('v'), claim()), undefined);
  assert.equal(mismatchOf(volume('v', { capacity: { storage: '1Mi' } }), claim()), 'requested PV is too small');
  assert.equal(mismatchOf(volume('v', { storageClassName: '' }), claim()), 'storageClassName does not match');
  assert.equal(mismatchOf(volume('v', { volumeMode: 'Block' }), claim()), 'incompatible volumeMode');
  assert.equal(mismatchOf(volume('v', { accessModes: ['ReadOnlyMany'] }), claim()), 'incompatible accessMode');
});

test('who chose the volume is written on it, unless it was the user', () => {
  const annotations = (one: PersistentVolume | undefined) => one?.metadata.annotations?.['pv.kubernetes.io/bound-by-controller'];
  assert.equal(annotations(volumeBoundTo(volume('v'), claim())), 'yes');
  const reserved = volumeBoundTo(volume('v', { claimRef: { namespace: 'default', name: 'c' } }), claim());
  assert.deepEqual([annotations(reserved), reserved?.spec.claimRef?.uid], [undefined, 'u1']);
});

test('the newest default class is the default', () => {
  const storageClass = (name: string, creationTimestamp: string, isDefault: string) => ({ metadata: { name, creationTimestamp, annotations: { 'storageclass.kubernetes.io/is-default-class': isDefault } }, provisioner: 'p' });
  assert.equal(defaultClass([storageClass('a', '2026-01-01T00:00:00Z', 'true'), storageClass('b', '2026-01-02T00:00:00Z', 'true'), storageClass('c', '2026-01-03T00:00:00Z', 'false')])?.metadata.name, 'b');
});
