import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { PodDisruptionBudget } from '#lib/kinds/types/policy-v1.ts';
import { expectation, planDisruption } from './plan.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const budget = (spec: PodDisruptionBudget['spec'], disruptedPods: Record<string, string> = {}): PodDisruptionBudget => ({
  metadata: { name: 'pdb', generation: 4 }, spec: spec ?? {}, status: { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0, disruptedPods },
});
const pod = (name: string, ready = true): Pod => ({ metadata: { name }, spec: { containers: [] }, status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] } });
const pods = ['a', 'b', 'c'].map((name) => pod(name));

test('minAvailable as a number expects the pods there are', () => {
  assert.deepEqual(expectation(budget({ minAvailable: 2 }), pods, () => assert.fail('needs no scale')), { expectedPods: 3, desiredHealthy: 2 });
});

test('percentages and maxUnavailable count by what the controllers ask for, rounded up', () => {
  assert.deepEqual(expectation(budget({ minAvailable: '50%' }), pods, () => 5), { expectedPods: 5, desiredHealthy: 3 });
  assert.deepEqual(expectation(budget({ maxUnavailable: '25%' }), pods, () => 5), { expectedPods: 5, desiredHealthy: 3 });
  assert.deepEqual(expectation(budget({ maxUnavailable: 9 }), pods, () => 5), { expectedPods: 5, desiredHealthy: 0 });
});

test('as many may go as are healthy beyond the wish', () => {
  const { status } = planDisruption(budget({ minAvailable: 2 }), [...pods, pod('d', false)], { expectedPods: 4, desiredHealthy: 2 }, NOW);
  assert.deepEqual([status.currentHealthy, status.disruptionsAllowed, status.observedGeneration], [3, 1, 4]);
  assert.deepEqual(status.conditions?.map(({ type, status: value, reason }) => [type, value, reason]), [['DisruptionAllowed', 'True', 'SufficientPods']]);
});

test('an eviction under way counts as unhealthy for two minutes, then as not happened', () => {
  const recent = planDisruption(budget({ minAvailable: 2 }, { a: '2026-01-01T11:59:00Z' }), pods, { expectedPods: 3, desiredHealthy: 2 }, NOW);
  assert.deepEqual([recent.status.currentHealthy, recent.status.disruptionsAllowed, recent.recheckMs, recent.status.conditions?.[0]?.reason], [2, 0, 60_000, 'InsufficientPods']);
  const old = planDisruption(budget({ minAvailable: 2 }, { a: '2026-01-01T11:57:00Z' }), pods, { expectedPods: 3, desiredHealthy: 2 }, NOW);
  assert.deepEqual([old.status.disruptionsAllowed, old.status.disruptedPods, old.notDeleted.map(({ metadata }) => metadata.name)], [1, undefined, ['a']]);
});

test('where no pods are expected none may go', () => {
  assert.equal(planDisruption(budget({ maxUnavailable: 1 }), [], { expectedPods: 0, desiredHealthy: 0 }, NOW).status.disruptionsAllowed, 0);
});
