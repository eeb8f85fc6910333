import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grown, memoryByComponent } from './memory.ts';

const MIB = 1024 * 1024;
const report = (component: string, host: string, mib: number) => ({ component, host, pid: 1, health: 'healthy' as const, restarts: 0, pssBytes: mib * MIB });

test('what may run anywhere is compared wherever it runs', () => {
  assert.deepEqual(memoryByComponent([report('etcd', 'm', 30), report('coredns', 'w1', 10), report('coredns', 'w2', 12)], new Set(['coredns'])), { 'etcd@m': 30 * MIB, coredns: 12 * MIB });
});

test('growth of one process and of all together is told', () => {
  assert.deepEqual(grown({ first: { a: 30 * MIB, b: 30 * MIB }, last: { a: 50 * MIB, b: 35 * MIB } }), []);
  assert.deepEqual(grown({ first: { a: 100 * MIB, b: 30 * MIB }, last: { a: 80 * MIB, b: 90 * MIB } }), ['b has grown from 30.0 MiB to 90.0 MiB']);
  assert.deepEqual(grown({ first: { a: 30 * MIB, b: 30 * MIB }, last: { a: 60 * MIB, b: 60 * MIB } }), ['all processes have grown from 60.0 MiB to 120.0 MiB']);
});
