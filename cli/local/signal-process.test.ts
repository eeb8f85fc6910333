import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { signalProcess } from './signal-process.ts';

test('a process that has ended meanwhile is no error', async () => {
  assert.equal(signalProcess(spawnSync('true').pid, 'SIGKILL'), false);
  const child = spawn('sleep', ['60']);
  assert.equal(signalProcess(child.pid ?? 0, 'SIGKILL'), true);
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL']);
});
