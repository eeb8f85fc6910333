// A change of many keys goes to the database in several pieces, and the process may be killed before and after each: after the next start
// it has happened as a whole, and the database holds nothing twice or half.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Level } from 'level';
import { connectToEtcd } from '#lib/etcd-api/client.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { freePort } from '#lib/testing/free-ports.ts';
import { settled, spawnEtcd, temporaryFolder, until } from './testing.ts';

const KEYS = 100; // of a transaction
/** Their deletions take 12 MB. */
const ALL = 120 * KEYS;
const LONG = 'x'.repeat(1000);
const RANGE = { key: '/all/', rangeEnd: '/all0' };

const folder = temporaryFolder();
after(() => folder.remove());

/** Changes in a database that nobody uses. */
async function storedChanges(dataDir: string): Promise<number> {
  const level = new Level<Buffer, Buffer>(join(dataDir, 'member', 'db'), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  let count = 0;
  for await (const _ of level.keys({ gte: Buffer.from('k'), lt: Buffer.from('l') })) count += 1;
  await level.close();
  return count;
}

/** Where it is killed, and whether a part of the deletion is in the database then. */
const PLACES = { 'beforeCommit=panic': false, 'beforeCommit=1*off->panic': true, 'beforeCommit=2*off->panic': true, 'afterCommit=panic': true };

for (const [at, [place, isPartThere]] of Object.entries(PLACES).entries()) {
  test(`a deletion of ${ALL} keys is there as a whole after a kill (${place})`, { timeout: 120_000 }, async () => {
    const dataDir = `${folder.path}/${at}`;
    const failPoints = `127.0.0.1:${await freePort()}`;
    const flags = [`--data-dir=${dataDir}`];
    const server = await spawnEtcd(flags, 'http', { GOFAIL_HTTP: failPoints, GOFAIL_FAILPOINTS: 'walKeepUnsynced=return' });
    const etcd = connectToEtcd({ endpoints: [server.urls[0]] });
    let before = 0;
    for (let from = 0; from < ALL; from += KEYS) {
      before = (await etcd.txn({ success: Array.from({ length: KEYS }, (_, key) => ({ requestPut: { key: `/all/${from + key}/${LONG}`, value: 'v' } })) })).header?.revision ?? 0;
    }
    await settled(server.urls[0]);
    const [name = '', ...terms] = place.split('=');
    assert.equal((await fetch(`http://${failPoints}/${name}`, { method: 'PUT', body: terms.join('=') })).status, 204);
    await etcd.deleteRange(RANGE).catch((error: unknown) => assert.ok(error instanceof EtcdError));
    await until('the member is gone', () => server.process.signalCode !== null);
    etcd.close();
    assert.equal(await storedChanges(dataDir) > ALL, isPartThere);

    const again = await spawnEtcd(flags);
    const client = connectToEtcd({ endpoints: [again.urls[0]] });
    assert.equal((await client.range({ ...RANGE, countOnly: true })).count, 0);
    assert.equal((await client.range({ ...RANGE, countOnly: true, revision: before })).count, ALL);
    const { header } = await client.put({ key: '/after', value: 'v' });
    assert.equal(header?.revision, before + 2);
    client.close();
    assert.equal(await again.end('SIGTERM'), 0);
    assert.equal(await storedChanges(dataDir), 2 * ALL + 1);
  });
}
