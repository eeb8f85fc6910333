// One simulated process: a Raft core with a store over it, driven as the contract asks, over a disk that takes its time.
import { integerBelow, type Random } from '#lib/environment/random.ts';
import { confChange, type ConfState, type Entry, type RaftMessage } from '#lib/etcd-api/raft-messages.ts';
import type { Command, CommandType, Store } from '../../store.ts';
import { ProposalDropped, Raft, type RaftOptions, type Ready } from '../raft.ts';
import type { Oracle } from './oracle.ts';
import { storeOf, type SimulatedDisk } from './simulated-disk.ts';

export type CoreOptions = Pick<RaftOptions, 'electionTicks' | 'heartbeatTicks' | 'maxBytesPerMessage' | 'maxInflightMessages' | 'maxUncommittedBytes' | 'preVote' | 'checkQuorum'>;

/** The commands behind the numbers that entries carry. */
export const commandNumber = (data: Uint8Array): number => Buffer.from(data.buffer, data.byteOffset, data.byteLength).readUInt32LE();

export interface MemberEnvironment {
  readonly id: bigint;
  readonly random: Random;
  readonly disk: SimulatedDisk;
  readonly oracle: Oracle;
  readonly core: CoreOptions;
  readonly commands: readonly Command[];
  readonly send: (message: RaftMessage) => void;
  /** Uses what the contract allows: sends a leader's messages and applies entries before the batch is persisted. */
  readonly isEager: boolean;
}

/** How long a member goes on after it has learnt that it was removed. */
const TIME_TO_STOP = 40;

interface Read { readonly floor: number; readonly done: (revision: number) => void }

/** Ways to break the driver on purpose, to prove that the simulation notices. */
export interface DriverFaults {
  readonly readsWithoutAsking?: boolean;
  readonly sendsBeforePersisting?: boolean;
}

export class SimulatedMember {
  readonly id: bigint;
  readonly disk: SimulatedDisk;
  store: Store;
  raft: Raft;
  applied: number;
  /** Removed from the cluster, and stopped for good. */
  isRemoved = false;
  private stopsAt = Number.POSITIVE_INFINITY;
  private now = 0;
  isUp = true;
  pausedUntil = 0;
  /** Time between its ticks: its clock is its own. */
  tickEvery = 4;
  private nextTick = 0;
  /** How long a write to the disk takes, at most. */
  diskDelay = 1;
  confState: ConfState;
  private working: { readonly ready: Ready; readonly until: number } | undefined;
  /** Commands that a client waits for at this member, and reads: by context, then by the index to wait for. */
  readonly waiting = new Map<number, (revision: number, isRefused: boolean) => void>();
  private readonly asked = new Map<number, Read>();
  private confirmed: { readonly index: number; readonly read: Read }[] = [];
  private readonly environment: MemberEnvironment;
  private readonly faults: DriverFaults;

  constructor(environment: MemberEnvironment, faults: DriverFaults = {}) {
    this.environment = environment;
    this.faults = faults;
    this.id = environment.id;
    this.disk = environment.disk;
    ({ store: this.store, raft: this.raft, applied: this.applied, confState: this.confState } = this.boot());
  }

  private boot(): { store: Store; raft: Raft; applied: number; confState: ConfState } {
    const { disk, id, core, random } = this.environment;
    const image = disk.flushed;
    const raft = new Raft({ id, ...core, log: disk, hardState: disk.hardState, confState: image.confState, applied: image.applied, random });
    this.environment.oracle.restarted(id, disk.hardState);
    return { store: storeOf(image), raft, applied: image.applied, confState: image.confState };
  }

  crash(): void {
    this.isUp = false;
    this.working = undefined;
    this.waiting.clear();
    this.asked.clear();
    this.confirmed = [];
    this.disk.crash();
  }

  restart(now: number): void {
    this.isUp = true;
    this.nextTick = now + integerBelow(this.environment.random, this.tickEvery);
    ({ store: this.store, raft: this.raft, applied: this.applied, confState: this.confState } = this.boot());
  }

  get isWriting(): boolean {
    return this.working?.ready.mustSync === true;
  }

  isRunning(now: number): boolean {
    return this.isUp && !this.isRemoved && now >= this.pausedUntil;
  }

  step(message: RaftMessage): void {
    try {
      this.raft.step(message);
    } catch (error) {
      if (!(error instanceof ProposalDropped)) throw error;
    }
    this.environment.oracle.observe(this);
  }

  /** One unit of time. */
  run(now: number): void {
    this.now = now;
    if (now >= this.stopsAt) {
      this.isRemoved = true;
      return;
    }
    if (now >= this.nextTick) {
      this.nextTick = now + this.tickEvery;
      this.raft.tick();
      this.environment.oracle.observe(this);
    }
    for (let batches = 0; batches < 4 && this.work(now); batches += 1);
  }

  /** Finishes the batch that is being persisted, and takes up the next; false: nothing more to do for now. */
  private work(now: number): boolean {
    if (this.working !== undefined) {
      if (now < this.working.until) return false;
      this.finish(this.working.ready);
      this.working = undefined;
    }
    if (!this.raft.hasReady()) return false;
    const ready = this.raft.ready();
    this.disk.write(ready);
    if (this.environment.isEager) {
      this.send(ready.messagesBeforePersist);
      this.apply(ready);
    }
    if (this.faults.sendsBeforePersisting === true) this.send(ready.messages);
    this.working = { ready, until: now + (ready.mustSync ? integerBelow(this.environment.random, this.diskDelay + 1) : 0) };
    return true;
  }

  private finish(ready: Ready): void {
    this.disk.finish(ready.mustSync);
    this.environment.oracle.persisted(this, ready);
    if (!this.environment.isEager) this.send(ready.messagesBeforePersist);
    if (this.faults.sendsBeforePersisting !== true) this.send(ready.messages);
    if (ready.snapshot !== undefined) this.install(ready.snapshot);
    if (!this.environment.isEager) this.apply(ready);
    this.raft.advance();
    this.environment.oracle.observe(this);
  }

  private send(messages: readonly RaftMessage[]): void {
    for (const message of messages) this.environment.send(message);
  }

  private install(snapshot: NonNullable<Ready['snapshot']>): void {
    const image = this.disk.imageIn(snapshot);
    this.store = storeOf(image);
    this.applied = image.applied;
    this.confState = image.confState;
    this.environment.oracle.installed(this, snapshot);
  }

  private apply({ committedEntries, readStates }: Ready): void {
    for (const entry of committedEntries) this.applyEntry(entry);
    for (const { index, context } of readStates) {
      const number = commandNumber(context);
      const read = this.asked.get(number);
      if (read !== undefined) this.confirmed.push({ index, read });
      this.asked.delete(number);
    }
    this.serveReads();
  }

  private applyEntry(entry: Entry): void {
    const { oracle, commands, id } = this.environment;
    this.applied = entry.index;
    oracle.applies(this, entry);
    if (entry.type === 'EntryConfChange') {
      const change = confChange.decode(Buffer.from(entry.data));
      const isStale = oracle.isVoid(change, this.confState);
      this.confState = this.raft.applyConfChange(isStale ? undefined : change);
      if (change.type === 'ConfChangeRemoveNode' && change.nodeId === id) this.stopsAt = this.now + TIME_TO_STOP; // etcd: a second
      this.disk.applied({ index: entry.index, confState: this.confState, revision: this.store.revision, writes: [] });
    } else if (entry.data.length === 0) this.disk.applied({ index: entry.index, confState: this.confState, revision: this.store.revision, writes: [] });
    else {
      const number = commandNumber(entry.data);
      const { result, writes } = this.store.apply<CommandType>(commands[number] as Command, entry.index);
      this.disk.applied({ index: entry.index, confState: this.confState, revision: this.store.revision, writes });
      this.waiting.get(number)?.(this.store.revision, 'refused' in result);
      this.waiting.delete(number);
    }
    oracle.appliedTo(this, entry.index);
  }

  private serveReads(): void {
    this.confirmed = this.confirmed.filter(({ index, read }) => {
      if (index > this.applied) return true;
      read.done(this.store.revision);
      return false;
    });
  }

  /** A linearizable read; `done` gets the revision it saw. */
  read(number: number, read: Read): void {
    if (this.faults.readsWithoutAsking === true) return read.done(this.store.revision);
    const context = Buffer.alloc(8);
    context.writeUInt32LE(number);
    if (this.raft.readIndex(context)) this.asked.set(number, read);
  }
}
