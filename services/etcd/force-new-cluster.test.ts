// The last member of a cluster whose others are lost goes on alone, and is the first of a new one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { temporaryFolder, until } from './testing.ts';
import { TestCluster, type TestMember } from './testing-cluster.ts';

let cluster: TestCluster;
before(async () => { cluster = await TestCluster.start(temporaryFolder().path, 3, ['--snapshot-count=100']); });
after(() => cluster.stop());

const names = async (member: TestMember): Promise<string[]> => (await cluster.clientOf(member).memberList()).members.map(({ name }) => name).sort();

test('with --force-new-cluster one of three serves what they had, alone, and takes new members', async () => {
  const [last, ...lost] = cluster.members as [TestMember, TestMember, TestMember];
  for (let at = 0; at < 250; at += 1) await cluster.clientOf(last).put({ key: `k${at}`, value: 'before' });
  const { header } = await cluster.clientOf(last).status();
  for (const member of cluster.members) await cluster.end(member, 'SIGKILL');
  await cluster.run(last, ['--force-new-cluster']);
  const client = cluster.clientOf(last);
  assert.deepEqual(await names(last), ['m1']);
  // Of the very last entry its log may not say that it was committed; then that is given up, as etcd does.
  const { count } = await client.range({ key: 'k', rangeEnd: 'l', countOnly: true });
  assert.ok(count >= 249, String(count));
  const put = await client.put({ key: 'alone', value: 'yes' });
  assert.deepEqual([put.header?.clusterId, put.header?.memberId], [header?.clusterId, header?.memberId]);

  await cluster.end(last, 'SIGKILL');
  await cluster.run(last); // once is enough
  assert.deepEqual(await names(last), ['m1']);
  assert.equal((await cluster.clientOf(last).range({ key: 'alone' })).count, 1);

  for (const member of lost) cluster.members.splice(cluster.members.indexOf(member), 1);
  const added = await cluster.define('m4');
  assert.match(await cluster.etcdctl(last, ['member', 'add', added.name, `--peer-urls=${added.peerUrl}`]), /added to cluster/);
  await cluster.run(added, ['--initial-cluster-state=existing']);
  await until('the new member has the keys', async () => (await cluster.clientOf(added).range({ key: 'k', rangeEnd: 'l', serializable: true, countOnly: true })).count === count);
  await cluster.clientOf(added).put({ key: 'together', value: 'again' });
  await until('both have their names', async () => (await names(last)).join() === 'm1,m4');
});
