// Carries out what the Raft core decides, in the order that its contract asks for (core/raft/driver-contract.ts): persist before anybody
// hears of it, apply what is agreed. While a batch is on its way to the disk, what is committed already is applied, and new proposals gather
// for the next batch, so that they share one fsync.
import type { Logger } from 'pino';
import type { ConfChange, ConfState, Entry, RaftMessage, Snapshot } from '#lib/etcd-api/raft-messages.ts';
import { MessageRefused, ProposalDropped, Raft, type RaftOptions, type ReadState, type SoftState } from '../core/raft/raft.ts';
import { failPoint, hasFailPoints } from './fail-points.ts';
import { MemoryLog } from './raft-log.ts';
import type { Wal } from './wal.ts';

export interface DriverOptions {
  readonly raft: Omit<RaftOptions, 'log'>;
  readonly log: MemoryLog;
  readonly wal: Wal;
  /** Length of a tick. */
  readonly heartbeatMs: number;
  readonly logger: Logger;
  /** False: nobody waits any more for a proposal that there was no leader for. */
  readonly isWanted: (data: Uint8Array) => boolean;
  /** They are the leader's now, here or elsewhere. */
  readonly onHanded: (proposals: readonly Uint8Array[]) => void;
  /** Must not wait, and may lose messages. */
  readonly send: (messages: readonly RaftMessage[]) => void;
  /** Everything is on disk; in order, each once. */
  readonly apply: (entries: readonly Entry[]) => void;
  /** Makes a snapshot that another member sent durable, and puts it in place of the state. */
  readonly install: (snapshot: Snapshot) => Promise<void>;
  readonly onSoftState: (state: SoftState) => void;
  readonly onReadStates: (states: readonly ReadState[]) => void;
  /** Nothing more is done then. */
  readonly onFatal: (error: Error) => void;
}

/** Bytes of proposals handed to the core at once. */
const MAX_PROPOSED_BYTES = 1024 * 1024;

/** Longer than the disk usually takes for a batch. */
const HELD_UP_MS = 10;

export class RaftDriver {
  private readonly options: DriverOptions;
  private readonly raft: Raft;
  private readonly log: MemoryLog;
  private proposals: Uint8Array[] = [];
  private changes: ConfChange[] = [];
  private ticker: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private isStopped = false;
  private lead = 0n;
  private hasWaited = false;
  private lastTickMs = performance.now();
  /** When a tick came so late that others may have elected another leader meanwhile. */
  private heldUpMs = -Infinity;
  /** Since when a batch is on its way to the disk: until it is there, the others hear nothing of this member. */
  private savingSinceMs = Infinity;
  /** Since when the work at hand is done. */
  private handlingSinceMs = Infinity;

  constructor(options: DriverOptions) {
    this.options = options;
    this.log = options.log;
    this.raft = new Raft({ ...options.raft, log: options.log });
  }

  /** Applies what is known to be committed. */
  start(): void {
    this.poke();
  }

  /** The lone voter need not wait for anybody: no ticks, no election. */
  startTicking(): void {
    this.ticker ??= setInterval(() => this.tick(), this.options.heartbeatMs);
  }

  stopTicking(): void {
    clearInterval(this.ticker);
    this.ticker = undefined;
  }

  private tick(): void {
    const nowMs = performance.now();
    if (!this.isOnTime(nowMs)) this.heldUpMs = nowMs;
    this.lastTickMs = nowMs;
    this.guard(() => this.raft.tick());
  }

  /** As after `count` ticks. */
  advanceTicks(count: number): void {
    for (let at = 0; at < count; at += 1) this.guard(() => this.raft.tick());
  }

  /**
   * False when the process was held up: it cannot know then whether it still leads. Not only until the next tick, which may come before
   * any word of the others, but for as long as it can take a leader without a majority to step down.
   */
  get isTickingOnTime(): boolean {
    const nowMs = performance.now();
    const { heartbeatMs, raft } = this.options;
    return this.ticker === undefined || (this.isOnTime(nowMs) && nowMs - this.heldUpMs > 2 * raft.electionTicks * heartbeatMs);
  }

  private isOnTime(nowMs: number): boolean {
    return nowMs - Math.min(this.lastTickMs, this.savingSinceMs) < 3 * this.options.heartbeatMs;
  }

  /** What is at hand, such as entries to be saved, takes long. */
  get isHeldUp(): boolean {
    return performance.now() - this.handlingSinceMs > HELD_UP_MS;
  }

  get pendingProposals(): number {
    return this.proposals.length;
  }

  /** Raft's, which may be ahead of what is applied. */
  get term(): number {
    return this.raft.term;
  }

  status(): ReturnType<Raft['status']> {
    return this.raft.status();
  }

  propose(data: Uint8Array): void {
    this.proposals.push(data);
    this.poke();
  }

  proposeChange(change: ConfChange): void {
    this.changes.push(change);
    this.poke();
  }

  /** Forgets it if it was not handed to the core yet. */
  withdrawChange(id: bigint): void {
    this.changes = this.changes.filter((change) => change.id !== id);
  }

  /** Takes a message from another member. */
  step(message: RaftMessage): void {
    this.guard(() => this.raft.step(message));
  }

  readIndex(context: Uint8Array): boolean {
    let isAsked = false;
    this.guard(() => { isAsked = this.raft.readIndex(context); });
    return isAsked;
  }

  transferLeader(to: bigint): void {
    this.guard(() => this.raft.transferLeader(to));
  }

  campaign(): void {
    this.guard(() => this.raft.campaign());
  }

  reportUnreachable(id: bigint): void {
    this.guard(() => this.raft.reportUnreachable(id));
  }

  reportSnapshot(id: bigint, ok: boolean): void {
    this.guard(() => this.raft.reportSnapshot(id, ok));
  }

  /** Only while entries are applied. */
  applyConfChange(change: ConfChange | undefined): ConfState {
    return this.raft.applyConfChange(change);
  }

  private guard(run: () => void): void {
    if (this.isStopped) return;
    try {
      run();
    } catch (error) {
      if (error instanceof MessageRefused) this.options.logger.warn({ err: error }, 'refused a Raft message');
      else if (!(error instanceof ProposalDropped)) return this.fail(error);
    }
    this.poke();
  }

  private poke(): void {
    if (this.running !== undefined || this.isStopped) return;
    this.running = new Promise<void>((resolve) => { setImmediate(resolve); }).then(() => this.run());
  }

  private async run(): Promise<void> {
    try {
      this.handProposals();
      while (!this.isStopped && this.raft.hasReady()) {
        await this.handleReady();
        this.handProposals();
      }
    } catch (error) {
      this.fail(error);
    }
    this.running = undefined;
  }

  /** Proposals wait until there is a leader, and for as long as the core does not take more. */
  private handProposals(): void {
    if (this.lead === 0n) {
      this.hasWaited ||= this.proposals.length > 0;
      return;
    }
    if (this.hasWaited) {
      this.proposals = this.proposals.filter(this.options.isWanted);
      this.hasWaited = false;
    }
    try {
      while (this.proposals.length > 0) {
        let bytes = 0;
        let count = 0;
        while (count < this.proposals.length && bytes < MAX_PROPOSED_BYTES) bytes += (this.proposals[count++] as Uint8Array).length;
        const batch = count === this.proposals.length ? this.proposals : this.proposals.slice(0, count);
        this.raft.propose(batch);
        this.options.onHanded(batch);
        this.proposals = count === this.proposals.length ? [] : this.proposals.slice(count);
      }
      for (let change = this.changes[0]; change !== undefined; change = this.changes[0]) {
        this.raft.proposeConfChange(change);
        this.changes.shift();
      }
    } catch (error) {
      if (!(error instanceof ProposalDropped)) throw error;
      this.hasWaited = true;
    }
  }

  private async handleReady(): Promise<void> {
    const { options, log } = this;
    this.handlingSinceMs = performance.now();
    const ready = this.raft.ready();
    if (ready.softState !== undefined) {
      this.lead = ready.softState.lead;
      options.onSoftState(ready.softState);
    }
    const leads = this.lead === options.raft.id;
    const leaderPoint = leads ? failPoint('raftBeforeLeaderSend') : undefined;
    if (leaderPoint !== undefined) await leaderPoint;
    options.send(ready.messagesBeforePersist);
    if (ready.snapshot !== undefined) await this.install(ready.snapshot, ready.hardState);
    const applyPoint = hasFailPoints() ? applyPoints(ready.committedEntries) : undefined;
    if (applyPoint !== undefined) await applyPoint;
    this.savingSinceMs = performance.now();
    const savePoint = failPoint('raftBeforeSave');
    if (savePoint !== undefined) await savePoint;
    log.append(ready.entries);
    const persisted = options.wal.save(ready.entries, ready.hardState, ready.mustSync);
    if (ready.readStates.length > 0) options.onReadStates(ready.readStates);
    if (ready.committedEntries.length > 0) options.apply(ready.committedEntries);
    await persisted.catch(notPersisted);
    const nowMs = performance.now();
    if (!this.isOnTime(nowMs)) this.heldUpMs = nowMs;
    this.savingSinceMs = Infinity;
    const savedPoint = failPoint('raftAfterSave');
    if (savedPoint !== undefined) await savedPoint;
    const followerPoint = leads ? undefined : failPoint('raftBeforeFollowerSend');
    if (followerPoint !== undefined) await followerPoint;
    options.send(ready.messages);
    const advancePoint = failPoint('raftBeforeAdvance');
    if (advancePoint !== undefined) await advancePoint;
    this.raft.advance();
    this.handlingSinceMs = Infinity;
  }

  private async install(snapshot: Snapshot, hardState: Parameters<Wal['saveSnapshot']>[1]): Promise<void> {
    const { metadata } = snapshot;
    if (metadata === undefined) throw new Error('a snapshot without metadata');
    await failPoint('raftBeforeSaveSnap');
    await this.options.wal.saveSnapshot(metadata, hardState).catch(notPersisted);
    await failPoint('raftAfterSaveSnap');
    this.log.reset({ index: metadata.index, term: metadata.term });
    await failPoint('raftBeforeApplySnap');
    await this.options.install(snapshot);
    await failPoint('raftAfterApplySnap');
  }

  private fail(error: unknown): void {
    if (this.isStopped) return;
    this.isStopped = true;
    this.stopTicking();
    this.options.onFatal(error instanceof PersistError ? error : new Error(`cannot go on: ${error instanceof Error ? error.message : String(error)}`, { cause: error }));
  }

  /** Resolves when nothing is left to do for now. */
  async settled(): Promise<void> {
    while (this.running !== undefined) await this.running;
  }

  /** Ends after the batch under way. */
  async stop(): Promise<void> {
    this.stopTicking();
    this.isStopped = true;
    await this.running;
  }
}

class PersistError extends Error {
  override readonly name = 'PersistError';
}

/** In etcd's words; nothing of it may be answered, sent or tried again. */
function notPersisted(error: unknown): never {
  throw new PersistError(`failed to save Raft hard state and entries: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}

/** One after the other, as the entries are applied after all of them. */
async function applyPoints(entries: readonly Entry[]): Promise<void> {
  for (const { type } of entries) await failPoint(type === 'EntryNormal' ? 'beforeApplyOneEntryNormal' : 'beforeApplyOneConfChange');
}
