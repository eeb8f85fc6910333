// A client that is not ours, in Node: the package etcd3, which uses grpc-js.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { Etcd3, EtcdLeaseInvalidError, isRecoverableError, type IKeyValue } from 'etcd3';
import { spawnEtcd, temporaryFolder, until, writeCertificates } from './testing.ts';

const folder = temporaryFolder();
await writeCertificates(folder.path);
const file = (name: string): string => `${folder.path}/${name}`;
const server = await spawnEtcd([
  `--data-dir=${file('data')}`, '--client-cert-auth', `--trusted-ca-file=${file('ca.crt')}`, `--cert-file=${file('server.crt')}`, `--key-file=${file('server.key')}`,
], 'https');
const etcd = new Etcd3({
  hosts: server.urls[0].replace('127.0.0.1', 'localhost'), defaultCallOptions: () => ({ deadline: Date.now() + 10_000 }),
  credentials: { rootCertificate: readFileSync(file('ca.crt')), certChain: readFileSync(file('client.crt')), privateKey: readFileSync(file('client.key')) },
});
after(async () => {
  etcd.close();
  await server.end('SIGTERM');
  folder.remove();
});

test('keys are put, read in any order, counted and deleted', async () => {
  for (const [key, value] of [['a', '3'], ['b', '1'], ['c', '2']] as const) await etcd.put(`sort/${key}`).value(value);
  assert.equal(await etcd.get('sort/a').string(), '3');
  assert.equal(await etcd.get('sort/none').string(), null);
  const all = etcd.getAll().prefix('sort/');
  assert.deepEqual(await all.strings(), { 'sort/a': '3', 'sort/b': '1', 'sort/c': '2' });
  assert.deepEqual(await etcd.getAll().prefix('sort/').sort('Value', 'Descend').limit(2).keys(), ['sort/a', 'sort/c']);
  assert.equal(await etcd.getAll().prefix('sort/').count(), 3);
  assert.deepEqual(await etcd.namespace('sort/').getAll().strings(), { a: '3', b: '1', c: '2' });
  const { deleted, prev_kvs: previous } = await etcd.delete().prefix('sort/').getPrevious().then((kvs) => ({ deleted: kvs.length, prev_kvs: kvs }));
  assert.deepEqual([deleted, previous.map(({ value }) => value.toString())], [3, ['3', '1', '2']]);
});

test('a transaction takes the branch that its comparisons choose; a software transaction is repeated until it fits', async () => {
  const once = (): Promise<{ succeeded: boolean }> => etcd.if('txn', 'Create', '==', 0).then(etcd.put('txn').value('first')).else(etcd.get('txn')).commit();
  assert.deepEqual([(await once()).succeeded, (await once()).succeeded], [true, false]);
  await etcd.put('count').value(0);
  await Promise.all(Array.from({ length: 10 }, () => etcd.stm({ retries: 100 }).transact(async (tx) => {
    await tx.put('count').value(Number(await tx.get('count').string()) + 1);
  })));
  assert.equal(await etcd.get('count').number(), 10);
});

test('a watch tells what happens, with previous values, and more than one watch shares a stream', async () => {
  const events: string[] = [];
  const tell = (name: string) => (kv: IKeyValue, previous?: IKeyValue): void => void events.push(`${name} ${kv.key.toString()}=${kv.value.toString()} was ${previous?.value.toString() ?? 'nothing'}`);
  const watcher = await etcd.watch().prefix('watch/').withPreviousKV().create();
  const other = await etcd.watch().key('watch/b').create();
  watcher.on('put', tell('put')).on('delete', tell('delete'));
  other.on('put', tell('other'));
  await etcd.put('watch/a').value('1');
  await etcd.put('watch/a').value('2');
  await etcd.put('watch/b').value('3');
  await etcd.delete().key('watch/a');
  await until('all is told', () => events.length === 5);
  assert.deepEqual(events.filter((event) => !event.startsWith('other')), ['put watch/a=1 was nothing', 'put watch/a=2 was 1', 'put watch/b=3 was nothing', 'delete watch/a= was 2']);
  assert.ok(events.includes('other watch/b=3 was nothing'));
  await Promise.all([watcher.cancel(), other.cancel()]);
});

test('a lease keeps its keys while it is kept alive, and takes them along', async () => {
  const lease = etcd.lease(5);
  await lease.put('leased').value('x');
  await lease.keepaliveOnce();
  assert.equal(await etcd.get('leased').string(), 'x');
  await lease.revoke();
  assert.equal(await etcd.get('leased').exists(), false);
  await assert.rejects(lease.put('leased').value('y').exec(), EtcdLeaseInvalidError);
});

test('a lock is held by one at a time', async () => {
  let holders = 0;
  await Promise.all(Array.from({ length: 5 }, async () => {
    for (let attempt = 0; attempt < 200; attempt += 1) {
      const held = await etcd.lock('lock').ttl(5).acquire().catch(() => undefined);
      if (held === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        continue;
      }
      holders += 1;
      assert.equal(holders, 1);
      await new Promise((resolve) => setImmediate(resolve));
      holders -= 1;
      await held.release();
      return;
    }
    assert.fail('never got the lock');
  }));
});

test('an election has one leader, and the next one follows', async () => {
  const election = etcd.election('election', 5);
  const first = election.campaign('first');
  await new Promise((resolve) => first.once('elected', resolve));
  assert.equal(await election.leader(), 'first');
  const second = election.campaign('second');
  await first.resign();
  await new Promise((resolve) => second.once('elected', resolve));
  assert.equal(await election.leader(), 'second');
  await second.resign();
});

test('the members and their status are told', async () => {
  const { members } = await etcd.cluster.memberList({});
  assert.deepEqual(members.map(({ name }) => name), ['default']);
  const status = await etcd.maintenance.status();
  assert.equal(status.version, '3.6.8');
});

test('a refusal is an error that says what etcd says, and is not for trying again', async () => {
  await etcd.put('refused').value('x');
  const error: unknown = await etcd.get('refused').revision(999_999).exec().catch((failure: unknown) => failure);
  assert.match(String(error), /etcdserver: mvcc: required revision is a future revision/);
  assert.equal(isRecoverableError(error as Error), false);
});
