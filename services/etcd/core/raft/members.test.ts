// Changes of the membership: one at a time, with learners, and leaders that remove themselves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { confChange, type Entry } from '#lib/etcd-api/raft-messages.ts';
import { ProposalDropped } from './raft.ts';
import { change, ELECTION_TICKS, message, OrderlyCluster, OrderlyMember, text } from './testing/orderly-cluster.ts';

const VOTERS = [1n, 2n, 3n];

test('a new member joins as a learner, catches up, is promoted and counts', () => {
  const cluster = new OrderlyCluster([1n]);
  const leader = cluster.elect(1n);
  leader.raft.propose([text('a')]);
  const joined = cluster.join(2n);
  leader.raft.proposeConfChange(change('ConfChangeAddLearnerNode', 2n));
  cluster.settle();
  assert.deepEqual(joined.texts(), ['a']);
  assert.equal(leader.raft.status().progress.get(2n)?.isLearner, true);
  cluster.cutOff(2n);
  leader.raft.propose([text('b')]); // a learner is not waited for
  cluster.settle();
  assert.deepEqual(leader.texts(), ['a', 'b']);
  cluster.heal();
  cluster.ticks(2);
  leader.raft.proposeConfChange(change('ConfChangeAddNode', 2n));
  cluster.settle();
  cluster.cutOff(2n);
  leader.raft.propose([text('c')]); // a voter is
  cluster.settle();
  assert.deepEqual(leader.texts(), ['a', 'b']);
});

test('one change at a time: at the leader a second is dropped, from afar it becomes an empty entry', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  cluster.drops = ({ type }) => type === 'MsgAppResp';
  leader.raft.proposeConfChange(change('ConfChangeAddNode', 4n));
  assert.throws(() => leader.raft.proposeConfChange(change('ConfChangeAddNode', 5n)), ProposalDropped);
  cluster.member(2n).raft.proposeConfChange(change('ConfChangeAddNode', 5n));
  cluster.settle();
  assert.deepEqual(leader.log.stored.map(({ type, data }) => [type, data.length > 0]), [['EntryNormal', false], ['EntryConfChange', true], ['EntryNormal', false]]);
  cluster.heal();
  cluster.ticks(2);
  leader.raft.proposeConfChange(change('ConfChangeRemoveNode', 4n));
});

test('a new leader takes no change before it has committed what it inherited', () => {
  const cluster = new OrderlyCluster(VOTERS);
  cluster.drops = ({ type }) => type === 'MsgAppResp';
  const leader = cluster.elect(1n);
  leader.raft.propose([text('a')]);
  cluster.settle();
  cluster.drops = ({ from, to, type }) => type === 'MsgAppResp' || from === 1n || to === 1n;
  cluster.ticks(3 * ELECTION_TICKS);
  const next = [cluster.member(2n), cluster.member(3n)].find(({ raft }) => raft.role === 'leader');
  assert.ok(next);
  assert.throws(() => next.raft.proposeConfChange(change('ConfChangeAddNode', 4n)), ProposalDropped);
  cluster.heal();
  cluster.ticks(2);
  next.raft.proposeConfChange(change('ConfChangeAddNode', 4n));
});

test('a learner that is asked for its vote learns that its promotion is committed, and can lead when nobody else has its log', () => {
  const cluster = new OrderlyCluster([1n]);
  const leader = cluster.elect(1n);
  const learner = cluster.join(2n);
  leader.raft.proposeConfChange(change('ConfChangeAddLearnerNode', 2n));
  cluster.settle();
  cluster.drops = ({ commit }) => commit >= 3; // the learner gets the entry, but does not hear of the commit
  leader.raft.proposeConfChange(change('ConfChangeAddNode', 2n));
  cluster.settle();
  leader.raft.propose([text('a')]);
  for (const one of leader.raft.ready().messagesBeforePersist) learner.raft.step({ ...one, commit: 2 }); // power fails before the leader has it on disk
  while (learner.raft.hasReady()) learner.work();
  assert.deepEqual([leader.log.lastIndex(), learner.log.lastIndex(), learner.raft.status().commit], [3, 4, 2]);
  cluster.heal();
  leader.restart();
  cluster.ticks(6 * ELECTION_TICKS);
  assert.equal(learner.raft.role, 'leader');
  assert.deepEqual(leader.texts(), ['a']);
});

test('removing a voter may commit what waited for it', () => {
  const cluster = new OrderlyCluster([1n, 2n], { maxBytesPerMessage: 1 });
  const leader = cluster.elect(1n);
  cluster.drops = ({ type, index }) => type === 'MsgAppResp' && index > 2; // member 2 acknowledges the change, and nothing after it
  leader.raft.proposeConfChange(change('ConfChangeRemoveNode', 2n));
  leader.raft.propose([text('a')]);
  cluster.settle();
  assert.deepEqual(leader.texts(), ['a']);
});

test('a leader that is removed hands over, and takes no more proposals', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  leader.raft.proposeConfChange(change('ConfChangeRemoveNode', 1n));
  cluster.settle();
  assert.equal(cluster.member(2n).raft.role, 'leader'); // at once
  cluster.ticks(2);
  assert.notEqual(leader.raft.role, 'leader');
  const heir = cluster.leader();
  assert.ok(heir !== undefined && heir.id !== 1n);
  heir.raft.propose([text('a')]);
  cluster.settle();
  assert.deepEqual([cluster.member(2n).texts(), cluster.member(3n).texts(), leader.texts()], [['a'], ['a'], []]);
  leader.ticks(5 * ELECTION_TICKS);
  assert.equal(leader.raft.role, 'follower');
});

test('when nobody takes over it steps down after an election time', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  leader.raft.proposeConfChange(change('ConfChangeRemoveNode', 1n));
  cluster.drops = ({ type }) => type === 'MsgTimeoutNow';
  cluster.settle();
  assert.equal(leader.raft.role, 'leader');
  assert.throws(() => leader.raft.propose([text('a')]), ProposalDropped);
  leader.ticks(ELECTION_TICKS);
  assert.equal(leader.raft.role, 'follower');
});

test('a transfer to a member that is removed is given up', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  leader.raft.proposeConfChange(change('ConfChangeRemoveNode', 3n));
  cluster.drops = ({ type }) => type === 'MsgTimeoutNow';
  leader.raft.transferLeader(3n);
  cluster.settle();
  assert.equal(leader.raft.status().leadTransferee, 0n);
});

test('the last voter stays', () => {
  const { raft } = new OrderlyMember(1n, [1n], {});
  assert.throws(() => raft.applyConfChange(change('ConfChangeRemoveNode', 1n)), /last voter/);
  assert.throws(() => raft.applyConfChange(change('ConfChangeAddLearnerNode', 1n)), /last voter/);
});

test('a void change changes nothing', () => {
  const { raft } = new OrderlyMember(1n, VOTERS, {});
  for (const one of [undefined, change('ConfChangeRemoveNode', 0n), change('ConfChangeRemoveNode', 9n)]) assert.deepEqual(raft.applyConfChange(one).voters, VOTERS);
});

test('a member whose first entries name the members starts with them, as etcd bootstraps', () => {
  const entries = VOTERS.map((nodeId, at): Entry => ({ type: 'EntryConfChange', term: 1, index: at + 1, data: confChange.encode({ id: 0n, type: 'ConfChangeAddNode', nodeId }) }));
  const member = new OrderlyMember(1n, [], {});
  member.log.persist({ entries, hardState: { term: 1, vote: 0n, commit: 3 } });
  member.restart();
  member.raft.campaign();
  assert.equal(member.raft.role, 'follower'); // not before they are applied
  member.work();
  assert.deepEqual(member.raft.applyConfChange(undefined).voters, VOTERS);
  member.raft.campaign();
  assert.equal(member.raft.role, 'precandidate');
});

test('two membership changes in a log prove the first one committed, even when the commit index did not reach the disk', () => {
  const member = new OrderlyMember(2n, VOTERS, {});
  const entries = [change('ConfChangeAddNode', 4n), change('ConfChangeAddNode', 5n)].map((one, at): Entry => ({ type: 'EntryConfChange', term: 1, index: at + 1, data: confChange.encode(one as Parameters<typeof confChange.encode>[0]) }));
  member.log.persist({ entries, hardState: { term: 1, vote: 0n, commit: 0 } });
  member.restart();
  assert.equal(member.raft.status().commit, 1);
});

test('a removed member that does not know it does not disturb the others', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  cluster.cutOff(3n);
  leader.raft.proposeConfChange(change('ConfChangeRemoveNode', 3n));
  cluster.settle();
  cluster.heal();
  cluster.ticks(10 * ELECTION_TICKS);
  assert.deepEqual([leader.raft.role, leader.raft.term], ['leader', 1]);
  cluster.member(3n).raft.step(message('MsgTimeoutNow', { from: 1n, to: 3n, term: 1 }));
  cluster.ticks(3 * ELECTION_TICKS);
  assert.equal(leader.raft.role === 'leader' || cluster.member(2n).raft.role === 'leader', true);
});
