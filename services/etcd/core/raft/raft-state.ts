// What one member knows and is, and the changes of role that the other files decide on. Messages to send gather here.
import { integerBelow, type Random } from '#lib/environment/random.ts';
import type { Entry, HardState, MessageType, RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import type { RaftOptions, ReadState, Ready, Role } from './driver-contract.ts';
import { LogView } from './log-view.ts';
import { Members } from './members.ts';
import { ReadIndexQueue, type PendingRead } from './read-index.ts';

export const NO_MEMBER = 0n;
const NO_BYTES = new Uint8Array(0);
const NO_ENTRIES: readonly Entry[] = [];
const NO_RESPONSES: readonly RaftMessage[] = [];

/** Promises about what is on disk, and requests that rest on it: they wait for it. */
const AFTER_PERSISTING: ReadonlySet<MessageType> = new Set(['MsgAppResp', 'MsgVote', 'MsgVoteResp', 'MsgPreVote', 'MsgPreVoteResp']);
/** Forwarded to the leader of whatever term. */
const WITHOUT_TERM: ReadonlySet<MessageType> = new Set(['MsgProp', 'MsgReadIndex']);

interface MessageFields {
  readonly from?: bigint;
  readonly term?: number;
  readonly logTerm?: number;
  readonly index?: number;
  readonly entries?: readonly Entry[];
  readonly commit?: number;
  readonly snapshot?: RaftMessage['snapshot'];
  readonly reject?: boolean;
  readonly rejectHint?: number;
  readonly context?: Uint8Array;
}

export class RaftState {
  readonly id: bigint;
  readonly log: LogView;
  readonly members: Members;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly maxBytesPerMessage: number;
  readonly maxUncommittedBytes: number;
  readonly usesPreVote: boolean;
  readonly checksQuorum: boolean;
  private readonly random: Random;

  term: number;
  vote: bigint;
  role: Role = 'follower';
  lead = NO_MEMBER;

  /** Since the leader was heard from; of a leader, since the last check of the quorum. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** From electionTicks to twice that, less one. */
  campaignTicks = 0;

  /** The term of a leader that told this follower to take over, which it could not at once; 0 otherwise. */
  takesOverInTerm = 0;

  /** Of a follower: up to here it has acknowledged the log of the leader of this term. */
  acknowledgedIndex = 0;
  /** An append that brought nothing but a commit index is answered with the next one, or with the next tick. */
  answerIsDue = false;

  /** Of the leader: */
  leadTransferee = NO_MEMBER;
  /** A change of membership may be proposed once everything up to here is applied. */
  pendingConfIndex = 0;
  uncommittedBytes = 0;
  readonly reads = new ReadIndexQueue();
  /** Asked for before this leader committed an entry of its own term. */
  earlyReads: Omit<PendingRead, 'index'>[] = [];
  /** Sent with the next Ready, so that what is proposed together is sent together. */
  appendIsDue = false;
  heartbeatIsDue = false;

  messagesBeforePersist: RaftMessage[] = [];
  messages: RaftMessage[] = [];
  readStates: ReadState[] = [];

  constructor(options: RaftOptions) {
    if (options.id === NO_MEMBER) throw new Error('a member cannot have the id 0');
    if (options.heartbeatTicks < 1 || options.electionTicks <= options.heartbeatTicks) throw new Error('an election must take longer than a heartbeat');
    if (options.maxInflightMessages < 1) throw new Error('at least one message must be allowed to be on its way');
    this.id = options.id;
    this.electionTicks = options.electionTicks;
    this.heartbeatTicks = options.heartbeatTicks;
    this.maxBytesPerMessage = options.maxBytesPerMessage;
    this.maxUncommittedBytes = options.maxUncommittedBytes;
    this.usesPreVote = options.preVote;
    this.checksQuorum = options.checkQuorum;
    this.random = options.random;
    this.term = options.hardState.term;
    this.vote = options.hardState.vote;
    this.log = new LogView(options.log, options.hardState.commit, options.applied);
    this.members = new Members(options.id, options.maxInflightMessages);
    this.members.restore(options.confState, this.log.lastIndex);
    this.log.commitTo(this.commitProvenByChanges());
    this.becomeFollower(this.term, NO_MEMBER);
  }

  /**
   * A change of membership is proposed only after the one before it was applied: of two in the log the first is committed, though a crash may have
   * taken the commit index that came with the second. Who does not know must not stand: a majority of the older membership may know nothing of what
   * one of the newer decided.
   */
  private commitProvenByChanges(): number {
    const { log, maxBytesPerMessage } = this;
    let proven = 0;
    let last = 0;
    for (let from = Math.max(log.committed + 1, log.firstIndex); from <= log.lastIndex;) {
      const entries = log.entries(from, log.lastIndex, maxBytesPerMessage);
      for (const { type, index } of entries) if (type !== 'EntryNormal') [proven, last] = [last, index];
      from += entries.length;
    }
    return proven;
  }

  get hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  /** Whether this member may lead: a voter, and not in the middle of a snapshot. */
  isPromotable(): boolean {
    return this.members.isVoter(this.id) && this.log.pendingSnapshot === undefined;
  }

  private reset(term: number): void {
    if (this.term !== term) {
      this.term = term;
      this.vote = NO_MEMBER;
    }
    this.lead = NO_MEMBER;
    this.acknowledgedIndex = 0;
    this.answerIsDue = false;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.campaignTicks = this.electionTicks + integerBelow(this.random, this.electionTicks);
    this.leadTransferee = NO_MEMBER;
    this.members.clearVotes();
    const { stableIndex, lastIndex } = this.log;
    for (const member of this.members.all) member.reset(member.id === this.id ? stableIndex : 0, lastIndex + 1);
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.reads.clear();
    this.earlyReads = [];
    this.appendIsDue = false;
    this.heartbeatIsDue = false;
  }

  becomeFollower(term: number, lead: bigint): void {
    this.reset(term);
    this.role = 'follower';
    this.lead = lead;
  }

  /** Asks before it stands: neither term nor vote change. */
  becomePreCandidate(): void {
    this.members.clearVotes();
    this.role = 'precandidate';
    this.lead = NO_MEMBER;
  }

  becomeCandidate(): void {
    this.reset(this.term + 1);
    this.role = 'candidate';
    this.vote = this.id;
  }

  /** The caller appends the first entry of the term. */
  becomeLeader(): void {
    this.reset(this.term);
    this.role = 'leader';
    this.lead = this.id;
    const own = this.members.get(this.id);
    if (own === undefined) throw new Error('a leader must be a member');
    own.replicate();
    own.recentActive = true;
    // There may be a change of membership among the entries that this leader inherits.
    this.pendingConfIndex = this.log.lastIndex;
  }

  send(type: MessageType, to: bigint, fields: MessageFields = {}): void {
    const message: RaftMessage = {
      type, to, from: fields.from ?? this.id, term: fields.term ?? (WITHOUT_TERM.has(type) ? 0 : this.term),
      logTerm: fields.logTerm ?? 0, index: fields.index ?? 0, entries: fields.entries ?? NO_ENTRIES, commit: fields.commit ?? 0,
      snapshot: fields.snapshot, reject: fields.reject ?? false, rejectHint: fields.rejectHint ?? 0, context: fields.context ?? NO_BYTES,
      vote: NO_MEMBER, responses: NO_RESPONSES,
    };
    if (AFTER_PERSISTING.has(type)) this.messages.push(message);
    else this.messagesBeforePersist.push(message);
  }

  /** Hands over what has gathered. The lists belong to the receiver: what comes later goes into others. */
  takeOutput(): Pick<Ready, 'messages' | 'messagesBeforePersist' | 'readStates'> {
    const { messages, messagesBeforePersist, readStates } = this;
    this.messages = [];
    this.messagesBeforePersist = [];
    this.readStates = [];
    return { messages, messagesBeforePersist, readStates };
  }

  /** Whether the leader has committed an entry of its own term; only then does it know all that is committed. */
  hasCommittedInTerm(): boolean {
    return this.log.isTermAt(this.log.committed, this.term);
  }
}
