import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Pod, Taint, Toleration } from '#lib/kinds/types/core-v1.ts';
import { planEviction } from './plan.ts';

const node = (...taints: Taint[]): Node => ({ metadata: { name: 'w1' }, spec: { taints }, status: {} });
const pod = (...tolerations: Toleration[]): Pod => ({ metadata: { name: 'p' }, spec: { containers: [], tolerations } });
const unreachable: Taint = { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' };
const notReady: Taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' };
const tolerating = (key: string, tolerationSeconds?: number): Toleration => ({ key, operator: 'Exists', effect: 'NoExecute', ...(tolerationSeconds === undefined ? {} : { tolerationSeconds }) });

test('a pod stays without NoExecute taints, and with a toleration without end', () => {
  assert.deepEqual(planEviction(pod(), node({ key: 'x', effect: 'NoSchedule' })), { type: 'stay' });
  assert.deepEqual(planEviction(pod(tolerating(unreachable.key)), node(unreachable)), { type: 'stay' });
  assert.deepEqual(planEviction(pod(), undefined), { type: 'stay' });
});

test('a pod that does not tolerate a taint goes at once', () => {
  assert.deepEqual(planEviction(pod(tolerating(notReady.key, 300)), node(unreachable)), { type: 'evict-now' });
  assert.deepEqual(planEviction(pod(tolerating(unreachable.key, 0)), node(unreachable)), { type: 'evict-now' });
});

test('the shortest of the tolerations in use counts', () => {
  assert.deepEqual(planEviction(pod(tolerating(unreachable.key, 300), tolerating(notReady.key, 60)), node(unreachable, notReady)), { type: 'evict-after', durationMs: 60_000 });
  assert.deepEqual(planEviction(pod(tolerating(unreachable.key, 300), tolerating(notReady.key)), node(unreachable, notReady)), { type: 'evict-after', durationMs: 300_000 });
});
