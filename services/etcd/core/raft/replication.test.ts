// Replication: windows, probes, conflicts, snapshots, and what may be committed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Entry, RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import { LogLost, MessageRefused, ProposalDropped } from './raft.ts';
import { message, OrderlyCluster, OrderlyMember, text, type OrderlyMember as Member } from './testing/orderly-cluster.ts';

const VOTERS = [1n, 2n, 3n];
const entry = (index: number, term: number, data = ''): Entry => ({ type: 'EntryNormal', term, index, data: text(data) });
const entriesOf = (terms: readonly number[]): Entry[] => terms.map((term, at) => entry(at + 1, term));
const peer = ({ raft }: Member, id: bigint) => raft.status().progress.get(id);

/** A member whose log has these terms, and that knows nothing to be committed. */
function memberWith(id: bigint, terms: readonly number[], term: number): OrderlyMember {
  const member = new OrderlyMember(id, VOTERS, {});
  member.log.persist({ entries: entriesOf(terms), hardState: { term, vote: 0n, commit: 0 } });
  member.restart();
  return member;
}

/** A leader with such a log, in the term after its last one, elected by an imagined member 3. */
function leaderWith(terms: readonly number[], options: ConstructorParameters<typeof OrderlyMember>[2] = {}): OrderlyMember {
  const member = new OrderlyMember(1n, VOTERS, { preVote: false, ...options });
  const term = terms.at(-1) ?? 0;
  member.log.persist({ entries: entriesOf(terms), hardState: { term, vote: 0n, commit: 0 } });
  member.restart();
  member.raft.campaign();
  member.work();
  member.raft.step(message('MsgVoteResp', { from: 3n, to: 1n, term: term + 1 }));
  assert.equal(member.raft.role, 'leader');
  return member;
}
const appendsTo = (id: bigint, messages: readonly RaftMessage[]): RaftMessage[] => messages.filter(({ type, to }) => type === 'MsgApp' && to === id);

test('entries of earlier terms are not committed by counting, but with the first of the own term (Raft §5.4.2, figure 8)', () => {
  const leader = leaderWith([1, 2], { maxBytesPerMessage: 1 });
  leader.work(); // its own entry, 3, is on its disk
  leader.raft.step(message('MsgAppResp', { from: 2n, to: 1n, term: 3, index: 2 }));
  assert.equal(leader.raft.status().commit, 0);
  leader.raft.step(message('MsgAppResp', { from: 2n, to: 1n, term: 3, index: 3 }));
  assert.equal(leader.raft.status().commit, 3);
});

test('a leader counts its own entries only once they are on its disk', () => {
  const leader = leaderWith([]);
  const ready = leader.raft.ready();
  assert.equal(ready.messagesBeforePersist.length, 2); // the entries may travel meanwhile
  leader.raft.step(message('MsgAppResp', { from: 2n, to: 1n, term: 1, index: 1 }));
  assert.equal(leader.raft.status().commit, 0);
  leader.log.persist(ready);
  leader.raft.advance();
  assert.equal(leader.raft.status().commit, 1);
});

test('what is committed but not on the own disk is not handed out to be applied', () => {
  const member = memberWith(2n, [], 1);
  member.raft.step(message('MsgApp', { from: 1n, to: 2n, term: 1, entries: [entry(1, 1)], commit: 1 }));
  const ready = member.raft.ready();
  assert.deepEqual([ready.entries.length, ready.committedEntries.length], [1, 0]);
  member.log.persist(ready);
  member.raft.advance();
  assert.equal(member.raft.ready().committedEntries.length, 1);
});

test('what arrives while a batch is persisted waits for the next batch', () => {
  const member = memberWith(2n, [], 1);
  member.raft.step(message('MsgApp', { from: 1n, to: 2n, term: 1, entries: [entry(1, 1, 'old')] }));
  const first = member.raft.ready();
  member.raft.step(message('MsgApp', { from: 3n, to: 2n, term: 2, entries: [entry(1, 2, 'new')] }));
  assert.deepEqual([first.entries.length, first.messages.length, first.messagesBeforePersist.length], [1, 1, 0]);
  member.log.persist(first);
  member.raft.advance();
  const second = member.raft.ready();
  assert.deepEqual(second.entries, [entry(1, 2, 'new')]);
  assert.deepEqual(second.messages.map(({ to, index }) => [to, index]), [[3n, 1]]);
  assert.throws(() => member.raft.ready(), /not advanced past/);
});

test('at most so many appends are on their way; acknowledgements let more go', () => {
  const cluster = new OrderlyCluster([1n, 2n], { maxInflightMessages: 2, maxBytesPerMessage: 1 });
  const leader = cluster.elect(1n);
  cluster.drops = ({ type }) => type === 'MsgAppResp';
  leader.raft.propose(['a', 'b', 'c', 'd'].map(text));
  const sent = cluster.sent.length;
  cluster.settle();
  assert.deepEqual(appendsTo(2n, cluster.sent.slice(sent)).map(({ entries }) => entries.length), [1, 1]);
  cluster.heal();
  cluster.ticks(3);
  assert.deepEqual(cluster.member(2n).texts(), ['a', 'b', 'c', 'd']);
});

test('a message carries as many entries as fit, and at least one', () => {
  const cluster = new OrderlyCluster([1n, 2n], { maxBytesPerMessage: 250 });
  const leader = cluster.elect(1n);
  const sent = cluster.sent.length;
  leader.raft.propose(['x'.repeat(100), 'x'.repeat(100), 'x'.repeat(500), 'x'].map(text));
  cluster.settle();
  assert.deepEqual(appendsTo(2n, cluster.sent.slice(sent)).filter(({ entries }) => entries.length > 0).map(({ entries }) => entries.length), [2, 1, 1]);
});

test('what is proposed before the next batch is sent in one message', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  for (const one of ['a', 'b', 'c']) leader.raft.propose([text(one)]);
  const sent = cluster.sent.length;
  cluster.settle();
  assert.deepEqual(appendsTo(2n, cluster.sent.slice(sent)).map(({ entries }) => entries.length), [3, 0]); // the second tells of the commit
});

test('a member that nobody has heard from is probed once per heartbeat answer', () => {
  const leader = leaderWith([1, 1]);
  assert.equal(appendsTo(2n, leader.work()).length, 1);
  for (let at = 0; at < 3; at += 1) leader.raft.propose([text('a')]);
  assert.equal(appendsTo(2n, leader.work()).length, 0);
  leader.raft.step(message('MsgHeartbeatResp', { from: 2n, to: 1n, term: 2 }));
  assert.equal(appendsTo(2n, leader.work()).length, 1);
  leader.raft.step(message('MsgAppResp', { from: 2n, to: 1n, term: 2, index: 3 }));
  assert.equal(peer(leader, 2n)?.state, 'replicate');
});

test('a member reported unreachable is probed again', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  assert.equal(peer(leader, 2n)?.state, 'replicate');
  leader.raft.reportUnreachable(2n);
  assert.equal(peer(leader, 2n)?.state, 'probe');
  cluster.ticks(2);
  assert.equal(peer(leader, 2n)?.state, 'replicate');
});

for (const [name, leaderTerms, followerTerms] of [
  ['whose tail has an earlier term', [1, 3, 3, 3, 5, 5, 5, 5, 5], [1, 1, 1, 1, 2, 2]],
  ['whose tail has later terms', [1, 3, 3, 3, 3, 3, 3, 3, 7], [1, 3, 3, 4, 4, 5, 5, 5, 6]],
  ['that is far behind', Array.from({ length: 500 }, () => 1), [1]],
  ['that is empty', [1, 2, 3, 4], []],
] as const) {
  test(`a follower ${name} is brought to agree in a few rounds`, () => {
    const leader = leaderWith(leaderTerms);
    const follower = memberWith(2n, followerTerms, (leaderTerms.at(-1) ?? 0) + 1);
    let rounds = 0;
    for (; follower.log.lastIndex() !== leader.log.lastIndex() || follower.raft.status().commit === 0; rounds += 1) {
      assert.ok(rounds < 6, 'too many rounds');
      for (const one of leader.work()) if (one.to === 2n) follower.raft.step(one);
      while (follower.raft.hasReady()) for (const one of follower.work()) leader.raft.step(one);
    }
    assert.deepEqual(follower.log.stored, leader.log.stored);
  });
}

test('an old append does not cut off what a later one brought', () => {
  const member = memberWith(2n, [], 1);
  member.raft.step(message('MsgApp', { from: 1n, to: 2n, term: 1, entries: [entry(1, 1), entry(2, 1), entry(3, 1)] }));
  member.work();
  member.raft.step(message('MsgApp', { from: 1n, to: 2n, term: 1, entries: [entry(1, 1)] }));
  assert.equal(member.work().at(-1)?.index, 1);
  assert.equal(member.log.lastIndex(), 3);
});

test('a follower commits no further than the append has shown it to agree', () => {
  const member = memberWith(2n, [1, 1, 1], 2);
  member.raft.step(message('MsgApp', { from: 1n, to: 2n, term: 2, index: 1, logTerm: 1, commit: 3 }));
  assert.equal(member.raft.status().commit, 1);
});

test('a heartbeat carries no commit index beyond what the member is known to have', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  cluster.drops = ({ to, type }) => to === 3n && type === 'MsgApp';
  leader.raft.propose([text('a')]);
  cluster.settle();
  const sent = cluster.sent.length;
  cluster.ticks(1);
  assert.deepEqual(cluster.sent.slice(sent).filter(({ type }) => type === 'MsgHeartbeat').map(({ to, commit }) => [to, commit]), [[2n, 2], [3n, 1]]);
});

test('an append that a correct peer cannot send is refused', () => {
  const { raft } = memberWith(2n, [1], 1);
  const append = (entries: Entry[]): void => raft.step(message('MsgApp', { from: 1n, to: 2n, term: 2, index: 1, logTerm: 1, entries }));
  assert.throws(() => append([entry(3, 2)]), MessageRefused);
  assert.throws(() => append([entry(2, 2), entry(3, 1)]), MessageRefused);
  assert.throws(() => append([entry(2, 3)]), MessageRefused);
  assert.throws(() => raft.step(message('MsgApp', { from: 1n, to: 2n, term: -1 })), MessageRefused);
  assert.throws(() => raft.step(message('MsgApp', { from: 1n, to: 2n, term: 0 })), MessageRefused);
  assert.throws(() => raft.step(message('MsgProp', { from: 1n, to: 2n, term: 2, entries: [entry(0, 0)] })), MessageRefused);
});

test('events within a member, and answers of strangers, are not taken from peers', () => {
  const { raft } = memberWith(2n, [1], 1);
  for (const type of ['MsgHup', 'MsgBeat', 'MsgUnreachable', 'MsgSnapStatus', 'MsgCheckQuorum', 'MsgStorageAppendResp', 'MsgForgetLeader'] as const) raft.step(message(type, { from: 1n, to: 2n, term: 9 }));
  raft.step(message('MsgVoteResp', { from: 9n, to: 2n, term: 9 }));
  assert.deepEqual([raft.role, raft.term, raft.hasReady()], ['follower', 1, false]);
});

test('a member that lost what it had acknowledged must not go on', () => {
  const member = memberWith(2n, [1], 1);
  assert.throws(() => member.raft.step(message('MsgHeartbeat', { from: 1n, to: 2n, term: 1, commit: 5 })), LogLost);
  member.log.hardState = { term: 1, vote: 0n, commit: 5 };
  assert.throws(() => member.restart(), LogLost);
});

test('too much uncommitted data is not taken; once it is committed there is room again', () => {
  const cluster = new OrderlyCluster(VOTERS, { maxUncommittedBytes: 10 });
  const leader = cluster.elect(1n);
  leader.raft.propose([text('x'.repeat(50))]); // anything goes when nothing is waiting
  assert.throws(() => leader.raft.propose([text('y')]), ProposalDropped);
  cluster.settle();
  leader.raft.propose([text('z')]);
  cluster.settle();
  assert.deepEqual(leader.texts().map((one) => one[0]), ['x', 'z']);
});

test('a member whose next entry is gone gets the snapshot, nothing else until its fate is known, and then the rest', () => {
  const cluster = new OrderlyCluster(VOTERS);
  const leader = cluster.elect(1n);
  cluster.cutOff(3n);
  leader.raft.propose(['a', 'b'].map(text));
  cluster.settle();
  leader.log.compact(3, leader.raft.applyConfChange(undefined));
  leader.raft.propose([text('c')]);
  leader.log.peerSnapshot = 'unavailable';
  cluster.drops = ({ type }) => type === 'MsgSnap';
  cluster.ticks(3);
  assert.deepEqual([peer(leader, 3n)?.state, cluster.sentOfType('MsgSnap').length], ['probe', 0]);
  leader.log.peerSnapshot = leader.log.base;
  cluster.ticks(3);
  assert.deepEqual([peer(leader, 3n)?.state, cluster.sentOfType('MsgSnap').length], ['snapshot', 1]);
  leader.raft.reportSnapshot(3n, false);
  cluster.heal();
  cluster.ticks(3);
  assert.equal(cluster.sentOfType('MsgSnap').length, 2);
  leader.raft.reportSnapshot(3n, true);
  cluster.ticks(2);
  assert.deepEqual([peer(leader, 3n)?.state, peer(leader, 3n)?.match], ['replicate', 4]);
  assert.deepEqual(cluster.member(3n).texts(), ['c']);
});

test('a snapshot that brings nothing new only moves the commit index', () => {
  const member = memberWith(2n, [1, 1, 1], 1);
  const confState = member.raft.applyConfChange(undefined);
  const snapshot = { data: Buffer.alloc(0), metadata: { index: 2, term: 1, confState } };
  member.raft.step(message('MsgSnap', { from: 1n, to: 2n, term: 1, snapshot }));
  const ready = member.raft.ready();
  assert.deepEqual([ready.snapshot, ready.hardState?.commit, ready.messages[0]?.index], [undefined, 2, 2]);
});

test('nobody installs a snapshot of a cluster it does not belong to', () => {
  const member = memberWith(9n, [], 1);
  const snapshot = { data: Buffer.alloc(0), metadata: { index: 2, term: 1, confState: { voters: [1n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false } } };
  member.raft.step(message('MsgSnap', { from: 1n, to: 9n, term: 1, snapshot }));
  assert.equal(member.raft.ready().snapshot, undefined);
});

test('an append with nothing but a commit index is answered with the next one, or with the next tick', () => {
  const member = memberWith(2n, [], 1);
  const append = (fields: Partial<RaftMessage>): RaftMessage[] => {
    member.raft.step(message('MsgApp', { from: 1n, to: 2n, term: 1, ...fields }));
    return member.work();
  };
  const indexes = (messages: readonly RaftMessage[]): number[] => messages.filter(({ type }) => type === 'MsgAppResp').map(({ index }) => index);
  assert.deepEqual(indexes(append({ entries: [entry(1, 1)] })), [1]);
  assert.deepEqual(indexes(append({ index: 1, logTerm: 1, commit: 1 })), []);
  assert.deepEqual(indexes(append({ index: 1, logTerm: 1, commit: 1, entries: [entry(2, 1)] })), [2]);
  member.ticks(1);
  assert.deepEqual(indexes(member.work()), []); // that one was the answer to both
  assert.deepEqual(indexes(append({ index: 2, logTerm: 1, commit: 2 })), []);
  member.ticks(1);
  assert.deepEqual(indexes(member.work()), [2]);
  assert.deepEqual(indexes(append({ index: 2, logTerm: 1, commit: 2 })), [2]); // tells of no commit: the leader wants to know
});

test('a follower that has not acknowledged anything to this leader answers every append', () => {
  const member = memberWith(2n, [1], 1);
  member.raft.step(message('MsgApp', { from: 1n, to: 2n, term: 2, index: 1, logTerm: 1, commit: 1 }));
  assert.deepEqual(member.work().filter(({ type }) => type === 'MsgAppResp').map(({ index }) => index), [1]);
});
