// A compaction takes several steps, and the process may be killed before and after each: nothing that was acknowledged is lost, and what
// was left of it is removed after the next start.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connectToEtcd, type EtcdClient } from '#lib/etcd-api/client.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { freePort } from '#lib/testing/free-ports.ts';
import { COMPACTED_AT_ONCE } from './core/store.ts';
import { Database } from './edge/database.ts';
import { settled, spawnEtcd, temporaryFolder } from './testing.ts';

const KEYS = 100; // of a transaction
/** Of so many keys nothing remains: a step removes all that is left of each key it comes to. */
const GONE = 40 * KEYS;

const folder = temporaryFolder();
after(() => folder.remove());

const putAll = (etcd: EtcdClient, prefix: string, value: string): Promise<unknown> =>
  etcd.txn({ success: Array.from({ length: KEYS }, (_, at) => ({ requestPut: { key: `${prefix}${at}`, value } })) });

/** `key=value` of what a range gives, in order. */
async function content(etcd: EtcdClient, revision = 0): Promise<string[]> {
  const { kvs } = await etcd.range({ key: '/', rangeEnd: '0', revision });
  return kvs.map(({ key, value }) => `${key.toString()}=${value.toString()}`);
}

/** How many changes are in a database that nobody uses. */
async function storedChanges(dataDir: string): Promise<number> {
  const database = await Database.open(dataDir);
  const { entries } = await database.load(0);
  await database.close();
  return [...entries].length;
}

// Each step is written by itself; before the first one the compaction is only in the log.
const PLACES = ['beforeCommit=panic', 'afterCommit=panic', 'beforeCommit=2*off->panic', 'afterCommit=3*off->panic'];

for (const [at, place] of PLACES.entries()) {
  test(`a compaction of ${GONE} keys is finished after a kill (${place})`, { timeout: 120_000 }, async () => {
    assert.ok(GONE >= 4 * COMPACTED_AT_ONCE);
    const dataDir = `${folder.path}/${at}`;
    const failPoints = `127.0.0.1:${await freePort()}`;
    const flags = [`--data-dir=${dataDir}`];
    const server = await spawnEtcd(flags, 'http', { GOFAIL_HTTP: failPoints, GOFAIL_FAILPOINTS: 'walKeepUnsynced=return' });
    const etcd = connectToEtcd({ endpoints: [server.urls[0]] });
    for (let keys = 0; keys < GONE; keys += KEYS) await putAll(etcd, `/gone/${keys}/`, 'v');
    for (const value of ['1', '2']) await putAll(etcd, '/kept/', value);
    await etcd.deleteRange({ key: '/gone/', rangeEnd: '/gone0' });
    const revision = (await etcd.put({ key: '/last', value: 'v' })).header?.revision ?? 0;
    const expected = await content(etcd);
    assert.equal(expected.length, KEYS + 1);
    await settled(server.urls[0]);
    const [name = '', ...terms] = place.split('=');
    assert.equal((await fetch(`http://${failPoints}/${name}`, { method: 'PUT', body: terms.join('=') })).status, 204);
    await etcd.compact({ revision });
    let acknowledged = 0;
    for (let write = 1; server.process.signalCode === null; write += 1) {
      await etcd.put({ key: '/after', value: String(write) }, { timeoutMs: 2_000 }).then(() => { acknowledged = write; }, (error: unknown) => {
        if (!(error instanceof EtcdError)) throw error;
      });
    }
    etcd.close();
    assert.ok(await storedChanges(dataDir) > COMPACTED_AT_ONCE, 'nothing is left to be removed');

    const again = await spawnEtcd(flags);
    const client = connectToEtcd({ endpoints: [again.urls[0]] });
    const { kvs: [found] } = await client.range({ key: '/after' });
    assert.ok(Number(found?.value.toString() ?? 0) >= acknowledged, `${found?.value.toString()} of ${acknowledged}`);
    assert.deepEqual(await content(client, revision), expected);
    await assert.rejects(client.range({ key: '/last', revision: revision - 1 }), { reason: 'Compacted' });
    await settled(again.urls[0]);
    const history = (found?.version ?? 0) + KEYS + 1;
    client.close();
    assert.equal(await again.end('SIGTERM'), 0);
    assert.equal(await storedChanges(dataDir), history);
  });
}
