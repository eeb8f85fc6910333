// What a leader does: takes proposals, counts acknowledgements, commits, confirms reads, hands over. Raft §5.3, §5.4.2, §3.10, §6.4.
import { confChange, type ConfChange, type Entry, type EntryType, type RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import { MessageRefused, ProposalDropped } from './driver-contract.ts';
import { isApplicable } from './members.ts';
import type { Progress } from './progress.ts';
import { NO_MEMBER, type RaftState } from './raft-state.ts';
import type { PendingRead } from './read-index.ts';
import { sendAppend, sendAppends } from './replication.ts';

const NO_DATA = new Uint8Array(0);
/** Reads asked for before the first commit of a term; more are dropped and asked for again. */
const MAX_EARLY_READS = 4096;

/** The winner of an election: its first entry is empty; committing it commits all that it inherited. */
export function startLeading(state: RaftState): void {
  state.becomeLeader();
  state.log.append([newEntry(state, 'EntryNormal', NO_DATA, 1)]);
  state.appendIsDue = true;
}

const newEntry = ({ term, log }: RaftState, type: EntryType, data: Uint8Array, offset: number): Entry => ({ type, term, index: log.lastIndex + offset, data });

export function tickLeader(state: RaftState): void {
  state.heartbeatElapsed += 1;
  state.electionElapsed += 1;
  if (state.electionElapsed >= state.electionTicks) {
    state.electionElapsed = 0;
    const isObeyed = state.members.takeQuorumActive() || !state.checksQuorum;
    if (!isObeyed || !state.members.isVoter(state.id)) return state.becomeFollower(state.term, NO_MEMBER);
    state.leadTransferee = NO_MEMBER; // it had an election's time
  }
  if (state.heartbeatElapsed < state.heartbeatTicks) return;
  state.heartbeatElapsed = 0;
  state.heartbeatIsDue = true;
}

export interface Proposal { readonly type: Entry['type']; readonly data: Uint8Array }

/** Appends to the log. Throws ProposalDropped; then nothing was appended. */
export function propose(state: RaftState, proposals: readonly Proposal[]): void {
  if (!state.members.isVoter(state.id)) throw new ProposalDropped('this member was removed');
  if (state.leadTransferee !== NO_MEMBER) throw new ProposalDropped('the leadership is being transferred');
  let size = 0;
  for (const { data } of proposals) size += data.length;
  // Anything fits into an empty log, and nothing is too small for a full one: otherwise a proposal could be stuck for ever.
  if (size > 0 && state.uncommittedBytes > 0 && state.uncommittedBytes + size > state.maxUncommittedBytes) throw new ProposalDropped('too much is uncommitted');
  const entries: Entry[] = [];
  for (const proposal of proposals) entries.push(entryFor(state, proposal, entries.length + 1));
  state.uncommittedBytes += size;
  state.log.append(entries);
  state.appendIsDue = true;
}

/** A change of membership becomes an empty entry while another one is pending: one at a time. */
function entryFor(state: RaftState, { type, data }: Proposal, offset: number): Entry {
  if (type === 'EntryNormal') return newEntry(state, type, data, offset);
  if (type !== 'EntryConfChange' || hasPendingMembershipChange(state)) return newEntry(state, 'EntryNormal', NO_DATA, offset);
  state.pendingConfIndex = state.log.lastIndex + offset;
  return newEntry(state, type, data, offset);
}

export const hasPendingMembershipChange = ({ pendingConfIndex, log }: RaftState): boolean => pendingConfIndex > log.applied;
export const membershipProposal = (change: ConfChange): Proposal => ({ type: 'EntryConfChange', data: confChange.encode(change as Parameters<typeof confChange.encode>[0]) });

/** Commits what a majority holds, if it is of this term: an older entry could still be replaced (Raft §5.4.2). */
export function commitAgreed(state: RaftState): boolean {
  const agreed = state.members.agreedIndex();
  if (agreed <= state.log.committed || !state.log.isTermAt(agreed, state.term)) return false;
  state.log.commitTo(agreed);
  state.appendIsDue = true;
  const reads = state.earlyReads;
  if (reads.length > 0) {
    state.earlyReads = [];
    for (const read of reads) confirmRead(state, read);
  }
  return true;
}

/** The leader's own entries are on disk. */
export function ownEntriesPersisted(state: RaftState): void {
  if (state.members.get(state.id)?.acknowledged(state.log.stableIndex) === true) commitAgreed(state);
}

export function readIndex(state: RaftState, read: Omit<PendingRead, 'index'>): void {
  if (state.hasCommittedInTerm()) confirmRead(state, read);
  else if (state.earlyReads.length < MAX_EARLY_READS) state.earlyReads.push(read);
}

function confirmRead(state: RaftState, { from, context }: Omit<PendingRead, 'index'>): void {
  const read: PendingRead = { from, context, index: state.log.committed };
  if (state.members.isAlone()) return answerRead(state, read);
  state.reads.add(read);
  state.heartbeatIsDue = true;
}

function answerRead(state: RaftState, { from, context, index }: PendingRead): void {
  if (from === state.id) state.readStates.push({ index, context });
  else state.send('MsgReadIndexResp', from, { index, entries: [{ type: 'EntryNormal', term: 0, index: 0, data: context }] });
}

export function transferLeader(state: RaftState, to: bigint): void {
  const member = state.members.get(to);
  if (member === undefined || member.isLearner || to === state.id || to === state.leadTransferee) return;
  state.electionElapsed = 0; // it has an election's time
  state.leadTransferee = to;
  if (isReadyToTakeOver(state, member)) state.send('MsgTimeoutNow', to);
  else sendAppend(state, member, true);
}

export function reportUnreachable(state: RaftState, id: bigint): void {
  const member = state.members.get(id);
  if (member?.state === 'replicate') member.probe(); // what was on its way is likely to be lost
}

export function reportSnapshot(state: RaftState, id: bigint, isDelivered: boolean): void {
  const member = state.members.get(id);
  if (member?.state !== 'snapshot') return;
  if (!isDelivered) member.pendingSnapshot = 0;
  member.probe();
  // Delivered: its acknowledgement comes. Failed: not before the next heartbeat is answered.
  member.isPaused = true;
}

/** After a change of membership: another majority may hold more, and a new member waits to be sent something. */
export function membershipChanged(state: RaftState): void {
  const { members } = state;
  if (!members.isVoter(state.id)) return retire(state);
  if (!commitAgreed(state)) state.appendIsDue = true;
  if (state.leadTransferee !== NO_MEMBER && !members.isVoter(state.leadTransferee)) state.leadTransferee = NO_MEMBER;
  for (const read of state.reads.takeConfirmed(members)) answerRead(state, read);
}

/**
 * A leader that was removed tells the others of its removal and hands over to the one that has most of the log. An election's time later it
 * steps down anyway. Stepping down at once would leave those that did not hear of the removal with a leader they wait for in vain.
 */
function retire(state: RaftState): void {
  state.appendIsDue = true;
  const voters = state.members.others.filter(({ isLearner }) => !isLearner);
  const heir = voters.reduce<Progress | undefined>((best, voter) => (best === undefined || voter.match > best.match ? voter : best), undefined);
  if (heir !== undefined) transferLeader(state, heir.id);
}

export function stepLeader(state: RaftState, message: RaftMessage): void {
  if (message.type === 'MsgProp') {
    if (message.entries.length === 0) throw new MessageRefused('a proposal of nothing');
    if (message.entries.some(({ type, data }) => type !== 'EntryNormal' && !isApplicable(type, data))) throw new MessageRefused('a proposal that nobody can apply');
    return propose(state, message.entries);
  }
  if (message.type === 'MsgReadIndex') return readIndex(state, { from: message.from, context: readContext(message) });
  const member = state.members.get(message.from);
  if (member === undefined) return;
  switch (message.type) {
    case 'MsgAppResp': return answeredAppend(state, member, message);
    case 'MsgHeartbeatResp': return answeredHeartbeat(state, member, message);
    case 'MsgTransferLeader': return transferLeader(state, message.from);
    default: // what only followers and candidates heed
  }
}

export function readContext({ entries }: RaftMessage): Uint8Array {
  if (entries.length !== 1) throw new MessageRefused(`a read index with ${entries.length} contexts`);
  return (entries[0] as Entry).data;
}

function answeredAppend(state: RaftState, member: Progress, message: RaftMessage): void {
  member.recentActive = true;
  if (message.reject) return appendRefused(state, member, message);
  const { index } = message;
  if (index > state.log.lastIndex) throw new MessageRefused(`member ${member.id.toString(16)} acknowledged entry ${index}, which it was not sent`);
  // An acknowledgement of what is known gets a probed member going again.
  if (!member.acknowledged(index) && !(member.match === index && member.state === 'probe')) return;
  if (member.state === 'probe') member.replicate();
  else if (member.state === 'snapshot' && member.match + 1 >= state.log.firstIndex) member.replicate();
  else if (member.state === 'replicate') member.inflight.freeUpTo(index);
  if (!commitAgreed(state) && member.lacksCommit(state.log.committed)) sendAppend(state, member, true);
  sendAppends(state, member);
  if (isReadyToTakeOver(state, member)) state.send('MsgTimeoutNow', member.id);
}

const isReadyToTakeOver = ({ leadTransferee, log }: RaftState, { id, match }: Progress): boolean => id === leadTransferee && match === log.lastIndex;

/**
 * The member's log does not hold what the append followed on. It tells its last index and term that may agree; the leader skips those of
 * its own entries that cannot: at most one round for each term.
 */
function appendRefused(state: RaftState, member: Progress, { index, rejectHint, logTerm }: RaftMessage): void {
  const hint = logTerm > 0 ? state.log.lastWithTermUpTo(rejectHint, logTerm).index : rejectHint;
  if (!member.refused(index, hint)) return;
  if (member.state === 'replicate') member.probe();
  sendAppend(state, member, true);
}

function answeredHeartbeat(state: RaftState, member: Progress, message: RaftMessage): void {
  member.recentActive = true;
  member.isPaused = false;
  if (member.match < state.log.lastIndex || member.state === 'probe') sendAppend(state, member, true);
  if (isReadyToTakeOver(state, member)) state.send('MsgTimeoutNow', member.id); // again: the first may be lost, or have come too early
  for (const read of state.reads.acknowledge(member.id, message.context, state.members)) answerRead(state, read);
}
