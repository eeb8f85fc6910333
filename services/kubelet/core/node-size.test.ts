import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { cgroupFiles } from './cgroup-settings.ts';
import { bytesToFree, removableImages } from './image-garbage.ts';
import { kubepodsLimits, podLimits, qosShares } from './node-size.ts';
import { preemptionVictims } from './preemption.ts';

const MI = 1024 * 1024;
const facts = { cpuCount: 8, memoryBytes: 16 * 1024 * MI, storageBytes: 0, swapBytes: 0, machineId: '', systemUuid: '', bootId: '', kernelVersion: '', osImage: '', architecture: 'amd64' };
const settings = { maxPods: 110, cpu: '', memory: '', kubeReserved: {}, systemReserved: { memory: '100Mi' }, evictionHard: { 'memory.available': '100Mi' } };
const pod = (name: string, cpu?: string, limits?: Record<string, string>, priority = 0): Pod => ({
  metadata: { name, uid: name }, spec: { priority, containers: [{ name: 'c', image: 'x', resources: { ...(cpu === undefined ? {} : { requests: { cpu } }), ...(limits ? { limits } : {}) } }] },
});

test('all pods may use memory up to what is reserved, and of a declared size no more CPU than declared', () => {
  assert.deepEqual(kubepodsLimits(facts, settings, 100_000), { cpuShares: 8192, memoryLimit: (16 * 1024 - 100) * MI });
  assert.deepEqual(kubepodsLimits(facts, { ...settings, cpu: '2', memory: '2Gi' }, 100_000), { cpuShares: 2048, memoryLimit: (2048 - 100) * MI, cpuQuota: 200_000, cpuPeriod: 100_000 });
});

test('a pod is limited as a whole only when each of its containers is', () => {
  assert.deepEqual(podLimits(pod('a', '100m', { cpu: '500m', memory: '64Mi' }), 100_000, -1), { cpuShares: 102, cpuQuota: 50_000, cpuPeriod: 100_000, memoryLimit: 64 * MI });
  assert.deepEqual(podLimits(pod('a', '100m', { cpu: '500m' }), 100_000, 10), { cpuShares: 102, cpuQuota: 50_000, cpuPeriod: 100_000, memoryLimit: -1, pids: 10 });
  assert.deepEqual(qosShares([pod('a', '500m'), pod('b', '250m'), pod('c')]), { burstable: 768, besteffort: 2 });
});

test('settings are written as the cgroup version wants them', () => {
  assert.deepEqual(cgroupFiles({ memoryLimit: -1, cpuQuota: -1, pids: 5 }, 1).map(({ controller, name, text }) => `${controller}/${name}=${text}`), ['cpu/cpu.cfs_period_us=100000', 'cpu/cpu.cfs_quota_us=-1', 'memory/memory.limit_in_bytes=-1', 'pids/pids.max=5']);
  assert.deepEqual(cgroupFiles({ memoryLimit: -1, cpuQuota: 50_000, cpuShares: 1024 }, 2).map(({ name, text }) => `${name}=${text}`), ['cpu.weight=39', 'cpu.max=50000 100000', 'memory.max=max']);
});

test('a critical pod takes the place of the least important pods that free enough', () => {
  const critical = pod('critical', '500m', undefined, 2_000_001_000);
  const others = [pod('guaranteed', '500m', { cpu: '500m', memory: '1Mi' }), pod('small', '100m'), pod('large', '600m'), pod('other-critical', '900m', undefined, 2_000_000_000)];
  assert.deepEqual(preemptionVictims(critical, others, { cpu: 500 })?.map(({ metadata }) => metadata.name), ['large']);
  assert.equal(preemptionVictims(critical, others, { cpu: 5000 }), undefined);
});

test('images that nothing uses go when the disk is fuller than the high mark, the longest unused first', () => {
  const policy = { highPercent: 85, lowPercent: 80, minAgeMs: 120_000 };
  assert.equal(bytesToFree({ capacity: 1000, available: 160 }, policy), 0);
  assert.equal(bytesToFree({ capacity: 1000, available: 100 }, policy), 100);
  const image = (id: string, more: object) => ({ id, sizeBytes: 1, isInUse: false, isPinned: false, seenMs: 0, usedMs: 0, ...more });
  const images = [image('recent', { usedMs: 500 }), image('never', {}), image('used', { isInUse: true }), image('new', { seenMs: 199_000 }), image('pinned', { isPinned: true })];
  assert.deepEqual(removableImages(images, policy, 200_000).map(({ id }) => id), ['never', 'recent']);
});
