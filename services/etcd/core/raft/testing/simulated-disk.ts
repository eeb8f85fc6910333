// A member's disk that loses what was not synced: the log as etcd's WAL writes it (entries, then the hard state), and the store's database, which lags behind.
import { integerBelow, type Random } from '#lib/environment/random.ts';
import type { ConfState, Entry as LogEntry, HardState, Snapshot } from '#lib/etcd-api/raft-messages.ts';
import { Store, type Lease, type Write } from '../../store.ts';
import { restored, stored, type StoredEntry } from '../../testing.ts';
import type { RaftLog, Ready } from '../driver-contract.ts';
import { MemoryLog } from './memory-log.ts';

type LogWrite = Pick<Ready, 'entries' | 'snapshot' | 'hardState'>;

/** The store as of an applied index; never changed, only replaced by a changed copy. */
export interface StoreImage {
  readonly applied: number;
  readonly confState: ConfState;
  readonly revision: number;
  readonly compacted: number;
  readonly entries: ReadonlyMap<string, StoredEntry>;
  readonly leases: ReadonlyMap<bigint, Lease>;
}

export const EMPTY_IMAGE: StoreImage = {
  applied: 0, confState: { voters: [], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false }, revision: 0, compacted: 0, entries: new Map(), leases: new Map(),
};

export interface AppliedWrite {
  readonly index: number;
  readonly confState: ConfState;
  readonly revision: number;
  readonly writes: readonly Write[];
}

export function storeOf(image: StoreImage): Store {
  return new Store(() => { throw new Error('every value is in memory'); }, { ...restored(image.entries.values()), leases: image.leases.values(), compactRevision: image.compacted, revision: image.revision });
}

function changed(image: StoreImage, applied: readonly AppliedWrite[]): StoreImage {
  const last = applied.at(-1);
  if (last === undefined) return image;
  const entries = new Map(image.entries);
  const leases = new Map(image.leases);
  let { compacted } = image;
  for (const { writes } of applied) {
    for (const write of writes) {
      if (write.type === 'put-entry') entries.set(`${write.entry.modRevision}/${write.entry.subRevision}`, stored(write.entry));
      else if (write.type === 'delete-entry') entries.delete(`${write.entry.modRevision}/${write.entry.subRevision}`);
      else if (write.type === 'put-lease') leases.set(write.lease.id, { ...write.lease, keys: new Set() });
      else if (write.type === 'delete-lease') leases.delete(write.id);
      else if (write.type === 'compacted') compacted = write.revision;
      else throw new Error(`the simulation has no ${write.type}`);
    }
  }
  return { applied: last.index, confState: last.confState, revision: last.revision, compacted, entries, leases };
}

/** Ways in which a disk may lie, to prove that the simulation notices. */
export interface DiskLies {
  /** What was synced may be lost in a crash. */
  readonly losesSynced?: boolean;
  /** The vote comes back as none after a crash. */
  readonly forgetsVote?: boolean;
}

export class SimulatedDisk implements RaftLog {
  /** What the running member sees, and what a crash leaves at least. */
  private view = new MemoryLog();
  private durable = new MemoryLog();
  private unsynced: LogWrite[] = [];
  private image: StoreImage = EMPTY_IMAGE;
  private unflushed: AppliedWrite[] = [];
  private readonly random: Random;
  private readonly images: StoreImage[];
  private readonly lies: DiskLies;

  /** `images`: what snapshots contain, by number; shared by all members. */
  constructor(random: Random, images: StoreImage[], lies: DiskLies = {}) {
    this.random = random;
    this.images = images;
    this.lies = lies;
  }

  firstIndex(): number { return this.view.firstIndex(); }
  lastIndex(): number { return this.view.lastIndex(); }
  term(index: number): number { return this.view.term(index); }
  entries(from: number, to: number, maxBytes: number): readonly LogEntry[] { return this.view.entries(from, to, maxBytes); }

  /** Of everything applied, whether or not it is flushed. */
  snapshot(): Snapshot | 'unavailable' {
    const image = changed(this.image, this.unflushed);
    if (image.applied < this.firstIndex() - 1 || this.random.fraction() < 0.1) return 'unavailable';
    return { data: this.numberOf(image), metadata: { index: image.applied, term: this.term(image.applied), confState: image.confState } };
  }

  private numberOf(image: StoreImage): Uint8Array {
    const data = Buffer.alloc(4);
    data.writeUInt32LE(this.images.push(image) - 1);
    return data;
  }

  imageIn(snapshot: Snapshot): StoreImage {
    const image = this.images[Buffer.from(snapshot.data).readUInt32LE()];
    if (image === undefined) throw new Error('a snapshot of nothing');
    return image;
  }

  get hardState(): HardState {
    return this.view.hardState;
  }

  get flushed(): StoreImage {
    return this.image;
  }

  /** The log's writes of a Ready, durable with the next sync. */
  write({ entries, snapshot, hardState }: Ready): void {
    const write: LogWrite = { entries, ...(snapshot === undefined ? {} : { snapshot }), ...(hardState === undefined ? {} : { hardState }) };
    this.unsynced.push(write);
  }

  /** The write is finished: the member sees it, and after a sync it is safe. */
  finish(mustSync: boolean): void {
    const last = this.unsynced.at(-1);
    if (last === undefined) return;
    this.view.persist(last);
    if (mustSync && this.lies.losesSynced !== true) this.sync();
  }

  private sync(): void {
    for (const write of this.unsynced) this.makeDurable(write);
    this.unsynced = [];
  }

  private makeDurable(write: LogWrite): void {
    this.durable.persist(write);
    if (write.snapshot !== undefined) this.install(write.snapshot);
  }

  private install(snapshot: Snapshot): void {
    this.image = this.imageIn(snapshot);
    this.unflushed = [];
  }

  applied(write: AppliedWrite): void {
    this.unflushed.push(write);
  }

  /** Writes the store's first `count` waiting changes; all without a count. */
  flush(count = this.unflushed.length): void {
    this.image = changed(this.image, this.unflushed.splice(0, count));
  }

  /** Drops entries that the database holds, all but the newest `keep`. */
  compact(keep: number): void {
    const index = Math.min(this.image.applied, this.durable.lastIndex()) - keep;
    if (index < this.durable.firstIndex() || index < this.view.firstIndex()) return;
    this.durable.compact(index, this.image.confState);
    this.view.compact(index, this.image.confState);
  }

  /** Power is lost: of what was not synced any beginning may have reached the disk. */
  crash(): void {
    const whole = integerBelow(this.random, this.unsynced.length + 1);
    for (const write of this.unsynced.slice(0, whole)) this.makeDurable(write);
    const torn = this.unsynced[whole];
    if (torn !== undefined && torn.snapshot === undefined) this.durable.persist({ entries: torn.entries.slice(0, integerBelow(this.random, torn.entries.length + 1)) });
    this.unsynced = [];
    this.flush(integerBelow(this.random, this.unflushed.length + 1));
    this.unflushed = [];
    if (this.lies.forgetsVote === true) this.durable.hardState = { ...this.durable.hardState, vote: 0n };
    this.view = this.durable.copy();
  }

  /** The first entries of a new cluster. */
  bootstrap(entries: readonly LogEntry[], hardState: HardState): void {
    this.durable.persist({ entries, hardState });
    this.view.persist({ entries, hardState });
  }
}
