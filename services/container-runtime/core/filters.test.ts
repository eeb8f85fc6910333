import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerMatches, sandboxMatches } from './filters.ts';

const sandbox = { id: 'abcdef', state: 'SANDBOX_READY', labels: { app: 'web', tier: 'front' } } as const;
const container = { id: 'c0ffee', sandboxId: 'abcdef', state: 'CONTAINER_RUNNING', labels: { app: 'web' } } as const;

test('no filter lets everything pass', () => {
  assert.ok(sandboxMatches(undefined, sandbox));
  assert.ok(containerMatches({ id: '', podSandboxId: '', labelSelector: {} }, container));
});

test('id (its first characters suffice), state and every label must match', () => {
  assert.ok(sandboxMatches({ id: 'abc', state: { state: 'SANDBOX_READY' }, labelSelector: { app: 'web' } }, sandbox));
  assert.ok(!sandboxMatches({ id: 'abc', state: { state: 'SANDBOX_NOTREADY' }, labelSelector: {} }, sandbox));
  assert.ok(!sandboxMatches({ id: '', labelSelector: { app: 'web', tier: 'back' } }, sandbox));
  assert.ok(containerMatches({ id: '', podSandboxId: 'abcdef', labelSelector: {} }, container));
  assert.ok(!containerMatches({ id: '', podSandboxId: 'other', labelSelector: {} }, container));
});
