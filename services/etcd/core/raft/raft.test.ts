// The fine points of the core, each in the smallest cluster that shows it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProposalDropped } from './raft.ts';
import { OrderlyCluster, text } from './testing/orderly-cluster.ts';

test('the only voter leads and commits without waiting for ticks', () => {
  const cluster = new OrderlyCluster([1n]);
  const member = cluster.elect(1n);
  member.raft.propose([text('a'), text('b')]);
  cluster.settle();
  assert.deepEqual(member.texts(), ['a', 'b']);
  assert.deepEqual(cluster.sent, []);
});

test('three members elect a leader by themselves, and agree on what is proposed anywhere', () => {
  const cluster = new OrderlyCluster([1n, 2n, 3n]);
  cluster.ticks(30);
  const leader = cluster.leader();
  assert.ok(leader);
  for (const member of cluster.members.values()) member.raft.propose([text(`from ${member.id}`)]);
  cluster.ticks(2);
  const expected = leader.texts().toSorted();
  assert.deepEqual(expected, ['from 1', 'from 2', 'from 3']);
  for (const member of cluster.members.values()) assert.deepEqual(member.texts(), leader.texts());
});

test('without a known leader a proposal is dropped, and a read is not asked for', () => {
  const { raft } = new OrderlyCluster([1n, 2n, 3n]).member(1n);
  assert.throws(() => raft.propose([text('a')]), ProposalDropped);
  assert.equal(raft.readIndex(text('r')), false);
});
