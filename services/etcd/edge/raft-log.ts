// The log as Raft reads it: the entries that are on disk and may still be asked for, in memory. The write-ahead log has them too,
// but is only read at the start.
import type { ConfState, Entry, Snapshot } from '#lib/etcd-api/raft-messages.ts';
import type { RaftLog } from '../core/raft/raft.ts';

/** What an entry takes beside its data. */
const ENTRY_OVERHEAD_BYTES = 16;
const NO_DATA = new Uint8Array(0);

export interface LogPosition {
  readonly index: number;
  readonly term: number;
}

export class MemoryLog implements RaftLog {
  /** The entry before the first one. */
  private base: LogPosition;
  private stored: Entry[];
  private bytes: number;
  private readonly newestSnapshot: () => LogPosition & { readonly confState: ConfState };

  /** `newestSnapshot`: of what state a snapshot could be made for a member that is far behind. */
  constructor(base: LogPosition, entries: readonly Entry[], newestSnapshot: () => LogPosition & { readonly confState: ConfState }) {
    this.base = base;
    this.stored = [...entries];
    this.bytes = entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
    this.newestSnapshot = newestSnapshot;
  }

  firstIndex(): number {
    return this.base.index + 1;
  }

  lastIndex(): number {
    return this.base.index + this.stored.length;
  }

  get sizeBytes(): number {
    return this.bytes;
  }

  term(index: number): number {
    if (index === this.base.index) return this.base.term;
    const entry = this.stored[index - this.base.index - 1];
    if (entry === undefined) throw new Error(`entry ${index} is not within ${this.firstIndex()} to ${this.lastIndex()}`);
    return entry.term;
  }

  entries(from: number, to: number, maxBytes: number): readonly Entry[] {
    const start = from - this.base.index - 1;
    const limit = to - this.base.index - 1;
    if (start < 0 || limit > this.stored.length) throw new Error(`entries ${from} to ${to} are not within ${this.firstIndex()} to ${this.lastIndex()}`);
    let size = 0;
    let end = start;
    for (; end < limit; end += 1) {
      size += sizeOf(this.stored[end] as Entry);
      if (size > maxBytes && end > start) break;
    }
    return this.stored.slice(start, end);
  }

  snapshot(): Snapshot {
    const { index, term, confState } = this.newestSnapshot();
    return { data: NO_DATA, metadata: { index, term, confState } };
  }

  /** In place of what there is from the first one's index on. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    if (first.index <= this.base.index || first.index > this.lastIndex() + 1) throw new Error(`entry ${first.index} does not follow ${this.lastIndex()}`);
    for (const entry of this.stored.splice(first.index - this.base.index - 1)) this.bytes -= sizeOf(entry);
    for (const entry of entries) {
      this.stored.push(entry);
      this.bytes += sizeOf(entry);
    }
  }

  /** Lets go of the entries up to `index`. */
  forgetUpTo(index: number): void {
    const count = Math.min(index, this.lastIndex()) - this.base.index;
    if (count <= 0) return;
    const term = this.term(this.base.index + count);
    for (const entry of this.stored.splice(0, count)) this.bytes -= sizeOf(entry);
    this.base = { index: this.base.index + count, term };
  }

  /** Starts anew after a snapshot. */
  reset(base: LogPosition): void {
    this.base = base;
    this.stored = [];
    this.bytes = 0;
  }
}

const sizeOf = ({ data }: Entry): number => data.length + ENTRY_OVERHEAD_BYTES;
