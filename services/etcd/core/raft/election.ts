// Elections: when to stand, whom to vote for, and what the votes give. Raft §5.2, §5.4.1; pre-vote: §9.6.
import { confChange, type RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import { startLeading } from './leader.ts';
import { NO_MEMBER, type RaftState } from './raft-state.ts';

/** Marks votes that even members with a living leader heed. Source: raft.go, campaignTransfer. */
const TRANSFER_CONTEXT = new TextEncoder().encode('CampaignTransfer');

export function tickElection(state: RaftState): void {
  state.electionElapsed += 1;
  if (state.electionElapsed < state.campaignTicks || !state.isPromotable()) return;
  state.electionElapsed = 0;
  stand(state);
}

/** Stands for election, unless it may not or need not. */
export function stand(state: RaftState): void {
  if (state.role === 'leader' || !state.isPromotable() || hasUnappliedMembershipChange(state)) return;
  if (state.usesPreVote) askBeforehand(state);
  else campaign(state, false);
}

/** The leader told this member to take over: at once, and without asking beforehand; or as soon as it has applied a change of membership that it just heard of. */
export function takeOver(state: RaftState): void {
  if (!state.isPromotable()) return;
  state.takesOverInTerm = state.term;
  if (hasUnappliedMembershipChange(state)) return;
  state.takesOverInTerm = 0;
  campaign(state, true);
}

/** A member that would be removed, or that counts a wrong majority, must not stand. */
function hasUnappliedMembershipChange({ log, maxBytesPerMessage }: RaftState): boolean {
  for (let from = Math.max(log.applied + 1, log.firstIndex); from <= log.committed;) {
    const entries = log.entries(from, log.committed, maxBytesPerMessage);
    if (entries.some(({ type }) => type !== 'EntryNormal')) return true;
    from += entries.length;
  }
  return false;
}

function askBeforehand(state: RaftState): void {
  state.becomePreCandidate();
  if (state.members.recordVote(state.id, true) === 'won') return campaign(state, false);
  askForVotes(state, 'MsgPreVote', state.term + 1, false);
}

/** The own vote counts once it is on disk: see `ownVotePersisted`. */
function campaign(state: RaftState, isTransfer: boolean): void {
  state.becomeCandidate();
  askForVotes(state, 'MsgVote', state.term, isTransfer);
}

function askForVotes(state: RaftState, type: 'MsgVote' | 'MsgPreVote', term: number, isTransfer: boolean): void {
  const { lastIndex: index, lastTerm: logTerm } = state.log;
  for (const id of state.members.voterIds()) {
    if (id !== state.id) state.send(type, id, { term, index, logTerm, ...(isTransfer ? { context: TRANSFER_CONTEXT } : {}) });
  }
}

export const isTransfer = ({ context }: RaftMessage): boolean =>
  context.length === TRANSFER_CONTEXT.length && TRANSFER_CONTEXT.every((byte, at) => context[at] === byte);

/** A follower in touch with its leader protects it from members that are not. */
export const isProtectingLeader = (state: RaftState): boolean => state.checksQuorum && state.lead !== NO_MEMBER && state.electionElapsed < state.electionTicks;

/**
 * Answers MsgVote and MsgPreVote. Learners vote too: one that was promoted may not know it yet, and its vote be needed for it to learn.
 */
export function answerVote(state: RaftState, message: RaftMessage): void {
  const isPreVote = message.type === 'MsgPreVote';
  learnOfPromotion(state, message);
  const answer = isPreVote ? 'MsgPreVoteResp' : 'MsgVoteResp';
  const isFree = state.vote === message.from || (state.vote === NO_MEMBER && state.lead === NO_MEMBER) || (isPreVote && message.term > state.term);
  if (!isFree || !state.log.isUpToDate(message.index, message.logTerm)) {
    state.send(answer, message.from, { term: state.term, reject: true });
    return;
  }
  // With the term that was asked about: a pre-vote is for the next term, which this member is not in.
  state.send(answer, message.from, { term: message.term });
  if (isPreVote) return;
  state.electionElapsed = 0;
  state.vote = message.from;
}

/**
 * Who asks a learner for its vote has applied its promotion, which is thus committed; the learner may hold it without knowing so. It has to learn it here
 * when its log has more than that of any who could win: a leader's entries that reached it, and were lost at the leader in a crash.
 */
function learnOfPromotion({ id, log, members, maxBytesPerMessage }: RaftState, { index, logTerm }: RaftMessage): void {
  if (members.isVoter(id) || !log.isTermAt(index, logTerm)) return; // only of a log that agrees with the candidate's
  for (let from = Math.max(log.committed + 1, log.firstIndex); from <= index;) {
    const entries = log.entries(from, index, maxBytesPerMessage);
    for (const { type, data, index: at } of entries) {
      if (type !== 'EntryConfChange') continue;
      const change = confChange.decode(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
      if (change.type === 'ConfChangeAddNode' && change.nodeId === id) return log.commitTo(at);
    }
    from += entries.length;
  }
}

/** Counts a vote for this (pre-)candidate. */
export function countVote(state: RaftState, from: bigint, isGranted: boolean): void {
  const result = state.members.recordVote(from, isGranted);
  if (result === 'lost') state.becomeFollower(state.term, NO_MEMBER);
  else if (result === 'won' && state.role === 'precandidate') campaign(state, false);
  else if (result === 'won') startLeading(state);
}
