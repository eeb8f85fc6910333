// Over the socket, with the kubelet's client: answers, refusals, events, and the end.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pino } from 'pino';
import { connectToRuntime, isNotFound } from '#lib/cri/client.ts';
import { serveCri, type CriDependencies } from './cri-server.ts';
import { NotFound } from './runtime.ts';

const folder = mkdtempSync(join(tmpdir(), 'cri-server-test-'));
after(() => rmSync(folder, { recursive: true }));

const listeners = new Set<(event: object) => void>();
/** What the calls below come to; the rest is not reached. */
const dependencies = {
  log: pino({ level: 'silent' }), now: () => 0n,
  runtime: {
    events: {
      subscribe: (listener: (event: object) => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    sandbox: (id: string) => { throw new NotFound(`an error occurred when try to find sandbox: ${id}: not found`); },
    sandboxes: new Map(), stopSandbox: () => new Promise((resolve) => setTimeout(resolve, 100)),
  },
} as unknown as CriDependencies;

test('calls are answered and refused, events come as they happen, and the end lets running calls finish', async () => {
  const path = join(folder, 'containerd.sock');
  const server = await serveCri(path, dependencies);
  await assert.rejects(serveCri(path, dependencies), /address already in use/);
  const { runtime, close } = connectToRuntime(`unix://${path}`);
  assert.equal((await runtime.version({ version: '0.1.0' })).runtimeName, 'containerd');
  assert.deepEqual((await runtime.listPodSandbox({})).items, []);
  await assert.rejects(runtime.podSandboxStatus({ podSandboxId: 'x' }), (error: unknown) => isNotFound(error) && error.message.endsWith('sandbox: x: not found'));
  await assert.rejects(runtime.createContainer({ podSandboxId: 'x' }), { code: 9, message: 'the request lacks a config' });

  const stopping = new AbortController();
  const events = runtime.containerEvents(stopping.signal)[Symbol.asyncIterator]();
  const first = events.next();
  for (const deadlineMs = Date.now() + 10_000; listeners.size === 0 && Date.now() < deadlineMs;) await new Promise((resolve) => setTimeout(resolve, 5));
  for (const listener of listeners) listener({ containerId: 'c', createdAt: 7n });
  assert.equal((await first).value?.containerId, 'c');

  const running = runtime.stopPodSandbox({ podSandboxId: 'x' });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const closed = server.close();
  assert.deepEqual(await running, {});
  await assert.rejects(Promise.resolve(events.next()));
  await closed;
  assert.equal(listeners.size, 0);
  await assert.rejects(runtime.version({ version: '0.1.0' }, { timeoutMs: 1000 }));
  close();
});
