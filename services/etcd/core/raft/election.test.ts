// Elections: who may stand, who gets votes, and who protects a leader.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#lib/environment/random.ts';
import { change, ELECTION_TICKS, message, OrderlyCluster, OrderlyMember, text } from './testing/orderly-cluster.ts';

const VOTERS = [1n, 2n, 3n];
const transferContext = Buffer.from('CampaignTransfer');

test('a follower stands after one to two election times without a word, never before', () => {
  const waits = Array.from({ length: 200 }, (_, seed) => {
    const { raft } = new OrderlyMember(1n, VOTERS, { random: seededRandom(seed) });
    let ticks = 0;
    for (; raft.role === 'follower'; ticks += 1) raft.tick();
    return ticks;
  });
  assert.equal(Math.min(...waits), ELECTION_TICKS);
  assert.equal(Math.max(...waits), 2 * ELECTION_TICKS - 1);
});

test('a vote is on disk before it is given', () => {
  const { raft } = new OrderlyMember(2n, VOTERS, {});
  raft.step(message('MsgVote', { from: 1n, to: 2n, term: 5, index: 0, logTerm: 0 }));
  const ready = raft.ready();
  assert.deepEqual(ready.hardState, { term: 5, vote: 1n, commit: 0 });
  assert.equal(ready.mustSync, true);
  assert.deepEqual(ready.messagesBeforePersist, []);
  assert.deepEqual(ready.messages.map(({ type, to, term, reject }) => ({ type, to, term, reject })), [{ type: 'MsgVoteResp', to: 1n, term: 5, reject: false }]);
});

test('a candidate counts its own vote once it is on disk', () => {
  const { raft } = new OrderlyMember(1n, [1n], {});
  raft.campaign();
  assert.equal(raft.role, 'candidate');
  assert.deepEqual(raft.ready().hardState, { term: 1, vote: 1n, commit: 0 });
  assert.equal(raft.role, 'candidate');
  raft.advance();
  assert.equal(raft.role, 'leader');
});

test('there is one vote a term; the same candidate gets it again', () => {
  const member = new OrderlyMember(3n, VOTERS, {});
  const ask = (from: bigint): boolean | undefined => {
    member.raft.step(message('MsgVote', { from, to: 3n, term: 2 }));
    return member.work().at(-1)?.reject;
  };
  assert.deepEqual([ask(1n), ask(2n), ask(1n)], [false, true, false]);
  member.restart();
  assert.deepEqual([ask(2n), ask(1n)], [true, false]);
});

test('a member whose log is later or longer refuses its vote', () => {
  const leader = new OrderlyCluster(VOTERS).elect(1n); // its log: entry 1 of term 1
  for (const [index, logTerm, isRefused] of [[0, 0, true], [5, 0, true], [1, 1, false], [2, 1, false], [1, 2, false]] as const) {
    const member = new OrderlyMember(2n, VOTERS, {});
    member.log.persist({ entries: leader.log.stored });
    member.restart();
    member.raft.step(message('MsgVote', { from: 3n, to: 2n, term: 9, index, logTerm }));
    assert.equal(member.work()[0]?.reject, isRefused, `a candidate whose log ends with entry ${index} of term ${logTerm}`);
  }
});

test('a follower in touch with its leader ignores votes, but not those of a transfer', () => {
  const cluster = new OrderlyCluster(VOTERS);
  cluster.elect(1n);
  const { raft } = cluster.member(2n);
  for (const type of ['MsgPreVote', 'MsgVote'] as const) raft.step(message(type, { from: 3n, to: 2n, term: 7, index: 9, logTerm: 7 }));
  assert.equal(raft.hasReady(), false);
  assert.equal(raft.term, 1);
  raft.step(message('MsgVote', { from: 3n, to: 2n, term: 7, index: 9, logTerm: 7, context: transferContext }));
  assert.equal(raft.ready().messages[0]?.reject, false);
});

test('a member that was cut off comes back without raising the term', () => {
  const cluster = new OrderlyCluster(VOTERS);
  cluster.elect(1n);
  cluster.cutOff(3n);
  cluster.ticks(10 * ELECTION_TICKS);
  assert.equal(cluster.member(3n).raft.role, 'precandidate');
  cluster.heal();
  cluster.ticks(2 * ELECTION_TICKS);
  for (const { raft } of cluster.members.values()) assert.deepEqual([raft.term, raft.lead], [1, 1n]);
});

test('without pre-vote it comes back with a later term, and the leader hears of it', () => {
  const cluster = new OrderlyCluster(VOTERS, { preVote: false });
  cluster.elect(1n);
  cluster.cutOff(3n);
  cluster.ticks(10 * ELECTION_TICKS);
  assert.ok(cluster.member(3n).raft.term > 1);
  cluster.heal();
  cluster.ticks(4 * ELECTION_TICKS);
  const leader = cluster.leader();
  for (const { raft } of cluster.members.values()) assert.deepEqual([raft.term, raft.lead], [leader?.raft.term, leader?.id]);
});

test('a leader that a majority does not answer steps down within two election times', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  cluster.cutOff(1n);
  cluster.ticks(2 * ELECTION_TICKS);
  assert.notEqual(leader.raft.role, 'leader');
  assert.notEqual(cluster.leader()?.id, undefined);
});

test('without the check of the quorum it goes on leading', () => {
  const cluster = new OrderlyCluster(VOTERS, { checkQuorum: false });
  const leader = cluster.elect(1n);
  cluster.cutOff(1n);
  leader.ticks(5 * ELECTION_TICKS);
  assert.equal(leader.raft.role, 'leader');
});

test('a candidate that learns of a leader of its term follows it', () => {
  const member = new OrderlyMember(1n, VOTERS, { preVote: false });
  member.raft.campaign();
  member.raft.step(message('MsgHeartbeat', { from: 2n, to: 1n, term: 1 }));
  assert.deepEqual([member.raft.role, member.raft.lead, member.raft.term], ['follower', 2n, 1]);
});

test('a pre-candidate that most refuse goes on following, in the later term if there is one', () => {
  const member = new OrderlyMember(1n, VOTERS, {});
  member.raft.campaign();
  member.raft.step(message('MsgPreVoteResp', { from: 2n, to: 1n, term: 0 + 4, reject: true }));
  assert.deepEqual([member.raft.role, member.raft.term], ['follower', 4]);
});

test('a learner never stands, but votes: it may have been promoted without knowing', () => {
  const member = new OrderlyMember(3n, [1n, 2n], {});
  member.raft.applyConfChange(change('ConfChangeAddLearnerNode', 3n));
  member.ticks(10 * ELECTION_TICKS);
  member.raft.campaign();
  assert.equal(member.raft.role, 'follower');
  member.raft.step(message('MsgVote', { from: 1n, to: 3n, term: 4 }));
  assert.equal(member.work()[0]?.reject, false);
});

test('a member with a membership change to apply does not stand', () => {
  const cluster = new OrderlyCluster(VOTERS);
  cluster.elect(1n).raft.proposeConfChange(change('ConfChangeRemoveNode', 3n));
  cluster.settle();
  const member = cluster.member(2n);
  member.applied.length = 0; // its database is behind
  member.restart();
  member.raft.campaign();
  assert.equal(member.raft.role, 'follower');
  member.work();
  member.raft.campaign();
  assert.equal(member.raft.role, 'precandidate');
});

test('a follower that forgets its leader votes at once', () => {
  const cluster = new OrderlyCluster(VOTERS);
  cluster.elect(1n);
  cluster.cutOff(1n);
  cluster.member(2n).raft.forgetLeader();
  cluster.member(3n).raft.forgetLeader();
  cluster.member(2n).raft.campaign();
  cluster.settle();
  assert.equal(cluster.member(2n).raft.role, 'leader');
});

test('two candidates of one term cannot both win, and someone wins later', () => {
  const cluster = new OrderlyCluster(VOTERS, { preVote: false });
  for (const id of [1n, 2n]) cluster.member(id).raft.campaign();
  cluster.settle();
  cluster.ticks(4 * ELECTION_TICKS);
  cluster.leader()?.raft.propose([text('a')]);
  cluster.settle();
  for (const member of cluster.members.values()) assert.deepEqual(member.texts(), ['a']);
});
