// What followers and candidates do: take entries, snapshots and commit indexes from the leader, and forward to it what is the leader's to do.
import type { Entry, RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import { MessageRefused, ProposalDropped } from './driver-contract.ts';
import { countVote, takeOver } from './election.ts';
import { readContext } from './leader.ts';
import { isApplicable } from './members.ts';
import { NO_MEMBER, type RaftState } from './raft-state.ts';

export function stepCandidate(state: RaftState, message: RaftMessage): void {
  switch (message.type) {
    case 'MsgApp': case 'MsgHeartbeat': case 'MsgSnap': // of this term: someone won
      state.becomeFollower(message.term, message.from);
      return fromLeader(state, message);
    case 'MsgVoteResp':
      if (state.role === 'candidate') countVote(state, message.from, !message.reject);
      return;
    case 'MsgPreVoteResp':
      if (state.role === 'precandidate') countVote(state, message.from, !message.reject);
      return;
    case 'MsgProp':
      throw new ProposalDropped('no leader is known');
    default: // nobody to forward to
  }
}

export function stepFollower(state: RaftState, message: RaftMessage): void {
  switch (message.type) {
    case 'MsgApp': case 'MsgHeartbeat': case 'MsgSnap':
      state.electionElapsed = 0;
      state.lead = message.from;
      return fromLeader(state, message);
    case 'MsgProp':
      if (state.lead === NO_MEMBER) throw new ProposalDropped('no leader is known');
      return state.send('MsgProp', state.lead, { from: message.from, entries: message.entries });
    case 'MsgReadIndex':
      if (state.lead !== NO_MEMBER) state.send('MsgReadIndex', state.lead, { from: message.from, entries: message.entries });
      return;
    case 'MsgTransferLeader':
      if (state.lead !== NO_MEMBER) state.send('MsgTransferLeader', state.lead, { from: message.from });
      return;
    case 'MsgReadIndexResp':
      state.readStates.push({ index: message.index, context: readContext(message) });
      return;
    case 'MsgTimeoutNow':
      return takeOver(state);
    default: // answers to what this member asked in another role
  }
}

function fromLeader(state: RaftState, message: RaftMessage): void {
  if (message.type === 'MsgApp') takeEntries(state, message);
  else if (message.type === 'MsgSnap') takeSnapshot(state, message);
  else {
    state.log.commitTo(message.commit);
    state.send('MsgHeartbeatResp', message.from, { context: message.context });
  }
}

function takeEntries(state: RaftState, { from, index, logTerm, entries, commit, term }: RaftMessage): void {
  const { log } = state;
  checkSequence(entries, index, term);
  if (index < log.committed) return state.send('MsgAppResp', from, { index: log.committed });
  if (!log.isTermAt(index, logTerm)) {
    // The leader's log has no later term up to here, so whatever of this log has one cannot agree.
    const hint = log.lastWithTermUpTo(Math.min(index, log.lastIndex), logTerm);
    return state.send('MsgAppResp', from, { index, reject: true, rejectHint: hint.index, logTerm: hint.term });
  }
  // Only from the first conflict on: an old append must not cut off what a later one brought.
  let known = 0;
  while (known < entries.length && log.isTermAt((entries[known] as Entry).index, (entries[known] as Entry).term)) known += 1;
  log.append(entries, known);
  const last = index + entries.length;
  const committed = log.committed;
  log.commitTo(Math.min(commit, last)); // what follows `last` is not known to agree
  // The leader knows already what the answer to a mere commit index would tell it, unless the last answer was lost.
  if (entries.length === 0 && last <= state.acknowledgedIndex && log.committed > committed) state.answerIsDue = true;
  else acknowledge(state, last);
}

function acknowledge(state: RaftState, index: number): void {
  state.acknowledgedIndex = Math.max(state.acknowledgedIndex, index);
  state.answerIsDue = false;
  state.send('MsgAppResp', state.lead, { index });
}

/** What was left unanswered, if that is so. */
export function answerLate(state: RaftState): void {
  if (state.answerIsDue && state.lead !== NO_MEMBER) acknowledge(state, state.acknowledgedIndex);
}

function checkSequence(entries: readonly Entry[], index: number, term: number): void {
  let previous = 0;
  for (let at = 0; at < entries.length; at += 1) {
    const entry = entries[at] as Entry;
    if (entry.index !== index + 1 + at || entry.term < previous || entry.term > term || (entry.type !== 'EntryNormal' && !isApplicable(entry.type, entry.data))) {
      throw new MessageRefused(`an append after ${index} with entry ${entry.index} of term ${entry.term} in place ${at}`);
    }
    previous = entry.term;
  }
}

function takeSnapshot(state: RaftState, { from, snapshot, term }: RaftMessage): void {
  const { log, members } = state;
  const metadata = snapshot?.metadata;
  if (snapshot === undefined || metadata === undefined || metadata.term < 1 || metadata.term > term) throw new MessageRefused('a snapshot of no state');
  const confState = metadata.confState ?? { voters: [], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
  const isMember = confState.voters.includes(state.id) || confState.learners.includes(state.id);
  if (metadata.index > log.committed && log.isTermAt(metadata.index, metadata.term)) log.commitTo(metadata.index); // has it all, needs no snapshot
  else if (metadata.index > log.committed && isMember) {
    log.restore(snapshot);
    members.restore(confState, log.lastIndex);
  }
  state.send('MsgAppResp', from, { index: log.committed });
}
