import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limitFile } from './host-limits.ts';

test('limits are written and read as version 1 has them', () => {
  const cpu = limitFile('kubreak-1/w1-k8s', 'cpu', 1);
  assert.equal(cpu.path, '/sys/fs/cgroup/cpu/kubreak-1/w1-k8s/cpu.cfs_quota_us');
  assert.deepEqual([cpu.text(0.2), cpu.text(0.001), cpu.text(undefined)], ['20000', '1000', '-1']);
  assert.deepEqual([cpu.amount('20000'), cpu.amount('-1')], [0.2, undefined]);
  const memory = limitFile('kubreak-1/w1-k8s', 'memory', 1);
  assert.deepEqual([memory.text(1024), memory.text(undefined)], ['1024', '-1']);
  assert.deepEqual([memory.amount('1024'), memory.amount('9223372036854771712')], [1024, undefined]);
});

test('limits are written and read as version 2 has them', () => {
  const cpu = limitFile('kubreak-1/w1-k8s', 'cpu', 2);
  assert.equal(cpu.path, '/sys/fs/cgroup/kubreak-1/w1-k8s/cpu.max');
  assert.deepEqual([cpu.text(1.5), cpu.text(undefined)], ['150000 100000', 'max 100000']);
  assert.deepEqual([cpu.amount('150000 100000'), cpu.amount('max 100000')], [1.5, undefined]);
  const memory = limitFile('kubreak-1/w1-k8s', 'memory', 2);
  assert.deepEqual([memory.text(undefined), memory.amount('max'), memory.amount('4096')], ['max', undefined, 4096]);
});
