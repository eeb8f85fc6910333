import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior } from '#lib/kinds/types/autoscaling-v2.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { decide, newMemory, noteChange, type Memory } from './limits.ts';
import { replicasByAverage, replicasByShare, replicasByUtilization, replicasByValue, toleranceOf, type PodMetric } from './replicas.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const settings = { cpuInitializationMs: 300_000, initialReadinessDelayMs: 30_000, tolerances: { up: 0.1, down: 0.1 } };
interface Shape { phase?: string; ready?: boolean; request?: string; started?: string; changed?: string; deleting?: boolean }
const pod = (name: string, { phase = 'Running', ready = true, request = '100m', started = '2026-01-01T11:00:00Z', changed = '2026-01-01T11:00:05Z', deleting = false }: Shape = {}): Pod => ({
  metadata: { name, ...(deleting ? { deletionTimestamp: '2026-01-01T11:59:00Z' } : {}) },
  spec: { containers: [{ name: 'c', ...(request === '' ? {} : { resources: { requests: { cpu: request } } }) }] },
  status: { phase, startTime: started, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: changed }] },
});
const metrics = (values: Record<string, number>): Map<string, PodMetric> => new Map(Object.entries(values).map(([name, milli]) => [name, { milli, timeMs: NOW - 10_000, windowMs: 30_000 }]));
const byUtilization = (pods: Pod[], values: Record<string, number>, target = 50, currentReplicas = pods.length) =>
  replicasByUtilization({ pods, metrics: metrics(values), currentReplicas, settings, nowMs: NOW }, 'cpu', undefined, target);

test('as many replicas as bring the share of requests down to the target', () => {
  assert.deepEqual(byUtilization([pod('a'), pod('b')], { a: 100, b: 100 }), { replicas: 4, utilization: 100, milli: 100 });
  assert.equal(byUtilization([pod('a'), pod('b'), pod('c')], { a: 10, b: 10, c: 10 }).replicas, 1);
});

test('a ratio within the tolerance changes nothing', () => {
  assert.equal(byUtilization([pod('a'), pod('b')], { a: 55, b: 54 }).replicas, 2);
});

test('pods that are starting do not count, and hold back growth', () => {
  const young = { started: '2026-01-01T11:59:30Z', changed: '2026-01-01T11:59:35Z' };
  const pods = [pod('a'), pod('b', { ...young, ready: false }), pod('c', { phase: 'Pending' })];
  assert.equal(byUtilization(pods, { a: 150, b: 300 }).replicas, 3, '150 % of one pod among three is on target');
  assert.equal(byUtilization(pods, { a: 300, b: 0 }).replicas, 6);
});

test('pods without a sample speak against the change', () => {
  assert.equal(byUtilization([pod('a'), pod('b')], { a: 10 }).replicas, 2, 'they are taken to use all they request');
  assert.equal(byUtilization([pod('a'), pod('b')], { a: 90 }).replicas, 2, 'or nothing');
});

test('what is missing is named', () => {
  assert.throws(() => byUtilization([], {}), /no pods returned by selector while calculating replica count/);
  assert.throws(() => byUtilization([pod('a', { request: '' })], { a: 5 }), /missing request for cpu in container c of Pod a/);
  assert.throws(() => byUtilization([pod('a', { phase: 'Pending' })], { a: 5 }), /did not receive metrics for targeted pods \(pods might be unready\)/);
});

test('averages, values and shares', () => {
  const pods = [pod('a'), pod('b')];
  assert.equal(replicasByAverage({ pods, metrics: metrics({ a: 20_000, b: 40_000 }), currentReplicas: 2, settings, nowMs: NOW }, '', 10_000).replicas, 6);
  assert.equal(replicasByValue(30_000, 10_000, { currentReplicas: 2, pods, tolerances: settings.tolerances }).replicas, 6);
  assert.deepEqual(replicasByShare(50_000, 10_000, 2, settings.tolerances), { replicas: 5, milli: 25_000 });
});

const autoscaler = (behavior?: HorizontalPodAutoscalerBehavior): HorizontalPodAutoscaler => ({
  metadata: { name: 'web' }, spec: { minReplicas: 2, maxReplicas: 20, scaleTargetRef: { kind: 'Deployment', name: 'web' }, ...(behavior ? { behavior } : {}) },
});
const decided = (currentReplicas: number, wanted: number, { behavior, memory = newMemory(), nowMs = NOW }: { behavior?: HorizontalPodAutoscalerBehavior; memory?: Memory; nowMs?: number } = {}) => {
  const { replicas, ableToScale, limited } = decide(autoscaler(behavior), memory, { currentReplicas, wanted, downscaleStabilizationMs: 300_000, nowMs });
  return [replicas, ableToScale.reason, limited.reason];
};

test('bounds and the default rate', () => {
  assert.deepEqual(decided(5, 7), [7, 'ReadyForNewScale', 'DesiredWithinRange']);
  assert.deepEqual(decided(3, 19), [6, 'ReadyForNewScale', 'ScaleUpLimit']);
  assert.deepEqual(decided(15, 40), [20, 'ReadyForNewScale', 'TooManyReplicas']);
  assert.deepEqual(decided(5, 1), [2, 'ReadyForNewScale', 'TooFewReplicas']);
});

test('scaling down waits for the highest recommendation of five minutes to pass', () => {
  const memory = newMemory();
  assert.deepEqual(decided(10, 10, { memory }), [10, 'ReadyForNewScale', 'DesiredWithinRange']);
  assert.deepEqual(decided(10, 4, { memory, nowMs: NOW + 60_000 }), [10, 'ScaleDownStabilized', 'DesiredWithinRange']);
  assert.deepEqual(decided(10, 4, { memory, nowMs: NOW + 301_000 }), [4, 'ReadyForNewScale', 'DesiredWithinRange']);
});

test('a behavior limits the rate in its periods', () => {
  const behavior = {
    scaleUp: { stabilizationWindowSeconds: 0, selectPolicy: 'Max', policies: [{ type: 'Pods', value: 3, periodSeconds: 60 }] },
    scaleDown: { stabilizationWindowSeconds: 0, selectPolicy: 'Max', policies: [{ type: 'Percent', value: 50, periodSeconds: 60 }] },
  };
  const memory = newMemory();
  assert.deepEqual(decided(4, 10, { behavior, memory }), [7, 'ReadyForNewScale', 'ScaleUpLimit']);
  noteChange(autoscaler(behavior), memory, 3, NOW);
  assert.deepEqual(decided(7, 10, { behavior, memory, nowMs: NOW + 15_000 }), [7, 'ReadyForNewScale', 'ScaleUpLimit']);
  assert.deepEqual(decided(7, 10, { behavior, memory, nowMs: NOW + 61_000 }), [10, 'ReadyForNewScale', 'DesiredWithinRange']);
  assert.deepEqual(decided(10, 2, { behavior }), [5, 'ReadyForNewScale', 'ScaleDownLimit']);
  assert.deepEqual(decided(10, 2, { behavior: { ...behavior, scaleDown: { ...behavior.scaleDown, selectPolicy: 'Disabled' } } }), [10, 'ReadyForNewScale', 'ScaleDownLimit']);
});

test('a window for scaling up takes the lowest recommendation', () => {
  const behavior = { scaleUp: { stabilizationWindowSeconds: 60, policies: [{ type: 'Percent', value: 900, periodSeconds: 15 }] }, scaleDown: { stabilizationWindowSeconds: 0, policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] } };
  const memory = newMemory();
  decided(4, 5, { behavior, memory });
  assert.deepEqual(decided(4, 9, { behavior, memory, nowMs: NOW + 15_000 }), [5, 'ScaleUpStabilized', 'DesiredWithinRange']);
});

test('the tolerance of a direction is a quantity', () => {
  assert.equal(toleranceOf({ tolerance: '50m' }, 0.1), 0.05);
  assert.equal(toleranceOf({ tolerance: '0.2' }, 0.1), 0.2);
  assert.equal(toleranceOf(undefined, 0.1), 0.1);
});
