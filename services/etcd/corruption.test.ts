// A member whose data were changed behind its back is found out, and then nothing is written any more.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Level } from 'level';
import { keyValue } from '#lib/etcd-api/messages.ts';
import { temporaryFolder, until } from './testing.ts';
import { TestCluster, type TestMember } from './testing-cluster.ts';

const TIMES = ['--corrupt-check-time=300ms', '--compact-hash-check-time=300ms'];
let cluster: TestCluster;
before(async () => { cluster = await TestCluster.start(temporaryFolder().path, 3); });
after(() => cluster.stop());

/** As a bad disk might. */
async function changeOnDisk({ dataDir }: TestMember, key: string, value: string): Promise<void> {
  const level = new Level<Buffer, Buffer>(join(dataDir, 'member', 'db'), { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  for await (const [place, record] of level.iterator({ gte: Buffer.from('k'), lt: Buffer.from('l') })) {
    const kv = keyValue.decode(record);
    if (kv.key.toString() === key) await level.put(place, keyValue.encode({ ...kv, value }));
  }
  await level.close();
}

async function follower(): Promise<TestMember> {
  const leader = await cluster.leader();
  return cluster.running.find((member) => member !== leader) as TestMember;
}

/** Waits for the alarm, sees what it does, and lifts it. */
async function alarmOf(member: TestMember): Promise<void> {
  const { header } = await cluster.clientOf(member).status();
  const expected = `memberID:${header?.memberId} alarm:CORRUPT`;
  const [first] = cluster.members as [TestMember];
  await until('the alarm is raised', async () => (await cluster.etcdctl(first, ['alarm', 'list'])).trim() === expected, 20);
  for (const one of cluster.members) {
    await assert.rejects(cluster.clientOf(one).put({ key: 'any', value: 'any' }), /etcdserver: corrupt cluster/);
    await assert.rejects(cluster.clientOf(one).compact({ revision: 2 }), /etcdserver: corrupt cluster/);
    await cluster.clientOf(one).range({ key: 'any' }); // reads go on, as with etcd
  }
}

/** Restarts all members with more flags; `victim`, to whom something happens meanwhile, when the others have a leader: one that is corrupt would accuse them. */
async function restart(flags: readonly string[], victim?: TestMember, whileDown?: () => Promise<void>): Promise<void> {
  await Promise.all(cluster.members.map((member) => cluster.end(member, 'SIGTERM')));
  await whileDown?.();
  await Promise.all(cluster.members.filter((member) => member !== victim).map((member) => cluster.run(member, flags)));
  if (victim === undefined) return;
  await cluster.leader();
  await cluster.run(victim, flags);
}

test('members whose data agree raise no alarm, and agree on what they compacted', async () => {
  await restart([...TIMES, '--feature-gates=CompactHashCheck=true,InitialCorruptCheck=true']);
  const [one] = cluster.members as [TestMember];
  let revision = 0;
  for (let at = 0; at < 60; at += 1) ({ header: { revision } = { revision } } = at % 7 === 3 ? await cluster.clientOf(one).deleteRange({ key: `k${at % 5}` }) : await cluster.clientOf(one).put({ key: `k${at % 11}`, value: String(at) }));
  for (const at of [revision - 30, revision - 10]) await cluster.clientOf(one).compact({ revision: at });
  const hashes = async (at: number): Promise<string[]> => Promise.all(cluster.members.map((member) => cluster.etcdctl(member, ['endpoint', 'hashkv', `--rev=${at}`]).then((line) => line.split(', ')[1] ?? '')));
  await until('all have the same hash of the last compaction', async () => new Set(await hashes(revision - 10)).size === 1);
  assert.equal(new Set(await hashes(0)).size, 1);
  assert.equal(await cluster.etcdctl(one, ['alarm', 'list']), '');
});

test('a changed value is found by the regular check, which refuses writes until the alarm is lifted', async () => {
  const victim = await follower();
  await cluster.clientOf(victim).put({ key: 'changed', value: 'right' });
  await restart(['--corrupt-check-time=300ms'], victim, () => changeOnDisk(victim, 'changed', 'wrong'));
  await alarmOf(victim);
});

test('with InitialCorruptCheck such a member does not serve', async () => {
  const found = await Promise.all(cluster.members.map(async (member) => ({ member, value: (await cluster.clientOf(member).range({ key: 'changed', serializable: true })).kvs[0]?.value.toString() })));
  const wrong = found.find(({ value }) => value === 'wrong')?.member as TestMember;
  await cluster.end(wrong, 'SIGTERM');
  await assert.rejects(cluster.run(wrong, ['--feature-gates=InitialCorruptCheck=true']), /found data inconsistency with peers/);
  await changeOnDisk(wrong, 'changed', 'right');
  await cluster.run(wrong, ['--feature-gates=InitialCorruptCheck=true']);
  for (const line of (await cluster.etcdctl(wrong, ['alarm', 'disarm'])).split('\n')) assert.match(line, /^$|CORRUPT/);
  await cluster.clientOf(wrong).put({ key: 'any', value: 'taken again' });
});

test('a changed value is found after a compaction', async () => {
  const victim = await follower();
  const { header } = await cluster.clientOf(victim).put({ key: 'changed', value: 'newer' });
  await restart(['--compact-hash-check-time=300ms', '--feature-gates=CompactHashCheck=true'], victim, () => changeOnDisk(victim, 'changed', 'worse'));
  await cluster.clientOf(victim).compact({ revision: header?.revision ?? 0 });
  await alarmOf(victim);
});
