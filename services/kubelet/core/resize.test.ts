import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { allocationOf, isAllocated, knownAllocation, pendingResizes, resizeRefusal, withAllocation } from './resize.ts';
import { ran, runtimePod, sandbox } from './testing.ts';

const pod = (cpu: string, memory: string, policy?: 'RestartContainer'): Pod => ({
  metadata: { name: 'web', uid: 'u' },
  spec: { containers: [{ name: 'c', image: 'x', resources: { requests: { cpu, memory }, limits: { cpu, memory } }, ...(policy ? { resizePolicy: [{ resourceName: 'memory', restartPolicy: policy }] } : {}) }] },
});
const node: Node = { metadata: { name: 'n' }, spec: {}, status: { allocatable: { cpu: '2', memory: '1Gi' } } };
const MI = 1024 * 1024;

test('a pod keeps what it has been given until it is given what it asks for', () => {
  const given = allocationOf(pod('100m', '64Mi'));
  assert.equal(isAllocated(pod('200m', '64Mi'), given), false);
  assert.equal(withAllocation(pod('200m', '64Mi'), given).spec.containers[0]?.resources?.limits?.['cpu'], '100m');
});

test('after a restart of the kubelet a running container counts as having what its status says', () => {
  const given = knownAllocation(pod('200m', '64Mi'), { containerStatuses: [{ name: 'c', image: 'x', imageID: '', ready: true, restartCount: 0, state: { running: {} }, resources: { requests: { cpu: '100m' }, limits: { cpu: '100m' } } }] });
  assert.equal(given.get('c')?.limits?.['cpu'], '100m');
});

test('more than the node has is infeasible, more than it has left is deferred', () => {
  assert.deepEqual(resizeRefusal(pod('3', '64Mi'), [], node), { reason: 'Infeasible', message: "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000" });
  assert.equal(resizeRefusal(pod('1500m', '64Mi'), [pod('1', '64Mi')], node)?.reason, 'Deferred');
  assert.equal(resizeRefusal(pod('1', '64Mi'), [pod('1', '64Mi')], node), undefined);
});

test('a running container that differs is changed, or restarted where its policy says so', () => {
  const running = runtimePod([ran('c', { resources: { cpuShares: 102, cpuQuota: 10_000, cpuPeriod: 100_000, memoryLimitInBytes: 64 * MI } })], [sandbox()]);
  assert.deepEqual(pendingResizes(pod('100m', '64Mi'), running, 100_000), []);
  const [resize] = pendingResizes(pod('100m', '128Mi'), running, 100_000);
  assert.deepEqual([resize?.resources.memoryLimitInBytes, resize?.needsRestart], [128 * MI, false]);
  assert.equal(pendingResizes(pod('100m', '128Mi', 'RestartContainer'), running, 100_000)[0]?.needsRestart, true);
  assert.equal(pendingResizes(pod('200m', '64Mi', 'RestartContainer'), running, 100_000)[0]?.needsRestart, false);
});
