// Acknowledged means durable: the process is killed at any moment under concurrent writers, and started again on its data.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connectToEtcd, type EtcdClient } from '#lib/etcd-api/client.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { integerBelow, seededRandom } from '#lib/environment/random.ts';
import { freePort } from '#lib/testing/free-ports.ts';
import { spawnEtcd, temporaryFolder, until } from './testing.ts';

const ROUNDS = 4;
const WRITERS = 16;
/** Longest time before the kill; milliseconds. */
const MAX_WRITING_MS = 400;

const folder = temporaryFolder();
after(() => folder.remove());

interface Writer { readonly key: string; acknowledged: number; attempted: number; revision: number }

/**
 * Each writer counts up in a key of its own, and in the same transaction in its twin. Ends when a write is not
 * acknowledged; that one may or may not have happened.
 */
async function countUp(etcd: EtcdClient, writer: Writer): Promise<void> {
  for (;;) {
    writer.attempted += 1;
    const value = String(writer.attempted);
    try {
      const { header } = await etcd.txn({ success: [{ requestPut: { key: `/count/${writer.key}`, value } }, { requestPut: { key: `/twin/${writer.key}`, value } }] }, { timeoutMs: 5_000 });
      writer.acknowledged = writer.attempted;
      writer.revision = header?.revision ?? 0;
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      return;
    }
  }
}

async function values(etcd: EtcdClient, prefix: string): Promise<Map<string, { value: number; modRevision: number }>> {
  const { kvs } = await etcd.range({ key: prefix, rangeEnd: `${prefix.slice(0, -1)}0` });
  return new Map(kvs.map(({ key, value, modRevision }) => [key.toString().slice(prefix.length), { value: Number(value.toString()), modRevision }]));
}

test(`nothing acknowledged is lost, and no transaction is half there, when etcd is killed ${ROUNDS} times under ${WRITERS} writers`, async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 100_000);
  const random = seededRandom(seed);
  const writers = Array.from({ length: WRITERS }, (_, at): Writer => ({ key: String(at), acknowledged: 0, attempted: 0, revision: 0 }));
  for (let round = 0; round <= ROUNDS; round += 1) {
    const server = await spawnEtcd([`--data-dir=${folder.path}/data`]);
    const etcd = connectToEtcd({ endpoints: [server.urls[0]] });
    const before = await values(etcd, '/count/');
    const twins = await values(etcd, '/twin/');
    const { header } = await etcd.status();
    for (const writer of writers) {
      const found = before.get(writer.key);
      const note = `seed ${seed}, round ${round}, writer ${writer.key}`;
      assert.deepEqual(twins.get(writer.key), found, note);
      assert.ok((found?.value ?? 0) >= writer.acknowledged && (found?.value ?? 0) <= writer.attempted, `${note}: ${found?.value} is not within ${writer.acknowledged}..${writer.attempted}`);
      assert.ok((header?.revision ?? 0) >= writer.revision, note);
      writer.attempted = found?.value ?? 0;
    }
    if (round === ROUNDS) { // the last kill has been looked at, too
      await server.end('SIGTERM');
      return etcd.close();
    }
    const writing = Promise.all(writers.map((writer) => countUp(etcd, writer)));
    await until('every writer has written', () => writers.every(({ acknowledged }) => acknowledged > round));
    if (round === 1) await etcd.compact({ revision: (header?.revision ?? 0) + 1 });
    await new Promise((resolve) => setTimeout(resolve, integerBelow(random, MAX_WRITING_MS)));
    await server.end('SIGKILL');
    await writing;
    etcd.close();
  }
});

test('revisions go on after a kill, leases keep the time left from an orderly stop, and the compaction holds', async () => {
  const flags = [`--data-dir=${folder.path}/leases`];
  let server = await spawnEtcd(flags);
  let etcd = connectToEtcd({ endpoints: [server.urls[0]] });
  const lease = await etcd.leaseGrant({ TTL: 3600 });
  await etcd.put({ key: 'leased', value: 'v', lease: lease.ID });
  await etcd.deleteRange({ key: 'leased' });
  await etcd.put({ key: 'leased', value: 'w', lease: lease.ID });
  await etcd.deleteRange({ key: 'leased' });
  await etcd.compact({ revision: 5 });
  await server.end('SIGKILL');
  etcd.close();

  server = await spawnEtcd(flags);
  etcd = connectToEtcd({ endpoints: [server.urls[0]] });
  assert.equal((await etcd.put({ key: 'other', value: 'v' })).header?.revision, 6);
  await assert.rejects(etcd.range({ key: 'leased', revision: 4 }), { reason: 'Compacted' });
  await etcd.put({ key: 'leased', value: 'x', lease: lease.ID });
  assert.equal(await server.end('SIGTERM'), 0);
  etcd.close();

  server = await spawnEtcd(flags);
  etcd = connectToEtcd({ endpoints: [server.urls[0]] });
  const left = await etcd.leaseTimeToLive({ ID: lease.ID, keys: true });
  assert.equal(left.grantedTTL, 3600);
  assert.ok(left.TTL > 3500 && left.TTL <= 3600);
  assert.deepEqual(left.keys.map(String), ['leased']);
  assert.equal((await etcd.leaseRevoke({ ID: lease.ID })).header?.revision, 8);
  await server.end('SIGTERM');
  etcd.close();
});

test('while the disk holds up a write, a read waits behind it, but one that need not be the latest does not', async () => {
  const failPoints = `127.0.0.1:${await freePort()}`;
  const server = await spawnEtcd([`--data-dir=${folder.path}/held-up`], 'http', { GOFAIL_HTTP: failPoints });
  const etcd = connectToEtcd({ endpoints: [server.urls[0]] });
  await etcd.put({ key: 'k', value: '1' });
  assert.equal((await fetch(`http://${failPoints}/raftAfterSave`, { method: 'PUT', body: '1*sleep(1500)' })).status, 204);
  const done: string[] = [];
  const written = etcd.put({ key: 'k', value: '2' }).then(() => done.push('written'));
  await new Promise((resolve) => setTimeout(resolve, 300)); // for the write to get there
  const read = etcd.range({ key: 'k' }).then(() => done.push('read'));
  const { kvs: [former] } = await etcd.range({ key: 'k', serializable: true });
  assert.deepEqual([former?.value.toString(), done], ['1', []]);
  await Promise.all([written, read]);
  etcd.close();
  assert.equal(await server.end('SIGTERM'), 0);
});
