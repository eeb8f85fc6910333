import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEnabled } from './registry.ts';

test('--controllers: a name decides, wherever it stands, and * stands for the rest', () => {
  assert.equal(isEnabled('a', ['*']), true);
  assert.equal(isEnabled('a', ['*', '-a']), false);
  assert.equal(isEnabled('a', ['b']), false);
  assert.equal(isEnabled('a', ['a', '-a']), true);
  // What kubeadm passes.
  assert.equal(isEnabled('replicaset-controller', ['*', 'bootstrapsigner', 'tokencleaner']), true);
});
