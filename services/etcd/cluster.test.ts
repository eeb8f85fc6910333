// Three members over mutual TLS: what holds while any one of them fails, and what changes of the membership do.
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { EtcdClient } from '#lib/etcd-api/client.ts';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import { temporaryFolder, until } from './testing.ts';
import { TestCluster, undefinedWhenRefused, type TestMember } from './testing-cluster.ts';

let cluster: TestCluster;
before(async () => { cluster = await TestCluster.start(temporaryFolder().path, 3, ['--snapshot-count=200', '--snapshot-catchup-entries=50', '--emulator-value-memory-bytes=100000']); });
after(() => cluster.stop());

const valueOf = async (client: EtcdClient, key: string, serializable = false): Promise<string | undefined> => (await client.range({ key, serializable })).kvs[0]?.value.toString();
const others = (member: TestMember): TestMember[] => cluster.running.filter((other) => other !== member);

/** Puts until one is acknowledged; returns the milliseconds that took. */
async function putUntilTaken(client: EtcdClient, key: string, value: string): Promise<number> {
  const start = performance.now();
  for (;;) {
    try {
      await client.put({ key, value }, { timeoutMs: 3_000 });
      return performance.now() - start;
    } catch (error) {
      if (!(error instanceof EtcdError) || performance.now() - start > 15_000) throw error;
    }
  }
}

const holdsEverywhere = (key: string, value: string): Promise<void> => until(`${key}=${value} is on all members`, async () =>
  (await Promise.all(cluster.running.map((member) => valueOf(cluster.clientOf(member), key, true).catch(undefinedWhenRefused)))).every((found) => found === value));

test('a write through any member is read through every other at once', async () => {
  for (const member of cluster.members) {
    await cluster.clientOf(member).put({ key: 'any', value: member.name });
    for (const reader of cluster.members) assert.equal(await valueOf(cluster.clientOf(reader), 'any'), member.name, `${member.name} to ${reader.name}`);
  }
  const hashes = new Set<string>();
  await holdsEverywhere('any', 'm3');
  for (const member of cluster.members) hashes.add((await cluster.etcdctl(member, ['endpoint', 'hashkv'])).split(', ')[1] ?? '');
  assert.equal(hashes.size, 1, [...hashes].join());
});

test('etcdctl sees three members, one of them the leader, all healthy', async () => {
  const list = (await cluster.etcdctl(cluster.members[0] as TestMember, ['member', 'list'])).split('\n');
  assert.deepEqual(list.map((line) => line.split(', ').slice(1, 3)).sort(), [['started', 'm1'], ['started', 'm2'], ['started', 'm3']]);
  const statuses = await Promise.all(cluster.members.map(async (member) => cluster.clientOf(member).status()));
  assert.equal(new Set(statuses.map(({ leader }) => leader)).size, 1);
  for (const member of cluster.members) assert.match(await cluster.etcdctl(member, ['endpoint', 'health', '-w', 'json']), /"health":true/);
  const follower = others(await cluster.leader())[0] as TestMember;
  assert.match(await cluster.etcdctl(follower, ['move-leader', list[0]?.split(',')[0] ?? '']), /no leader endpoint given at|not leader/);
});

test('any member takes a downgrade, and all of them follow', async () => {
  const version = async (member: TestMember): Promise<string> => (await cluster.clientOf(member).status()).storageVersion;
  const has = (expected: string): Promise<void> => until(`all members have ${expected}`, async () => (await Promise.all(cluster.members.map(version))).every((found) => found === expected));
  await has('3.6.0');
  const follower = others(await cluster.leader())[0] as TestMember;
  await cluster.clientOf(follower).downgrade({ action: 'ENABLE', version: '3.5' });
  await has('3.5.0');
  for (const member of cluster.members) assert.deepEqual((await cluster.clientOf(member).status()).downgradeInfo, { enabled: true, targetVersion: '3.5.0' });
  await cluster.clientOf(follower).downgrade({ action: 'CANCEL' });
  await has('3.6.0');
});

test('the leadership moves when it is told to', async () => {
  const leader = await cluster.leader();
  const heir = others(leader)[0] as TestMember;
  const { header } = await cluster.clientOf(heir).status();
  assert.match(await cluster.etcdctl(leader, ['move-leader', header?.memberId.toString(16) ?? '']), /Leadership transferred from/);
  assert.equal(await cluster.leader(), heir);
});

test('writes go on when the leader is killed, and it catches up when it is back', async () => {
  const leader = await cluster.leader();
  await cluster.clientOf(leader).put({ key: 'before', value: 'kept' });
  await cluster.end(leader, 'SIGKILL');
  const [survivor] = others(leader) as [TestMember];
  const failoverMs = await putUntilTaken(cluster.clientOf(survivor), 'after', 'taken');
  assert.ok(failoverMs < 10_000, `took ${failoverMs} ms`);
  assert.equal(await valueOf(cluster.clientOf(survivor), 'before'), 'kept');
  await cluster.run(leader);
  await holdsEverywhere('after', 'taken');
});

test('a leader that was paused serves nothing stale when it goes on, and a paused follower catches up', async () => {
  const leader = await cluster.leader();
  leader.server?.process.kill('SIGSTOP');
  const [survivor] = others(leader) as [TestMember];
  await putUntilTaken(cluster.clientOf(survivor), 'any', 'while paused');
  leader.server?.process.kill('SIGCONT');
  assert.equal(await valueOf(cluster.clientOf(leader), 'any'), 'while paused');

  const follower = others(await cluster.leader())[0] as TestMember;
  follower.server?.process.kill('SIGSTOP');
  await putUntilTaken(cluster.clientOf(others(follower)[0] as TestMember), 'any', 'again');
  follower.server?.process.kill('SIGCONT');
  await holdsEverywhere('any', 'again');
});

test('without a majority nothing is acknowledged, and reads that need none go on', async () => {
  const [one, two, three] = cluster.members as [TestMember, TestMember, TestMember];
  for (const member of [two, three]) member.server?.process.kill('SIGSTOP');
  await assert.rejects(cluster.clientOf(one).put({ key: 'alone', value: '1' }, { timeoutMs: 2_000 }));
  await assert.rejects(cluster.clientOf(one).range({ key: 'any' }, { timeoutMs: 1_000 }));
  assert.equal(await valueOf(cluster.clientOf(one), 'any', true), 'again');
  for (const member of [two, three]) member.server?.process.kill('SIGCONT');
  await putUntilTaken(cluster.clientOf(one), 'any', 'together');
});

test('a member that is too far behind gets a snapshot, and watches go on through it', async () => {
  const late = others(await cluster.leader())[0] as TestMember;
  await cluster.end(late, 'SIGTERM');
  const [writer] = cluster.running as [TestMember];
  const client = cluster.clientOf(writer);
  const lease = await client.leaseGrant({ TTL: 3600 });
  for (let round = 0; round < 12; round += 1) {
    await Promise.all(Array.from({ length: 50 }, (_, at) => client.put({ key: `many/${at}`, value: `${round} ${'x'.repeat(1000)}`, lease: lease.ID })));
  }
  await client.compact({ revision: (await client.status()).header?.revision ?? 1 });
  await client.put({ key: 'many', value: 'done' });
  await cluster.run(late);
  await holdsEverywhere('many', 'done');
  const lateClient = cluster.clientOf(late);
  assert.equal((await lateClient.range({ key: 'many/', rangeEnd: 'many0' })).count, 50);
  assert.deepEqual((await lateClient.leaseTimeToLive({ ID: lease.ID, keys: true })).keys.length, 50);
  await client.leaseRevoke({ ID: lease.ID });
  await until('the late member has applied the revocation', async () => (await lateClient.range({ key: 'many/', rangeEnd: 'many0', serializable: true })).count === 0);
  const walBytes = readdirSync(join(late.dataDir, 'member', 'wal')).reduce((sum, name) => sum + statSync(join(late.dataDir, 'member', 'wal', name)).size, 0);
  assert.ok(walBytes < 8_000_000, `${walBytes} bytes of WAL`);
});

test('members agree on hashes right after a compaction, though each removes what it took in its own time', async () => {
  const [writer] = cluster.running as [TestMember];
  const client = cluster.clientOf(writer);
  let revision = 0;
  for (let at = 0; at < 60; at += 1) ({ header: { revision } = { revision } } = at % 7 === 3 ? await client.deleteRange({ key: 'hashed/1' }) : await client.put({ key: `hashed/${at % 2}`, value: String(at) }));
  for (const compacted of [revision - 40, revision - 20]) {
    await client.compact({ revision: compacted, physical: true });
    for (const at of [compacted, compacted + 1, revision]) {
      if (at > compacted) await Promise.all(cluster.running.map((member) => valueOf(cluster.clientOf(member), 'hashed/0'))); // until then one may not know of the compaction
      const lines = await Promise.all(cluster.running.map((member) => cluster.etcdctl(member, ['endpoint', 'hashkv', `--rev=${at}`])));
      assert.equal(new Set(lines.map((line) => line.split(', ')[1])).size, 1, `${at} of ${compacted}: ${lines.join('')}`);
    }
  }
});

test('leases are renewed and looked at through any member, survive the leader, and expire', async () => {
  const leader = await cluster.leader();
  const follower = others(leader)[0] as TestMember;
  const long = await cluster.clientOf(follower).leaseGrant({ TTL: 600 });
  const short = await cluster.clientOf(follower).leaseGrant({ TTL: 3 });
  await cluster.clientOf(follower).put({ key: 'short', value: '1', lease: short.ID });
  assert.match(await cluster.etcdctl(follower, ['lease', 'keep-alive', '--once', long.ID.toString(16)]), /keepalived with TTL\(600\)/);
  assert.ok((await cluster.clientOf(follower).leaseTimeToLive({ ID: long.ID })).TTL > 590);
  await cluster.end(leader, 'SIGKILL');
  await putUntilTaken(cluster.clientOf(follower), 'any', 'new leader');
  const left = await cluster.clientOf(follower).leaseTimeToLive({ ID: long.ID });
  assert.ok(left.TTL > 500 && left.grantedTTL === 600, JSON.stringify(left, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)));
  await until('the short lease has expired under the new leader', async () => (await valueOf(cluster.clientOf(follower), 'short')) === undefined);
  await cluster.run(leader);
});

test('a member joins as a learner, is promoted, and is removed', async () => {
  const leader = await cluster.leader();
  const newcomer = await cluster.define();
  const add = (learner: boolean): Promise<string> => cluster.etcdctl(leader, ['member', 'add', newcomer.name, `--peer-urls=${newcomer.peerUrl}`, ...(learner ? ['--learner'] : [])]);
  await until('all peers have been connected long enough', async () => /added to cluster/.test(await add(true)));
  assert.match(await add(true), /Peer URLs already exists|member ID already exist/ /* the id is made of the URLs and the second */);
  await cluster.run(newcomer, ['--initial-cluster-state=existing']);
  const [line = ''] = (await cluster.etcdctl(leader, ['member', 'list'])).split('\n').filter((text) => text.includes(newcomer.peerUrl));
  const id = line.split(',')[0] ?? '';
  assert.match(line, /true$/);
  await assert.rejects(cluster.clientOf(newcomer).range({ key: 'any' }, { timeoutMs: 2_000 }), /rpc not supported for learner/);
  const follower = others(leader).find((member) => member !== newcomer) as TestMember;
  await until('the learner has caught up and is promoted', async () => /promoted in cluster/.test(await cluster.etcdctl(follower, ['member', 'promote', id])));
  assert.match(await cluster.etcdctl(leader, ['member', 'promote', id]), /can only promote a learner member/);
  await putUntilTaken(cluster.clientOf(newcomer), 'any', 'from the fourth');
  await holdsEverywhere('any', 'from the fourth');

  const exited = new Promise((resolve) => newcomer.server?.process.once('exit', resolve));
  assert.match(await cluster.etcdctl(leader, ['member', 'remove', id]), /removed from cluster/);
  await exited;
  newcomer.client?.close();
  newcomer.server = undefined;
  newcomer.client = undefined;
  await putUntilTaken(cluster.clientOf(leader), 'any', 'without it');
  cluster.members.pop();
});

test('a member whose log was damaged does not start, and says why', async () => {
  const victim = others(await cluster.leader())[0] as TestMember;
  await cluster.end(victim, 'SIGKILL');
  const folder = join(victim.dataDir, 'member', 'wal');
  const fd = openSync(join(folder, readdirSync(folder).sort().at(-1) ?? ''), 'r+');
  writeSync(fd, Buffer.from('damage'), 0, 6, 200);
  closeSync(fd);
  await assert.rejects(cluster.run(victim), /etcd: .*(crc mismatch|wal: )/);
});
