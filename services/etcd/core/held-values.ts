// Which values stay in memory: the newest, as long as there is room. The others are read back from the disk.
import type { Entry, KeyIndex } from './key-index.ts';
import { ValueMemory } from './value-memory.ts';

/** What the store holds when values are to leave memory. */
export interface Holdings {
  /** All at or after the compaction, in order of revision. */
  readonly changes: readonly Entry[];
  readonly index: KeyIndex;
  readonly compactRevision: number;
}

/** When values leave memory, so many do that this share of the bytes allowed is left: it is rare then. */
const SHARE_LEFT = 0.75;

export class HeldValues {
  private readonly memory = new ValueMemory();
  /** What compactions have removed while its value was in memory: until it is on disk, it is still to be written there. */
  private removed: Entry[] = [];
  /** Positions in the changes up to which values have left memory: of changes that were replaced by then, and of all. */
  private replacedReleased = 0;
  private allReleased = 0;
  /** Those that were the value of their key at the compaction, and are older than it. */
  private areOldestReleased = false;

  /** Copies the value. */
  hold(entry: Entry, value: Uint8Array): void {
    this.memory.hold(entry, value);
  }

  /** A compaction removed the entry. */
  remove(entry: Entry): void {
    if (entry.block !== undefined) this.removed.push(entry);
  }

  /** The changes lost those before position `start`, and with some at the compaction's own revision `dropped` in all. */
  compacted({ start, dropped }: { readonly start: number; readonly dropped: number }): void {
    this.areOldestReleased &&= this.allReleased >= start;
    this.replacedReleased = Math.max(0, this.replacedReleased - dropped);
    this.allReleased = Math.max(0, this.allReleased - dropped);
  }

  /** The last compaction has removed everything: the oldest entries of some keys are others now. */
  compactionFinished(): void {
    this.areOldestReleased = false;
  }

  /**
   * Lets go of values when they exceed `maxBytes`: first of those that were replaced, then of others, the oldest first in both. Only what is on
   * disk may go: nothing after `durableRevision`. It goes on where it was, so that no call takes long.
   */
  release({ changes, index, compactRevision }: Holdings, maxBytes: number, durableRevision: number): void {
    this.releaseRemoved(durableRevision);
    if (this.memory.sizeBytes <= maxBytes) return;
    const isEnough = (): boolean => this.memory.sizeBytes <= maxBytes * SHARE_LEFT;
    /** Walks the changes from a position on, and returns how far it came. */
    const releaseFrom = (start: number, mayGo: (entry: Entry) => boolean): number => {
      let at = start;
      for (; at < changes.length && !isEnough(); at += 1) {
        const entry = changes[at] as Entry;
        if (entry.modRevision > durableRevision) break;
        if (mayGo(entry)) this.memory.release(entry);
      }
      return at;
    };
    this.replacedReleased = releaseFrom(this.replacedReleased, (entry) => index.get(entry.key)?.entries.at(-1) !== entry);
    this.allReleased = releaseFrom(this.allReleased, () => true);
    if (isEnough() || this.areOldestReleased) return;
    const last = Math.min(compactRevision, durableRevision);
    this.areOldestReleased = last === compactRevision;
    index.forEach({ start: '', end: '' }, ({ entries: [oldest] }) => {
      if (oldest !== undefined && oldest.modRevision <= last) this.memory.release(oldest);
    });
  }

  private releaseRemoved(durableRevision: number): void {
    if (this.removed.length === 0) return;
    const waiting: Entry[] = [];
    for (const entry of this.removed) {
      if (entry.modRevision > durableRevision) waiting.push(entry);
      else this.memory.release(entry);
    }
    this.removed = waiting;
  }
}
