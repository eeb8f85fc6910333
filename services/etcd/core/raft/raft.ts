// Raft as etcd's members speak it, as a pure state machine: ticks, messages and proposals go in, Ready batches come out. Start reading here, then
// driver-contract.ts (what the driver owes), leader.ts, follower.ts, election.ts. Source: the Raft thesis (its sections are cited as §) and etcd-io/raft v3.6.
import type { ConfChange, ConfState, Entry, HardState, MessageType, RaftMessage, Snapshot } from '#lib/etcd-api/raft-messages.ts';
import { MessageRefused, ProposalDropped, type PeerStatus, type RaftOptions, type RaftStatus, type Ready, type Role, type SoftState } from './driver-contract.ts';
import { answerVote, countVote, isProtectingLeader, isTransfer, stand, takeOver, tickElection } from './election.ts';
import { answerLate, stepCandidate, stepFollower } from './follower.ts';
import {
  hasPendingMembershipChange, membershipChanged, membershipProposal, ownEntriesPersisted, propose, readIndex, reportSnapshot, reportUnreachable, stepLeader, tickLeader,
  transferLeader, type Proposal,
} from './leader.ts';
import { NO_MEMBER, RaftState } from './raft-state.ts';
import { sendWhatIsDue } from './replication.ts';

export {
  LogLost, MessageRefused, ProposalDropped, type RaftLog, type RaftOptions, type RaftStatus, type ReadState, type Ready, type ReplicationState, type Role, type SoftState,
} from './driver-contract.ts';

/** Events within one member; a peer has no business sending them. */
const LOCAL: ReadonlySet<MessageType | 'UNRECOGNIZED'> = new Set([
  'MsgHup', 'MsgBeat', 'MsgUnreachable', 'MsgSnapStatus', 'MsgCheckQuorum', 'MsgStorageAppend', 'MsgStorageAppendResp', 'MsgStorageApply', 'MsgStorageApplyResp',
  'MsgForgetLeader', 'UNRECOGNIZED',
] as const);
const RESPONSES: ReadonlySet<MessageType | 'UNRECOGNIZED'> = new Set(['MsgAppResp', 'MsgVoteResp', 'MsgHeartbeatResp', 'MsgReadIndexResp', 'MsgPreVoteResp'] as const);
const FROM_LEADER: ReadonlySet<MessageType | 'UNRECOGNIZED'> = new Set(['MsgApp', 'MsgHeartbeat', 'MsgSnap'] as const);

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** What the driver holds between ready() and advance(). */
interface Handed {
  readonly snapshot: Snapshot | undefined;
  readonly committedEntries: readonly Entry[];
  /** The term in which this member stood for election, its vote for itself among what is persisted; 0 otherwise. */
  readonly candidateTerm: number;
}

export class Raft {
  private readonly state: RaftState;
  private sentSoftState: SoftState;
  private sentHardState: HardState;
  private handed: Handed | undefined;

  constructor(options: RaftOptions) {
    this.state = new RaftState(options);
    this.sentSoftState = { lead: this.state.lead, role: this.state.role };
    this.sentHardState = options.hardState;
  }

  tick(): void {
    if (this.state.role === 'leader') tickLeader(this.state);
    else {
      answerLate(this.state);
      tickElection(this.state);
    }
  }

  /** Takes a message from a peer. Throws ProposalDropped, MessageRefused (nothing was changed), LogLost (end the process). */
  step(message: RaftMessage): void {
    const { state } = this;
    if (LOCAL.has(message.type) || (RESPONSES.has(message.type) && state.members.get(message.from) === undefined)) return;
    checkNumbers(message);
    if (message.term > state.term) {
      if (!this.stepOfLaterTerm(message)) return;
    } else if (message.term !== 0 && message.term < state.term) return this.stepOfEarlierTerm(message);
    if (message.type === 'MsgVote' || message.type === 'MsgPreVote') answerVote(state, message);
    else if (state.role === 'leader') stepLeader(state, message);
    else if (state.role === 'follower') stepFollower(state, message);
    else stepCandidate(state, message);
  }

  /** Moves to the message's term where it must; false: the message is to be ignored. */
  private stepOfLaterTerm(message: RaftMessage): boolean {
    const { state } = this;
    const isVote = message.type === 'MsgVote' || message.type === 'MsgPreVote';
    if (isVote && isProtectingLeader(state) && !isTransfer(message)) return false;
    // A pre-vote asks about a term which nobody has entered, and granting it answers in that term.
    if (message.type === 'MsgPreVote' || (message.type === 'MsgPreVoteResp' && !message.reject)) return true;
    state.becomeFollower(message.term, FROM_LEADER.has(message.type) ? message.from : NO_MEMBER);
    return true;
  }

  private stepOfEarlierTerm({ type, from }: RaftMessage): void {
    const { state } = this;
    // A leader of an earlier term must hear of the later one: with its followers ignoring votes, this member could never get back otherwise.
    if ((state.checksQuorum || state.usesPreVote) && (type === 'MsgHeartbeat' || type === 'MsgApp')) state.send('MsgAppResp', from);
    else if (type === 'MsgPreVote') state.send('MsgPreVoteResp', from, { term: state.term, reject: true });
  }

  /** All of it in one go, in order. A follower forwards it to the leader, where it can still be lost. Throws ProposalDropped. */
  propose(data: readonly Uint8Array[]): void {
    const proposals: Proposal[] = [];
    for (const one of data) proposals.push({ type: 'EntryNormal', data: one });
    if (proposals.length > 0) this.proposeAll(proposals);
  }

  /** Throws ProposalDropped, here also when another change is pending; at a distant leader it then becomes an empty entry. */
  proposeConfChange(change: ConfChange): void {
    if (this.state.role === 'leader' && hasPendingMembershipChange(this.state)) throw new ProposalDropped('another change of membership is pending');
    this.proposeAll([membershipProposal(change)]);
  }

  private proposeAll(proposals: readonly Proposal[]): void {
    const { state } = this;
    if (state.role === 'leader') return propose(state, proposals);
    if (state.lead === NO_MEMBER) throw new ProposalDropped('no leader is known');
    state.send('MsgProp', state.lead, { entries: proposals.map(({ type, data }): Entry => ({ type, term: 0, index: 0, data })) });
  }

  /** To be called for each applied EntryConfChange; `undefined` when the driver found it void. */
  applyConfChange(change: ConfChange | undefined): ConfState {
    const { state } = this;
    if (change !== undefined) {
      state.members.apply(change, state.log.lastIndex);
      if (state.role === 'leader') membershipChanged(state);
    }
    return state.members.confState();
  }

  /** Asks for the index at which a read with this context is linearizable; it comes as a ReadState, or is lost on the way. False: no leader is known. */
  readIndex(context: Uint8Array): boolean {
    const { state } = this;
    if (state.role === 'leader') readIndex(state, { from: state.id, context });
    else if (state.lead === NO_MEMBER) return false;
    else state.send('MsgReadIndex', state.lead, { entries: [{ type: 'EntryNormal', term: 0, index: 0, data: context }] });
    return true;
  }

  /** Hands the leadership to a voter; given up after an election's time. A follower asks the leader to. */
  transferLeader(to: bigint): void {
    const { state } = this;
    if (state.role === 'leader') transferLeader(state, to);
    else if (state.lead !== NO_MEMBER) state.send('MsgTransferLeader', state.lead, { from: to });
  }

  campaign(): void {
    stand(this.state);
  }

  reportUnreachable(id: bigint): void {
    if (this.state.role === 'leader') reportUnreachable(this.state, id);
  }

  /** How a MsgSnap fared: each must be reported, or its member is sent nothing more. */
  reportSnapshot(id: bigint, ok: boolean): void {
    if (this.state.role === 'leader') reportSnapshot(this.state, id, ok);
  }

  /** A follower that knows its leader to be gone may vote before its time. */
  forgetLeader(): void {
    if (this.state.role !== 'leader') this.state.lead = NO_MEMBER;
  }

  get term(): number {
    return this.state.term;
  }

  get role(): Role {
    return this.state.role;
  }

  /** 0n: none known. */
  get lead(): bigint {
    return this.state.lead;
  }

  status(): RaftStatus {
    const { id, term, vote, log, lead, role, leadTransferee, members } = this.state;
    const progress = new Map<bigint, PeerStatus>();
    if (role === 'leader') for (const { id: peer, match, next, state, recentActive, isLearner } of members.all) progress.set(peer, { match, next, state, recentActive, isLearner });
    return { id, term, vote, commit: log.committed, applied: log.applied, lead, role, progress, leadTransferee };
  }

  hasReady(): boolean {
    const { state } = this;
    return state.messages.length > 0 || state.messagesBeforePersist.length > 0 || state.log.hasUnhanded() || state.log.hasApplicable() || state.readStates.length > 0
      || state.appendIsDue || state.heartbeatIsDue || this.softStateChanged() || this.hardStateChanged();
  }

  private softStateChanged(): boolean {
    return this.state.lead !== this.sentSoftState.lead || this.state.role !== this.sentSoftState.role;
  }

  private mustSyncHardState(): boolean {
    return this.state.term !== this.sentHardState.term || this.state.vote !== this.sentHardState.vote;
  }

  private hardStateChanged(): boolean {
    return this.state.log.committed !== this.sentHardState.commit || this.mustSyncHardState();
  }

  /** The work at hand. `advance` must follow before the next one. */
  ready(): Ready {
    if (this.handed !== undefined) throw new Error('the previous Ready was not advanced past');
    const { state } = this;
    if (state.role === 'leader') sendWhatIsDue(state);
    const { entries, snapshot } = state.log.takeUnstable();
    const committedEntries = state.log.takeApplicable(state.maxBytesPerMessage);
    const mustSync = entries.length > 0 || snapshot !== undefined || this.mustSyncHardState();
    const { lead, role } = state;
    const { messages, messagesBeforePersist, readStates } = state.takeOutput();
    const ready: Mutable<Ready> = { entries, messagesBeforePersist, messages, committedEntries, readStates, mustSync };
    if (this.softStateChanged()) ready.softState = this.sentSoftState = { lead, role };
    if (this.hardStateChanged()) ready.hardState = this.sentHardState = state.hardState;
    if (snapshot !== undefined) ready.snapshot = snapshot;
    this.handed = { snapshot, committedEntries, candidateTerm: role === 'candidate' ? state.term : 0 };
    return ready;
  }

  /** The last Ready was persisted and applied. */
  advance(): void {
    const { handed, state } = this;
    if (handed === undefined) throw new Error('there is no Ready to advance past');
    this.handed = undefined;
    state.log.persisted(handed.snapshot);
    this.applied(handed.committedEntries);
    if (state.role === 'candidate' && state.term === handed.candidateTerm) countVote(state, state.id, true);
    else if (state.role === 'leader') ownEntriesPersisted(state);
    else if (state.takesOverInTerm > 0 && state.takesOverInTerm === state.term && state.role === 'follower') takeOver(state);
  }

  private applied(entries: readonly Entry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    this.state.log.appliedTo(last.index);
    let size = 0;
    for (const { data } of entries) size += data.length;
    this.state.uncommittedBytes = Math.max(0, this.state.uncommittedBytes - size);
  }
}

/** Terms and indexes stay far below what numbers hold exactly. */
const MAX_COUNT = 2 ** 52;
const isCount = (value: number): boolean => value >= 0 && value <= MAX_COUNT;

function checkNumbers({ type, term, index, logTerm, commit, rejectHint, snapshot }: RaftMessage): void {
  if (!isCount(term) || !isCount(index) || !isCount(logTerm) || !isCount(commit) || !isCount(rejectHint) || !isCount(snapshot?.metadata?.index ?? 0)) throw new MessageRefused(`a ${type} with numbers out of range`);
  const isForwarded = type === 'MsgProp' || type === 'MsgReadIndex';
  if (isForwarded !== (term === 0)) throw new MessageRefused(`a ${type} of term ${term}`);
}
