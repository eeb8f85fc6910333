// Every key with its history, in byte order of the keys.
import { contains, type KeyRange } from './key-range.ts';
import type { ValueHolder } from './value-memory.ts';

/** One change of one key: a put, or a deletion ("tombstone"). */
export interface Entry extends ValueHolder {
  readonly modRevision: number;
  /** Position among the changes of the same revision. */
  readonly subRevision: number;
  readonly deleted: boolean;
  /** 0 for a deletion. */
  readonly createRevision: number;
  /** Number of puts since creation; 0 for a deletion. */
  readonly version: number;
  /** 0n: none. */
  readonly lease: bigint;
}

/** The changes of a key since the last compaction, oldest first. */
export interface KeyHistory {
  readonly key: string;
  entries: Entry[];
}

/** Keys in a chunk before it is split: moving this many references costs about a microsecond. */
const MAX_CHUNK = 512;

export class KeyIndex {
  private readonly histories = new Map<string, KeyHistory>();
  /** In order, and none is empty (but for the first one of an empty index). */
  private readonly chunks: KeyHistory[][] = [[]];

  get size(): number {
    return this.histories.size;
  }

  get(key: string): KeyHistory | undefined {
    return this.histories.get(key);
  }

  /** `history`: of its key, as `get` has it. */
  append(entry: Entry, history: KeyHistory | undefined): void {
    if (history === undefined) return this.insert({ key: entry.key, entries: [entry] });
    // A push onto a short array would make room for sixteen more, which most keys never need.
    const [first, second] = history.entries;
    if (history.entries.length === 1) history.entries = [first as Entry, entry];
    else if (history.entries.length === 2) history.entries = [first as Entry, second as Entry, entry];
    else history.entries.push(entry);
  }

  private insert(history: KeyHistory): void {
    this.histories.set(history.key, history);
    const at = this.chunkOf(history.key);
    const chunk = this.chunks[at] ?? [];
    chunk.splice(positionIn(chunk, history.key), 0, history);
    if (chunk.length > MAX_CHUNK) this.chunks.splice(at + 1, 0, chunk.splice(MAX_CHUNK / 2));
  }

  remove(key: string): void {
    if (!this.histories.delete(key)) return;
    const at = this.chunkOf(key);
    const chunk = this.chunks[at] ?? [];
    chunk.splice(positionIn(chunk, key), 1);
    if (chunk.length === 0 && this.chunks.length > 1) this.chunks.splice(at, 1);
  }

  /** Calls `visit` for each key of the range in order. */
  forEach(range: KeyRange, visit: (history: KeyHistory) => void): void {
    if (range.end === undefined) {
      const history = this.histories.get(range.start);
      if (history !== undefined) visit(history);
      return;
    }
    let at = this.chunkOf(range.start);
    let position = positionIn(this.chunks[at] ?? [], range.start);
    for (; at < this.chunks.length; at += 1, position = 0) {
      const chunk = this.chunks[at] ?? [];
      for (; position < chunk.length; position += 1) {
        const history = chunk[position] as KeyHistory;
        if (!contains(range, history.key)) return;
        visit(history);
      }
    }
  }

  some(isWanted: (history: KeyHistory) => boolean): boolean {
    return this.chunks.some((chunk) => chunk.some(isWanted));
  }

  /** The chunk in which `key` is or belongs: the last one that starts at or before it. */
  private chunkOf(key: string): number {
    let low = 0;
    let high = this.chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.chunks[middle]?.[0]?.key ?? '') <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Index of the first history whose key is not below `key`. */
function positionIn(chunk: readonly KeyHistory[], key: string): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((chunk[middle] as KeyHistory).key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The last change at or before `revision`, be it a deletion. */
export function entryAt({ entries }: KeyHistory, revision: number): Entry | undefined {
  for (let index = entries.length - 1; index >= 0; index -= 1) {
    const entry = entries[index] as Entry;
    if (entry.modRevision <= revision) return entry;
  }
  return undefined;
}

/** What the key holds at `revision`. */
export function liveEntryAt(history: KeyHistory, revision: number): Entry | undefined {
  const entry = entryAt(history, revision);
  return entry === undefined || entry.deleted ? undefined : entry;
}
