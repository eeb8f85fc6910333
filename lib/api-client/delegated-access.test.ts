import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { ApiClient } from './client.ts';
import { delegatedAccess } from './delegated-access.ts';

const asked: string[] = [];
/** Knows the token `good`, and lets its user read what is below /apis/ only. */
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
    const { kind, spec } = JSON.parse(Buffer.concat(chunks).toString()) as { kind: string; spec: { token?: string; user?: string; nonResourceAttributes?: { path: string; verb: string } } };
    const { path = '', verb = '' } = spec.nonResourceAttributes ?? {};
    asked.push(kind === 'TokenReview' ? 'token' : `${spec.user ?? ''} ${verb} ${path}`);
    const status = kind === 'TokenReview' ? { authenticated: spec.token === 'good', user: { username: 'jane', groups: ['dev'] } } : { allowed: spec.user === 'jane' && path.startsWith('/apis/') };
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ kind, status }));
  });
});
let api: ApiClient;
before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  api = new ApiClient({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }, 'test/1');
});
after(async () => {
  await api.close();
  server.close();
});

let nowMs = 0;
const clock = { nowMs: () => nowMs, sleep: () => Promise.resolve() };
const request = (url: string, token?: string): IncomingMessage => ({ url, method: 'GET', headers: token === undefined ? {} : { authorization: `Bearer ${token}` } }) as IncomingMessage;

test('who is not known is refused, who may not is forbidden, the rest is let through', async () => {
  const access = delegatedAccess(api, clock);
  assert.equal(await access(request('/metrics', 'bad')), 401);
  assert.equal(await access(request('/metrics', 'good')), 403);
  assert.equal(await access(request('/metrics')), 403);
  assert.equal(await access(request('/apis/x', 'good')), 200);
});

test('permission is asked for the path that is answered, however it is written', async () => {
  assert.equal(await delegatedAccess(api, clock)(request('/apis/../metrics?x=1', 'good')), 403);
  assert.equal(asked.at(-1), 'jane get /metrics');
});

test('answers are kept for ten seconds', async () => {
  const access = delegatedAccess(api, clock);
  asked.length = 0;
  for (let time = 0; time < 3; time++) await access(request('/apis/x', 'good'));
  assert.deepEqual(asked, ['token', 'jane get /apis/x']);
  nowMs += 10_001;
  await access(request('/apis/x', 'good'));
  assert.equal(asked.length, 4);
});

test('a server that cannot be asked is an error, not a refusal', async () => {
  const access = delegatedAccess(new ApiClient({ server: 'http://127.0.0.1:1' }, 'test/1'), clock);
  assert.equal(await access(request('/metrics', 'good')), 500);
});
