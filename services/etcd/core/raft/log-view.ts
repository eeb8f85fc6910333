// The log as the core sees it: what is on disk, followed by what is yet to be persisted (`unstable`), and a snapshot on its way to the disk.
// Entries are never copied; slices of the unstable part share them.
import type { Entry, Snapshot } from '#lib/etcd-api/raft-messages.ts';
import { LogLost, type RaftLog } from './driver-contract.ts';

/** What an entry takes beside its data: tag, length, term and index. */
const ENTRY_OVERHEAD_BYTES = 16;
const NO_ENTRIES: readonly Entry[] = [];

export class LogView {
  committed: number;
  /** Handed out for application. */
  applying: number;
  applied: number;
  /** Being persisted or waiting for it. Log and state start anew after it. */
  pendingSnapshot: Snapshot | undefined;

  private readonly disk: RaftLog;
  private unstable: Entry[] = [];
  /** Index of the first unstable entry; all before it is on disk. */
  private offset: number;
  /** Entries up to here are with the driver, to be persisted. */
  private handedTo: number;
  private snapshotIsHanded = false;

  constructor(disk: RaftLog, commit: number, applied: number) {
    this.disk = disk;
    const last = disk.lastIndex();
    this.offset = last + 1;
    this.handedTo = last;
    this.applied = Math.max(applied, disk.firstIndex() - 1);
    this.applying = this.applied;
    // What was applied was committed, whether or not the commit index reached the disk.
    this.committed = Math.max(commit, this.applied);
    if (this.committed > last) throw new LogLost(`entries up to ${this.committed} were committed, but the log on disk ends at ${last}`);
  }

  get lastIndex(): number {
    return this.offset + this.unstable.length - 1;
  }

  get firstIndex(): number {
    return this.pendingSnapshot === undefined ? this.disk.firstIndex() : snapshotIndex(this.pendingSnapshot) + 1;
  }

  /** All entries up to here are durable. */
  get stableIndex(): number {
    return this.offset - 1;
  }

  get lastTerm(): number {
    return this.term(this.lastIndex) ?? 0;
  }

  /** undefined: the entry is gone, or not there yet. */
  term(index: number): number | undefined {
    if (index >= this.offset) return this.unstable[index - this.offset]?.term;
    const pending = this.pendingSnapshot;
    if (pending !== undefined) return index === snapshotIndex(pending) ? pending.metadata?.term ?? 0 : undefined;
    return index < this.disk.firstIndex() - 1 ? undefined : this.disk.term(index);
  }

  isTermAt(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Raft §5.4.1: a later last term wins, then the longer log. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    const ownTerm = this.lastTerm;
    return lastTerm > ownTerm || (lastTerm === ownTerm && lastIndex >= this.lastIndex);
  }

  /**
   * From `from` up to `to` (inclusive), at least one entry, then as many as fit.
   * All of them must be there: from >= firstIndex, to <= lastIndex.
   */
  entries(from: number, to: number, maxBytes: number): readonly Entry[] {
    if (from > to) return NO_ENTRIES;
    if (from >= this.offset) return this.unstableEntries(from, to, maxBytes);
    const stable = this.disk.entries(from, Math.min(to, this.offset - 1) + 1, maxBytes);
    const next = from + stable.length;
    if (next < this.offset || next > to) return stable;
    const left = maxBytes - sizeOf(stable, 0, stable.length);
    const first = this.unstable[0];
    return first === undefined || entrySize(first) > left ? stable : [...stable, ...this.unstableEntries(next, to, left)];
  }

  private unstableEntries(from: number, to: number, maxBytes: number): readonly Entry[] {
    const start = from - this.offset;
    const limit = to - this.offset + 1;
    let end = start;
    let size = 0;
    while (end < limit) {
      size += entrySize(this.unstable[end] as Entry);
      if (size > maxBytes && end > start) break;
      end += 1;
    }
    return this.unstable.slice(start, end);
  }

  /** Puts entries at the end, in place of what conflicts with them. */
  append(entries: readonly Entry[], skip = 0): void {
    const first = entries[skip];
    if (first === undefined) return;
    if (first.index <= this.committed) throw new LogLost(`entry ${first.index} of term ${first.term} would replace a committed one (committed up to ${this.committed})`);
    if (first.index > this.lastIndex + 1) throw new Error(`entry ${first.index} would leave a gap after ${this.lastIndex}`);
    if (first.index < this.offset) {
      this.unstable = [];
      this.offset = first.index;
    } else this.unstable.length = first.index - this.offset;
    if (this.handedTo >= first.index) this.handedTo = first.index - 1;
    for (let at = skip; at < entries.length; at += 1) this.unstable.push(entries[at] as Entry);
  }

  /** Where to go on looking for agreement: the last index up to `index` whose term is at most `term`, or that is out of sight (its term then counts as 0). */
  lastWithTermUpTo(index: number, term: number): { index: number; term: number } {
    for (let at = index; at > 0; at -= 1) {
      const own = this.term(at);
      if (own === undefined) return { index: at, term: 0 };
      if (own <= term) return { index: at, term: own };
    }
    return { index: 0, term: 0 };
  }

  commitTo(index: number): void {
    if (index <= this.committed) return;
    if (index > this.lastIndex) throw new LogLost(`entries up to ${index} are committed, but the log ends at ${this.lastIndex}: was it damaged, cut off or lost?`);
    this.committed = index;
  }

  /** Starts anew from a snapshot that is ahead of this log. */
  restore(snapshot: Snapshot): void {
    this.pendingSnapshot = snapshot;
    this.snapshotIsHanded = false;
    this.unstable = [];
    this.committed = snapshotIndex(snapshot);
    this.offset = this.committed + 1;
    this.handedTo = this.committed;
  }

  /** The newest on disk, for a member whose next entry is gone. */
  snapshot(): Snapshot | 'unavailable' {
    return this.disk.snapshot();
  }

  hasUnhanded(): boolean {
    return this.handedTo < this.lastIndex || (this.pendingSnapshot !== undefined && !this.snapshotIsHanded);
  }

  /** Committed entries that may be applied: those on disk; none while a snapshot is pending. */
  hasApplicable(): boolean {
    return this.pendingSnapshot === undefined && this.applying < Math.min(this.committed, this.stableIndex);
  }

  /** Hands out what is to be persisted. */
  takeUnstable(): { entries: readonly Entry[]; snapshot: Snapshot | undefined } {
    const start = this.handedTo + 1 - this.offset;
    const entries = start >= this.unstable.length ? NO_ENTRIES : this.unstable.slice(start);
    const snapshot = this.snapshotIsHanded ? undefined : this.pendingSnapshot;
    this.handedTo = this.lastIndex;
    this.snapshotIsHanded = this.pendingSnapshot !== undefined;
    return { entries, snapshot };
  }

  takeApplicable(maxBytes: number): readonly Entry[] {
    if (!this.hasApplicable()) return NO_ENTRIES;
    const entries = this.entries(this.applying + 1, Math.min(this.committed, this.stableIndex), maxBytes);
    this.applying += entries.length;
    return entries;
  }

  /** What was handed out, and was not replaced since, is on disk; `snapshot` is the one that was handed out. */
  persisted(snapshot: Snapshot | undefined): void {
    if (this.handedTo >= this.offset) {
      this.unstable = this.handedTo >= this.lastIndex ? [] : this.unstable.slice(this.handedTo + 1 - this.offset);
      this.offset = this.handedTo + 1;
    }
    if (snapshot !== undefined && snapshot === this.pendingSnapshot) this.pendingSnapshot = undefined;
    if (snapshot === undefined) return;
    this.applied = Math.max(this.applied, snapshotIndex(snapshot));
    this.applying = Math.max(this.applying, this.applied);
  }

  appliedTo(index: number): void {
    this.applied = Math.max(this.applied, index);
  }
}

export const entrySize = (entry: Entry): number => entry.data.length + ENTRY_OVERHEAD_BYTES;

export function sizeOf(entries: readonly Entry[], from: number, to: number): number {
  let size = 0;
  for (let at = from; at < to; at += 1) size += entrySize(entries[at] as Entry);
  return size;
}

export const snapshotIndex = (snapshot: Snapshot): number => snapshot.metadata?.index ?? 0;
