import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cgroupWrites } from './resources.ts';

const limits = { memoryLimitInBytes: 67_108_864, cpuShares: 512, cpuQuota: 50_000, cpuPeriod: 100_000 };

test('limits become the files of cgroup v1', () => {
  assert.deepEqual(cgroupWrites(limits, 1).map(({ file, value }) => `${file}=${value}`), [
    'memory.limit_in_bytes=67108864', 'cpu.shares=512', 'cpu.cfs_period_us=100000', 'cpu.cfs_quota_us=50000',
  ]);
});

test('limits become the files of cgroup v2, shares as a weight', () => {
  assert.deepEqual(cgroupWrites(limits, 2).map(({ file, value }) => `${file}=${value}`), ['memory.max=67108864', 'cpu.weight=20', 'cpu.max=50000 100000']);
  assert.deepEqual(cgroupWrites({ cpuShares: 2 }, 2).map(({ value }) => value), ['1']);
});

test('what is not set is not written', () => assert.deepEqual(cgroupWrites({}, 1), []));
