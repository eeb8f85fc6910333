// The client of lib/etcd-api against the real process: watches and calls outlive a restart of the server.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connectToEtcd, prefixEnd, type EtcdClient } from '#lib/etcd-api/client.ts';
import { WatchCompactedError } from '#lib/etcd-api/errors.ts';
import { freePort } from '#lib/testing/free-ports.ts';
import type { WatchUpdate } from '#lib/etcd-api/watch.ts';
import { spawnEtcd, temporaryFolder, until, writeCertificates, type EtcdProcess } from './testing.ts';

const folder = temporaryFolder();
await writeCertificates(folder.path);
after(() => folder.remove());

let nextFolder = 0;
async function start(port = 0, dataDir = `${folder.path}/data-${nextFolder++}`): Promise<{ server: EtcdProcess; etcd: EtcdClient; port: number; dataDir: string }> {
  const file = (name: string): string => `${folder.path}/${name}`;
  const server = await spawnEtcd([
    `--data-dir=${dataDir}`, `--listen-client-urls=https://127.0.0.1:${port}`, '--client-cert-auth', `--trusted-ca-file=${file('ca.crt')}`,
    `--cert-file=${file('server.crt')}`, `--key-file=${file('server.key')}`, '--watch-progress-notify-interval=100ms',
  ], 'https');
  // spawnEtcd asks for any free port first; the one of this test follows it unless it is any as well.
  const ports = server.urls.map((url) => Number(new URL(url).port));
  const chosen = port === 0 ? ports[0] ?? 0 : port;
  const etcd = connectToEtcd({ endpoints: [`https://127.0.0.1:${chosen}`], caFile: file('ca.crt'), certFile: file('client.crt'), keyFile: file('client.key') });
  return { server, etcd, port: chosen, dataDir };
}

/** Collects updates in the background. */
function follow(updates: AsyncIterable<WatchUpdate>): { readonly seen: WatchUpdate[]; readonly ended: Promise<unknown>; events: () => string[] } {
  const seen: WatchUpdate[] = [];
  const ended = (async () => {
    for await (const update of updates) seen.push(update);
  })().catch((error: unknown) => error);
  return { seen, ended, events: () => seen.flatMap((update) => (update.type === 'events' ? update.events.map(({ type, kv }) => `${type} ${kv?.key.toString()}=${kv?.value.toString()}`) : [])) };
}

test('calls give typed answers with exact revisions and lease ids', async () => {
  const { server, etcd } = await start();
  const lease = await etcd.leaseGrant({ TTL: 60, ID: 2n ** 62n + 1n });
  assert.equal(lease.ID, 2n ** 62n + 1n);
  const { header } = await etcd.put({ key: '/registry/pods/a', value: Buffer.from([0, 255]), lease: lease.ID });
  assert.equal(header?.revision, 2);
  const { kvs, count } = await etcd.range({ key: '/registry/', rangeEnd: prefixEnd('/registry/') });
  assert.deepEqual([count, kvs[0]?.value, kvs[0]?.lease], [1, Buffer.from([0, 255]), lease.ID]);
  const { succeeded, responses } = await etcd.txn({
    compare: [{ target: 'MOD', result: 'EQUAL', key: '/registry/pods/a', modRevision: 1 }],
    success: [{ requestPut: { key: '/registry/pods/a', value: 'x' } }], failure: [{ requestRange: { key: '/registry/pods/a' } }],
  });
  assert.deepEqual([succeeded, responses[0]?.responseRange?.kvs[0]?.modRevision], [false, 2]);
  await assert.rejects(etcd.range({ key: 'a', revision: 99 }), { reason: 'FutureRevision', message: 'etcdserver: mvcc: required revision is a future revision' });
  await assert.rejects(etcd.leaseRevoke({ ID: 5n }), { reason: 'LeaseNotFound' });
  etcd.close();
  await server.end('SIGTERM');
});

test('a watch goes on after the server was killed: nothing is missed and nothing comes twice', async () => {
  const { server, etcd, port, dataDir } = await start();
  const stopping = new AbortController();
  const watch = etcd.watch({ key: '/k/', rangeEnd: prefixEnd('/k/'), prevKv: true, progressNotify: true, signal: stopping.signal });
  const { seen, events, ended } = follow(watch);
  await until('the watch is there', () => seen.length > 0);
  await etcd.put({ key: '/k/1', value: '1' });
  await until('the first event is there', () => events().length === 1);
  await until('progress is told unasked', () => seen.some(({ type }) => type === 'progress'));
  await server.end('SIGKILL');
  const pending = etcd.range({ key: '/k/1' }); // waits for the server to be back

  const again = await start(port, dataDir);
  assert.equal((await pending).count, 1);
  await again.etcd.put({ key: '/k/2', value: '2' });
  await again.etcd.deleteRange({ key: '/k/1' });
  await until('the watch has caught up', () => events().length >= 3);
  assert.deepEqual(events(), ['PUT /k/1=1', 'PUT /k/2=2', 'DELETE /k/1=']);
  await again.etcd.put({ key: '/other', value: '1' });
  await until('progress is told when asked', () => {
    watch.requestProgress();
    return seen.some((update) => update.type === 'progress' && update.revision === 5);
  });
  stopping.abort();
  assert.equal(await ended, undefined);
  etcd.close();
  again.etcd.close();
  await again.server.end('SIGTERM');
});

test('a watch whose events were compacted ends with the revision of the compaction', async () => {
  const { server, etcd } = await start();
  for (const value of ['1', '2', '3']) await etcd.put({ key: 'k', value });
  await etcd.compact({ revision: 4 });
  const error = await follow(etcd.watch({ key: 'k', startRevision: 2 })).ended;
  assert.ok(error instanceof WatchCompactedError);
  assert.equal(error.compactRevision, 4);
  etcd.close();
  await server.end('SIGTERM');
});

test('a watch that is up to date is told of changes that are applied together with a compaction of them', async () => {
  const failPoints = `127.0.0.1:${await freePort()}`;
  const server = await spawnEtcd([`--data-dir=${folder.path}/together`], 'http', { GOFAIL_HTTP: failPoints });
  const etcd = connectToEtcd({ endpoints: [server.urls[0]] });
  const stopping = new AbortController();
  const { seen, events, ended } = follow(etcd.watch({ key: 'k', signal: stopping.signal }));
  await until('the watch is there', () => seen.length > 0);
  const pending = (count: number) => until(`${count} are pending`, async () => (await (await fetch(`${server.urls[1]}/metrics`)).text()).includes(`\netcd_server_proposals_pending ${count}\n`));
  // The first put holds up the others, and the compaction, until all of them are there: they are applied together.
  await fetch(`http://${failPoints}/raftBeforeSave`, { method: 'PUT', body: '1*sleep(2s)' });
  const calls: Promise<unknown>[] = [etcd.put({ key: 'k', value: '1' })];
  await pending(1);
  calls.push(etcd.put({ key: 'k', value: '2' }));
  await pending(2);
  calls.push(etcd.put({ key: 'k', value: '3' }));
  await pending(3);
  calls.push(etcd.compact({ revision: 4 }));
  await pending(4);
  await Promise.all(calls);
  await etcd.put({ key: 'k', value: '4' });
  await until('all is told', () => events().length === 4);
  assert.deepEqual(events(), ['PUT k=1', 'PUT k=2', 'PUT k=3', 'PUT k=4']);
  stopping.abort();
  assert.equal(await ended, undefined);
  etcd.close();
  await server.end('SIGTERM');
});

test('who renews a lease whose time is over hears so once its keys are gone', async () => {
  const failPoints = `127.0.0.1:${await freePort()}`;
  const server = await spawnEtcd([`--data-dir=${folder.path}/overdue`], 'http', { GOFAIL_HTTP: failPoints });
  const post = async (path: string, body: unknown): Promise<Record<string, unknown>> => await (await fetch(new URL(path, server.urls[0]), { method: 'POST', body: JSON.stringify(body) })).json() as Record<string, unknown>;
  const at = (place: string, terms: string): Promise<unknown> => fetch(`http://${failPoints}/${place}`, { method: 'PUT', body: terms });
  const isThere = async (): Promise<boolean> => (await post('/v3/kv/range', { key: 'aw==', serializable: true }))['kvs'] !== undefined;
  const grant = async (ID: number): Promise<void> => {
    await post('/v3/lease/grant', { ID, TTL: 2 });
    await post('/v3/kv/put', { key: 'aw==', lease: ID });
  };
  const renew = (ID: number): Promise<Record<string, unknown>> => post('/v3/lease/keepalive', { ID });

  await grant(1);
  await at('raftBeforeSave', 'sleep(2s)'); // revoking takes so long
  const overMs = performance.now() + 2000;
  await until('its time is over', () => performance.now() > overMs);
  const { TTL, grantedTTL } = await post('/v3/lease/timetolive', { ID: 1 });
  assert.deepEqual([TTL, grantedTTL], [undefined, '2']); // nothing is left, and it is there
  assert.ok(await isThere());
  const { result } = await renew(1);
  assert.equal((result as Record<string, unknown>)['TTL'], undefined);
  assert.ok(!(await isThere()));
  await at('raftBeforeSave', 'off');

  await grant(2);
  await at('beforeCheckpointInLeaseRenew', 'sleep(4s)'); // it is revoked while it is renewed
  const { result: late } = await renew(2);
  assert.equal((late as Record<string, unknown>)['TTL'], undefined);
  assert.ok(!(await isThere()));
  await server.end('SIGTERM');
});

test('a client that does not read its watch holds nobody up, and gets all of it in the end', async () => {
  const { server, etcd } = await start();
  const iterator = etcd.watch({ key: 'big', startRevision: 1 })[Symbol.asyncIterator]();
  await iterator.next();
  const value = Buffer.alloc(256 * 1024, 97);
  for (let at = 0; at < 60; at += 1) await etcd.put({ key: 'big', value });
  let events = 0;
  while (events < 60) {
    const { value: update } = await iterator.next() as IteratorYieldResult<WatchUpdate>;
    if (update.type === 'events') events += update.events.length;
  }
  assert.equal(events, 60);
  await iterator.return?.();
  etcd.close();
  await server.end('SIGTERM');
});

test('a server whose certificate does not name the endpoint is not trusted', async () => {
  const file = (name: string): string => `${folder.path}/${name}`;
  const server = await spawnEtcd([
    `--data-dir=${file('named')}`, '--listen-client-urls=https://127.0.0.2:0', `--cert-file=${file('server.crt')}`, `--key-file=${file('server.key')}`,
  ], 'https');
  const [named, unnamed] = server.urls.map((url) => connectToEtcd({ endpoints: [url], caFile: file('ca.crt') }));
  assert.equal((await named?.status())?.version, '3.6.8');
  await assert.rejects(unnamed?.status({ timeoutMs: 1_000 }) ?? assert.fail('the second URL is missing'), { code: 4 });
  named?.close();
  unnamed?.close();
  await server.end('SIGTERM');
});

test('a call ends at its deadline when there is no server, and at once when it is aborted', async () => {
  const etcd = connectToEtcd({ endpoints: ['http://127.0.0.1:1'] });
  await assert.rejects(etcd.range({ key: 'k' }, { timeoutMs: 200 }), { code: 4 });
  const stopping = new AbortController();
  const call = etcd.range({ key: 'k' }, { signal: stopping.signal });
  stopping.abort(new Error('no longer needed'));
  await assert.rejects(call, /no longer needed/);
  etcd.close();
});
