// Linearizable reads, and the handing over of the leadership.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProposalDropped } from './raft.ts';
import { change, ELECTION_TICKS, message, OrderlyCluster, OrderlyMember, text } from './testing/orderly-cluster.ts';

const VOTERS = [1n, 2n, 3n];
const contexts = ({ reads }: OrderlyMember): string[] => reads.map(({ context }) => Buffer.from(context).toString());

test('a read is confirmed at the commit index, at the leader and through a follower', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  leader.raft.propose([text('a')]);
  cluster.settle();
  for (const id of VOTERS) {
    assert.equal(cluster.member(id).raft.readIndex(text('r')), true);
    cluster.settle();
    assert.deepEqual(cluster.member(id).reads.map(({ index }) => index), [2]);
  }
});

test('many reads share one round of heartbeats', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  const before = cluster.sentOfType('MsgHeartbeat').length;
  for (const one of ['a', 'b', 'c']) leader.raft.readIndex(text(one));
  cluster.settle();
  assert.equal(cluster.sentOfType('MsgHeartbeat').length - before, 2);
  assert.deepEqual(contexts(leader), ['a', 'b', 'c']);
});

test('a leader that was replaced without knowing confirms nothing', () => {
  const cluster = new OrderlyCluster(VOTERS, { checkQuorum: false });
  const old = cluster.elect(1n);
  cluster.cutOff(1n);
  cluster.elect(2n).raft.propose([text('a')]);
  cluster.settle();
  old.raft.readIndex(text('r'));
  cluster.settle();
  assert.deepEqual([old.raft.role, contexts(old)], ['leader', []]);
  cluster.heal();
  cluster.ticks(1);
  assert.deepEqual([old.raft.role, contexts(old)], ['follower', []]);
});

test('answers to heartbeats from before a read do not confirm it', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  leader.raft.readIndex(text('first'));
  const [heartbeat] = leader.work().filter(({ type }) => type === 'MsgHeartbeat');
  leader.raft.readIndex(text('second'));
  leader.raft.step(message('MsgHeartbeatResp', { from: 2n, to: 1n, term: 1, context: heartbeat?.context ?? text('') }));
  leader.work();
  assert.deepEqual(contexts(leader), ['first']);
  cluster.ticks(1);
  assert.deepEqual(contexts(leader), ['first', 'second']);
});

test('a new leader confirms reads only after it has committed in its term: before, it may not know all that is', () => {
  const cluster = new OrderlyCluster(VOTERS);
  cluster.drops = ({ type }) => type === 'MsgAppResp';
  const leader = cluster.elect(1n);
  leader.raft.readIndex(text('r'));
  cluster.settle();
  assert.deepEqual(contexts(leader), []);
  cluster.heal();
  cluster.ticks(2);
  assert.deepEqual(leader.reads.map(({ index }) => index), [1]);
});

test('a lone voter too, whose commit index on disk may be behind what it acknowledged', () => {
  const member = new OrderlyMember(1n, [1n], {});
  member.log.persist({ entries: [{ type: 'EntryNormal', term: 1, index: 1, data: text('a') }], hardState: { term: 1, vote: 1n, commit: 0 } });
  member.restart();
  member.raft.campaign();
  member.work();
  assert.equal(member.raft.role, 'leader');
  member.raft.readIndex(text('r'));
  assert.deepEqual(member.reads, []);
  while (member.raft.hasReady()) member.work();
  assert.deepEqual(member.reads.map(({ index }) => index), [2]);
});

test('learners do not confirm reads', () => {
  const cluster = new OrderlyCluster([1n, 2n]);
  const leader = cluster.elect(1n);
  cluster.join(3n);
  leader.raft.proposeConfChange(change('ConfChangeAddLearnerNode', 3n));
  cluster.settle();
  cluster.cutOff(2n);
  leader.raft.readIndex(text('r'));
  cluster.settle();
  assert.deepEqual(contexts(leader), []);
});

test('a read that a member waits for alone is confirmed when the others are removed', () => {
  const cluster = new OrderlyCluster([1n, 2n]);
  const leader = cluster.elect(1n);
  cluster.drops = ({ type }) => type === 'MsgHeartbeatResp';
  leader.raft.proposeConfChange(change('ConfChangeRemoveNode', 2n));
  leader.raft.readIndex(text('r'));
  cluster.settle();
  assert.deepEqual(contexts(leader), ['r']);
});

test('the leadership goes to a member that has everything, at once and without pre-vote', () => {
  const cluster = new OrderlyCluster(VOTERS);
  cluster.elect(1n);
  cluster.member(2n).raft.transferLeader(3n); // a follower passes it on
  cluster.settle();
  assert.equal(cluster.member(3n).raft.role, 'leader');
  assert.equal(cluster.member(1n).raft.lead, 3n);
});

test('to a member that lags behind it goes once that has caught up', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  cluster.cutOff(3n);
  leader.raft.propose([text('a')]);
  cluster.settle();
  cluster.heal();
  leader.raft.transferLeader(3n);
  cluster.ticks(2);
  assert.equal(cluster.member(3n).raft.role, 'leader');
  assert.deepEqual(cluster.member(3n).texts(), ['a']);
});

test('a lost order to take over is repeated', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  cluster.drops = ({ type }) => type === 'MsgTimeoutNow';
  leader.raft.transferLeader(3n);
  cluster.settle();
  cluster.heal();
  cluster.ticks(1);
  assert.equal(cluster.member(3n).raft.role, 'leader');
});

test('while it is handed over proposals are dropped; after an election time without success the leader goes on', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  cluster.cutOff(3n);
  leader.raft.transferLeader(3n);
  assert.equal(leader.raft.status().leadTransferee, 3n);
  assert.throws(() => leader.raft.propose([text('a')]), ProposalDropped);
  cluster.ticks(ELECTION_TICKS);
  leader.raft.propose([text('b')]);
  cluster.settle();
  assert.deepEqual(leader.texts(), ['b']);
});

test('a later wish replaces the earlier; learners, strangers and the leader itself are no heirs', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  cluster.drops = ({ type }) => type === 'MsgTimeoutNow';
  for (const id of [1n, 9n]) leader.raft.transferLeader(id);
  assert.equal(leader.raft.status().leadTransferee, 0n);
  leader.raft.transferLeader(2n);
  leader.raft.transferLeader(3n);
  cluster.settle();
  assert.equal(leader.raft.status().leadTransferee, 3n);
});
