import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationFrom } from './configuration.ts';

const read = (fields: Record<string, unknown>) => configurationFrom(fields, 'config.yaml');

test('an empty file has upstream\'s timings', () => {
  const found = read({});
  assert.deepEqual([found.nodeStatusUpdateFrequencyMs, found.nodeStatusReportFrequencyMs, found.nodeLeaseDurationSeconds], [10_000, 300_000, 40]);
  assert.deepEqual([found.firstContainerRestartPeriodMs, found.maxContainerRestartPeriodMs], [10_000, 300_000]);
  assert.deepEqual([found.runtimeRequestTimeoutMs, found.streamingConnectionIdleTimeoutMs, found.maxParallelImagePulls], [120_000, 14_400_000, 1]);
});

test('a node is reported as often as it is looked at when only that is set', () => {
  assert.equal(read({ nodeStatusUpdateFrequency: '2s' }).nodeStatusReportFrequencyMs, 2_000);
  assert.equal(read({ nodeStatusUpdateFrequency: '2s', nodeStatusReportFrequency: '5m' }).nodeStatusReportFrequencyMs, 300_000);
  assert.equal(read({ nodeStatusUpdateFrequency: '0s' }).nodeStatusReportFrequencyMs, 300_000);
});

test('the first wait of a crashing container is never longer than the longest', () => {
  const limits = (fields: Record<string, unknown>) => [read(fields).firstContainerRestartPeriodMs, read(fields).maxContainerRestartPeriodMs];
  assert.deepEqual(limits({ crashLoopBackOff: { maxContainerRestartPeriod: '5s' } }), [5_000, 5_000]);
  assert.deepEqual(limits({ featureGates: { ReduceDefaultCrashLoopBackOffDecay: true } }), [1_000, 60_000]);
  assert.deepEqual(limits({ featureGates: { ReduceDefaultCrashLoopBackOffDecay: true }, crashLoopBackOff: { maxContainerRestartPeriod: '10s' } }), [1_000, 10_000]);
});

test('images are pulled one after the other unless more at once are asked for', () => {
  assert.equal(read({ maxParallelImagePulls: 3 }).maxParallelImagePulls, 3);
  assert.equal(read({ maxParallelImagePulls: 3, serializeImagePulls: true }).maxParallelImagePulls, 1);
  assert.equal(read({ serializeImagePulls: false }).maxParallelImagePulls, Infinity);
});
