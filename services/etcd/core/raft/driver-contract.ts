// What stands between the Raft core and the member that drives it: what the core reads from the disk, and the batches of work it hands out.
//
// The driver's order for each Ready: send `messagesBeforePersist` (now, or together with the others), persist `snapshot`, `entries` and `hardState`
// (fsync when `mustSync`), send `messages`, apply, `advance()`. Meanwhile `step`, `tick` and `propose` may be called; `ready()` may not.
// `committedEntries` are on this member's disk already: they may be applied before or while the batch is persisted. Only with a `snapshot` there are none.
import type { Random } from '#lib/environment/random.ts';
import type { ConfState, Entry, HardState, RaftMessage, Snapshot } from '#lib/etcd-api/raft-messages.ts';

/** What is on disk. Read synchronously and often: the newest entries belong in memory. */
export interface RaftLog {
  /** One after the index of the snapshot; 1 for a new log. */
  firstIndex(): number;
  /** The snapshot's index when there are no entries; 0 for a new log. */
  lastIndex(): number;
  /** From firstIndex() - 1 (the snapshot's) to lastIndex(). */
  term(index: number): number;
  /** From `from` to before `to`, within [firstIndex, lastIndex]; at least one, then as many as fit into `maxBytes`. Not copied: leave them as they are. */
  entries(from: number, to: number, maxBytes: number): readonly Entry[];
  /** The newest, for a peer whose next entry is gone. 'unavailable': asked for again later. */
  snapshot(): Snapshot | 'unavailable';
}

export interface RaftOptions {
  readonly id: bigint;
  /** A follower that hears nothing for this long, and up to twice as long, campaigns. > heartbeatTicks. */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly log: RaftLog;
  /** As persisted; term 0, vote 0n, commit 0 for a new member. */
  readonly hardState: HardState;
  /** The members as of `applied`. None for a member that joins, or whose first entries name the members. */
  readonly confState: Pick<ConfState, 'voters' | 'learners'> & Partial<ConfState>;
  /** Entries up to here are not handed out again. */
  readonly applied: number;
  readonly maxBytesPerMessage: number;
  readonly maxInflightMessages: number;
  /** Beyond it a leader drops proposals. */
  readonly maxUncommittedBytes: number;
  readonly preVote: boolean;
  readonly checkQuorum: boolean;
  readonly random: Random;
}

export type Role = 'follower' | 'precandidate' | 'candidate' | 'leader';

export interface SoftState {
  /** 0n: none known. */
  readonly lead: bigint;
  readonly role: Role;
}

/** Reads with this `context` may be served once everything up to `index` is applied. */
export interface ReadState {
  readonly index: number;
  readonly context: Uint8Array;
}

export interface Ready {
  /** Present when changed, as is `hardState`. */
  readonly softState?: SoftState;
  readonly hardState?: HardState;
  /** To persist. They replace what the log holds from the first one's index on. */
  readonly entries: readonly Entry[];
  /** To persist and install; it replaces log and state. `entries` of the same Ready follow it. */
  readonly snapshot?: Snapshot;
  /** May be sent before anything is persisted: a leader's entries reach the followers' disks while they reach its own. */
  readonly messagesBeforePersist: readonly RaftMessage[];
  /** To send once the batch is persisted: votes, acknowledgements. */
  readonly messages: readonly RaftMessage[];
  /** To apply. */
  readonly committedEntries: readonly Entry[];
  readonly readStates: readonly ReadState[];
  /** False when only the commit index changed. */
  readonly mustSync: boolean;
}

export type ReplicationState = 'probe' | 'replicate' | 'snapshot';

export interface PeerStatus {
  readonly match: number;
  readonly next: number;
  readonly state: ReplicationState;
  readonly recentActive: boolean;
  readonly isLearner: boolean;
}

export interface RaftStatus {
  readonly id: bigint;
  readonly term: number;
  readonly vote: bigint;
  readonly commit: number;
  readonly applied: number;
  /** 0n: none known. */
  readonly lead: bigint;
  readonly role: Role;
  /** Of all members, self included; empty unless leader. */
  readonly progress: ReadonlyMap<bigint, PeerStatus>;
  /** 0n: no transfer of leadership under way. */
  readonly leadTransferee: bigint;
}

/** The proposal was not taken: no leader is known, leadership is being transferred, too much is uncommitted, or a change of membership is pending. */
export class ProposalDropped extends Error {
  override readonly name = 'ProposalDropped';
}

/** A peer sent what no correct peer sends; nothing was changed. */
export class MessageRefused extends Error {
  override readonly name = 'MessageRefused';
}

/** The log on disk and what the cluster knows contradict each other: entries that this member acknowledged are gone. It must not go on. */
export class LogLost extends Error {
  override readonly name = 'LogLost';
}
