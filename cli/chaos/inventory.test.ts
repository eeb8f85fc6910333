import assert from 'node:assert/strict';
import { test } from 'node:test';
import { additions, parseInventory } from './inventory.ts';

const seen = (...lines: string[]) => new Map([['w1-k8s', parseInventory(`${lines.join('\n')}\n`)]]);

test('what is there afterwards and was not before is told, whatever its process ids', () => {
  const before = seen('interface eth0', 'table ip nat', 'process node /opt/kubreak/dist/node.js --parent 4711', `mount /run/x/${'a'.repeat(64)}`);
  assert.deepEqual(additions(before, seen('table ip nat', 'process node /opt/kubreak/dist/node.js --parent 4799', `mount /run/x/${'b'.repeat(64)}`)), []);
  assert.deepEqual(additions(before, seen('interface eth0', 'table inet kubreak-f012', 'process sleep 600')), ['w1-k8s: table inet kubreak-f012', 'w1-k8s: process sleep N']);
});
