// What clients see of an API server that misbehaves by rules.
import assert from 'node:assert/strict';
import { get as httpGet, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { after, afterEach, before, test } from 'node:test';
import type { RuleEffect, RuleMatch, RuleRate } from '#lib/api-fault/rule.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { startTestServer, type Json, type TestServer } from '../testing/test-server.ts';

const NS = '/api/v1/namespaces/default';
let server: TestServer;
let base: string;
before(async () => {
  server = await startTestServer();
  await server.app.listen({ host: '127.0.0.1', port: 0 });
  base = `http://127.0.0.1:${(server.app.server.address() as AddressInfo).port}`;
});
after(() => server.close());
afterEach(() => server.apiFaults.clear());

const rule = (effect: RuleEffect, match: RuleMatch = {}, rate: Partial<RuleRate> = {}): void => {
  assert.ok(server.apiFaults.put({ id: 'f001', match, rate: { seed: 1, ...rate }, effect }));
};
const hits = (): number => server.apiFaults.list()[0]?.hits ?? -1;
const create = (name: string) => server.post(`${NS}/configmaps`, { metadata: { name } });

test('refusals are the Status bodies of upstream, and name the rule in a header', async () => {
  await create('refused');
  rule({ type: 'status', code: 409 }, { resources: ['core/configmaps'] });
  const conflict = await server.patch(`${NS}/configmaps/refused`, 'merge', { data: { a: '1' } });
  assert.deepEqual([conflict.code, conflict.json['reason'], conflict.json['message']], [409, 'Conflict', 'Operation cannot be fulfilled on configmaps "refused": the object has been modified; please apply your changes to the latest version and try again']);
  assert.equal(conflict.headers['x-emulator-api-fault'], 'f001');
  assert.equal((await server.get(`${NS}/configmaps/refused`)).code, 200, 'a read is never a conflict');

  rule({ type: 'status', code: 429, retryAfterSeconds: 7 }, { verbs: ['get'] });
  const busy = await server.get(`${NS}/configmaps/refused`);
  assert.deepEqual([busy.code, busy.headers['retry-after'], busy.json['reason'], busy.json['details']?.['retryAfterSeconds']], [429, '7', 'TooManyRequests', 7]);

  rule({ type: 'status', code: 500 });
  assert.deepEqual(((answer) => [answer.code, answer.json['reason']])(await server.get(`${NS}/configmaps`)), [500, 'InternalError']);
  rule({ type: 'status', code: 503 });
  assert.deepEqual(((answer) => [answer.code, answer.json['reason']])(await server.get(`${NS}/configmaps`)), [503, 'ServiceUnavailable']);
  assert.equal((await server.get('/healthz')).code, 200, 'only resources are touched');
});

test('a page that is too old is 410 with a way to go on, and lists from the beginning are not touched', async () => {
  for (const name of ['page-a', 'page-b', 'page-c']) await create(name);
  const first = await server.get(`${NS}/configmaps?limit=1`);
  rule({ type: 'status', code: 410 });
  const second = await server.get(`${NS}/configmaps?limit=1&continue=${first.json['metadata']?.['continue']}`);
  assert.deepEqual([second.code, second.json['reason'], typeof second.json['metadata']?.['continue']], [410, 'Expired', 'string']);
  assert.equal((await server.get(`${NS}/configmaps?limit=1`)).code, 200);
  assert.equal((await server.get(`${NS}/configmaps?resourceVersion=0`)).code, 200);
  assert.equal(hits(), 1);
});

test('latency holds a request up and no longer than that', async () => {
  rule({ type: 'latency', delayMs: 80, jitterMs: 0 }, { verbs: ['list'] });
  const startedMs = performance.now();
  assert.equal((await server.get(`${NS}/configmaps`)).code, 200);
  assert.ok(performance.now() - startedMs >= 75);
});

test('a connection is cut before the write, or when the write is done', async () => {
  const send = (name: string) => fetch(`${base}${NS}/configmaps`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ metadata: { name } }) });
  rule({ type: 'drop', when: 'before' }, { verbs: ['create'] });
  await assert.rejects(send('never'), TypeError);
  rule({ type: 'drop', when: 'after' }, { verbs: ['create'] });
  await assert.rejects(send('unheard'), TypeError);
  server.apiFaults.clear();
  assert.equal((await server.get(`${NS}/configmaps/never`)).code, 404);
  assert.equal((await server.get(`${NS}/configmaps/unheard`)).code, 200);
});

test('lists that allow it are as of when the rule came; others are not', async () => {
  await create('old');
  rule({ type: 'stale' }, { resources: ['configmaps'] });
  const revision = server.cache.revision;
  await create('new');
  const names = async (query: string) => {
    const { json } = await server.get(`${NS}/configmaps${query}`);
    return { version: Number(json['metadata']?.['resourceVersion']), has: (json['items'] as unknown as Json[]).some((item) => String(item['metadata']?.['name']) === 'new') };
  };
  assert.deepEqual(await names('?resourceVersion=0'), { version: revision, has: false });
  assert.deepEqual(await names(`?resourceVersion=${revision}&resourceVersionMatch=NotOlderThan`), { version: revision, has: false });
  assert.equal((await names('')).has, true, 'a consistent read stays one');
  server.apiFaults.clear();
  assert.equal((await names('?resourceVersion=0')).has, true);
});

async function watch(path: string) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => httpGet(`${base}${path}`, resolve).on('error', reject));
  response.on('error', () => undefined);
  const lines = createInterface({ input: response })[Symbol.asyncIterator]();
  return {
    response,
    next: async (): Promise<{ type: string; object: Json } | undefined> => {
      const { value, done } = await lines.next() as { value: string; done?: boolean };
      return done ? undefined : JSON.parse(value) as { type: string; object: Json };
    },
  };
}

test('events of a running watch come late, in their order, and at once when the rule goes', async () => {
  const stream = await watch(`${NS}/configmaps?watch=1&resourceVersion=${server.cache.revision}`);
  rule({ type: 'watch-delay', delayMs: 60, jitterMs: 0 }, { verbs: ['watch'] });
  const startedMs = performance.now();
  await create('late-1');
  await create('late-2');
  assert.equal((await stream.next())?.object['metadata']?.['name'], 'late-1');
  assert.ok(performance.now() - startedMs >= 55);
  assert.equal((await stream.next())?.object['metadata']?.['name'], 'late-2');
  rule({ type: 'watch-delay', delayMs: 3_600_000, jitterMs: 0 });
  await create('late-3');
  server.apiFaults.clear();
  assert.equal((await stream.next())?.object['metadata']?.['name'], 'late-3');
  stream.response.destroy();
});

test('running watches are cut: with 410 as the last event, or without a word', async () => {
  const told = await watch(`${NS}/configmaps?watch=1&resourceVersion=${server.cache.revision}`);
  rule({ type: 'watch-cut', afterMs: 0, expired: true }, { resources: ['configmaps'] }, { first: 1 });
  const last = await told.next();
  assert.deepEqual([last?.type, last?.object['code'], last?.object['reason']], ['ERROR', 410, 'Expired']);
  assert.equal(await told.next(), undefined);
  const spared = await watch(`${NS}/configmaps?watch=1&resourceVersion=${server.cache.revision}`);
  await create('after-the-cut');
  assert.equal((await spared.next())?.type, 'ADDED');
  const closed = new Promise((resolve) => spared.response.once('close', resolve));
  rule({ type: 'watch-cut', afterMs: 0, expired: false });
  await closed;
  assert.equal(spared.response.complete, false, 'it did not end in good order');
});

test('a watch from a revision is told that it is too old', async () => {
  rule({ type: 'status', code: 410 }, { verbs: ['watch'] });
  const stream = await watch(`${NS}/configmaps?watch=1&resourceVersion=${server.cache.revision}`);
  assert.equal((await stream.next())?.object['code'], 410);
});

test('a rule ends by itself when it has a time', async () => {
  server.apiFaults.put({ id: 'f002', match: {}, rate: { seed: 1 }, effect: { type: 'status', code: 500 }, forMs: 20 });
  assert.equal((await server.get(`${NS}/configmaps`)).code, 500);
  await systemClock.sleep(25);
  assert.equal((await server.get(`${NS}/configmaps`)).code, 200);
  assert.deepEqual(server.apiFaults.list(), []);
});
