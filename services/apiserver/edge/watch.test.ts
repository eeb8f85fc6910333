import assert from 'node:assert/strict';
import { get as httpGet, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { startTestServer, type Json, type TestServer } from './testing/test-server.ts';

let server: TestServer;
let base: string;
before(async () => {
  server = await startTestServer();
  await server.app.listen({ host: '127.0.0.1', port: 0 });
  base = `127.0.0.1:${(server.app.server.address() as AddressInfo).port}`;
});
after(() => server.close());

const NS = '/api/v1/namespaces/default';
interface Line {
  readonly type: string;
  readonly object: Json;
}

/** Reads a watch line by line over a real socket. */
async function watch(path: string, accept = 'application/json') {
  const response = await new Promise<IncomingMessage>((resolve, reject) => httpGet(`http://${base}${path}`, { headers: { accept } }, resolve).on('error', reject));
  const lines = createInterface({ input: response })[Symbol.asyncIterator]();
  return {
    code: response.statusCode,
    async next(): Promise<Line> {
      const { value, done } = await lines.next() as { value: string; done?: boolean };
      assert.ok(!done, 'the watch has ended');
      return JSON.parse(value) as Line;
    },
    async ended(): Promise<boolean> {
      return (await lines.next()).done === true;
    },
    close: () => response.destroy(),
  };
}
const shown = ({ type, object }: Line): string => `${type} ${String(object['metadata']?.['name'])}`;
const create = (name: string, labels: object = {}) => server.post(`${NS}/configmaps`, { metadata: { name, labels } });
const revision = (): number => server.cache.revision;

test('a watch without a version tells the state first, then what happens', async () => {
  await create('w1');
  const stream = await watch(`${NS}/configmaps?watch=1&fieldSelector=metadata.name%3Dw1`);
  assert.equal(shown(await stream.next()), 'ADDED w1');
  await server.patch(`${NS}/configmaps/w1`, 'merge', { data: { a: '1' } });
  assert.equal(shown(await stream.next()), 'MODIFIED w1');
  await server.delete(`${NS}/configmaps/w1`);
  const last = await stream.next();
  assert.deepEqual([shown(last), last.object['metadata']?.['resourceVersion']], ['DELETED w1', String(server.storage.revision)]);
  stream.close();
});

test('a watch from a version replays what came after it', async () => {
  const from = revision();
  await create('r1');
  await create('r2');
  const stream = await watch(`${NS}/configmaps?watch=true&resourceVersion=${from}`);
  assert.deepEqual([shown(await stream.next()), shown(await stream.next())], ['ADDED r1', 'ADDED r2']);
  stream.close();
});

test('an object that enters or leaves the selection is ADDED or DELETED', async () => {
  const stream = await watch(`${NS}/configmaps?watch=1&resourceVersion=${revision()}&labelSelector=team%3Dred`);
  await create('t1', { team: 'blue' });
  await server.patch(`${NS}/configmaps/t1`, 'merge', { metadata: { labels: { team: 'red' } } });
  assert.equal(shown(await stream.next()), 'ADDED t1');
  await server.patch(`${NS}/configmaps/t1`, 'merge', { metadata: { labels: { team: 'green' } } });
  const left = await stream.next();
  assert.deepEqual([shown(left), left.object['metadata']?.['labels']], ['DELETED t1', { team: 'red' }]);
  stream.close();
});

test('initial events end with a bookmark that says so', async () => {
  const stream = await watch(`${NS}/serviceaccounts?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`);
  assert.equal(shown(await stream.next()), 'ADDED default');
  const bookmark = await stream.next();
  assert.deepEqual([bookmark.type, bookmark.object['kind'], bookmark.object['metadata']?.['annotations']], ['BOOKMARK', 'ServiceAccount', { 'k8s.io/initial-events-end': 'true' }]);
  stream.close();
});

test('a watch ends after its timeout, with a last bookmark', async () => {
  const stream = await watch(`${NS}/secrets?watch=1&resourceVersion=${revision()}&timeoutSeconds=1&allowWatchBookmarks=true`);
  assert.equal((await stream.next()).type, 'BOOKMARK');
  assert.equal(await stream.ended(), true);
});

test('a watch from before the window is told 410', async () => {
  const stream = await watch(`${NS}/configmaps?watch=1&resourceVersion=1`);
  assert.equal(stream.code, 200);
  // the memory of this server begins at revision 1: lose it
  stream.close();
  server.cache.replace((await server.storage.list('/registry/')).items, server.storage.revision);
  const late = await watch(`${NS}/configmaps?watch=1&resourceVersion=2`);
  const { type, object } = await late.next();
  assert.deepEqual([type, object['code'], object['reason'], object['message']], ['ERROR', 410, 'Expired', `too old resource version: 2 (${server.storage.revision})`]);
  assert.equal(await late.ended(), true);
});

test('a watch as Table sends columns once', async () => {
  const stream = await watch(`${NS}/configmaps?watch=1&resourceVersion=${revision()}`, 'application/json;as=Table;v=v1;g=meta.k8s.io');
  await create('tab1');
  await create('tab2');
  const [first, second] = [await stream.next(), await stream.next()];
  assert.deepEqual([first.object['kind'], Array.isArray(first.object['columnDefinitions']), second.object['columnDefinitions']], ['Table', true, null]);
  assert.equal((second.object['rows'] as unknown as { cells: unknown[] }[])[0]?.cells[0], 'tab2');
  stream.close();
});

test('events come over WebSocket as text frames', async () => {
  const socket = new WebSocket(`ws://${base}${NS}/configmaps?watch=1&resourceVersion=${revision()}`);
  const message = new Promise<string>((resolve, reject) => {
    socket.once('message', (data, isBinary) => (isBinary ? reject(new Error('binary frame')) : resolve(String(data as Buffer))));
    socket.once('error', reject);
  });
  await new Promise((resolve) => socket.once('open', resolve));
  await create('ws1');
  assert.equal(shown(JSON.parse(await message) as Line), 'ADDED ws1');
  socket.close();
});

test('a WebSocket to what is no watch is refused with a Status', async () => {
  const socket = new WebSocket(`ws://${base}/api/v1/foos?watch=1`);
  const code = await new Promise((resolve) => {
    socket.on('unexpected-response', (_request, response: IncomingMessage) => resolve(response.statusCode));
    socket.on('error', () => undefined);
  });
  assert.equal(code, 404);
});

test('a client that does not read is cut off, others are not', async () => {
  const slow = await new Promise<IncomingMessage>((resolve) => httpGet(`http://${base}${NS}/configmaps?watch=1&resourceVersion=${revision()}`, resolve));
  slow.pause();
  slow.socket.pause();
  let seen = 0;
  const quick = await new Promise<IncomingMessage>((resolve) => httpGet(`http://${base}${NS}/configmaps?watch=1&resourceVersion=${revision()}`, resolve));
  createInterface({ input: quick }).on('line', () => { seen += 1; });
  await create('big');
  for (let round = 0; round < 2500 && server.cut.length === 0; round += 1) {
    await server.patch(`${NS}/configmaps/big`, 'merge', { data: { a: `${round}`.padEnd(20_000, 'x') } });
  }
  assert.deepEqual(server.cut, ['configmaps']);
  assert.ok(seen > 1000, `the quick client has seen ${seen}`);
  quick.destroy();
  slow.destroy();
});
