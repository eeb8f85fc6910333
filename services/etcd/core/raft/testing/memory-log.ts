// A log in memory for tests: what a driver would have persisted.
import type { ConfState, Entry, HardState, Snapshot } from '#lib/etcd-api/raft-messages.ts';
import type { RaftLog, Ready } from '../driver-contract.ts';
import { entrySize } from '../log-view.ts';

export class MemoryLog implements RaftLog {
  base: Snapshot = { data: new Uint8Array(0), metadata: { index: 0, term: 0, confState: undefined } };
  /** Made for a peer that is far behind; 'unavailable' until a test provides it. */
  peerSnapshot: Snapshot | 'unavailable' = 'unavailable';
  hardState: HardState = { term: 0, vote: 0n, commit: 0 };
  stored: Entry[] = [];

  copy(): MemoryLog {
    const copy = new MemoryLog();
    copy.base = this.base;
    copy.peerSnapshot = this.peerSnapshot;
    copy.hardState = this.hardState;
    copy.stored = [...this.stored];
    return copy;
  }

  private get baseIndex(): number {
    return this.base.metadata?.index ?? 0;
  }

  firstIndex(): number {
    return this.baseIndex + 1;
  }

  lastIndex(): number {
    return this.baseIndex + this.stored.length;
  }

  term(index: number): number {
    if (index === this.baseIndex) return this.base.metadata?.term ?? 0;
    const found = this.stored[index - this.baseIndex - 1];
    if (found === undefined) throw new Error(`entry ${index} is not within ${this.firstIndex()} to ${this.lastIndex()}`);
    return found.term;
  }

  entries(from: number, to: number, maxBytes: number): readonly Entry[] {
    if (from < this.firstIndex() || to > this.lastIndex() + 1) throw new Error(`entries ${from} to ${to} are not within ${this.firstIndex()} to ${this.lastIndex()}`);
    let size = 0;
    let end = from;
    for (; end < to; end += 1) {
      size += entrySize(this.stored[end - this.baseIndex - 1] as Entry);
      if (size > maxBytes && end > from) break;
    }
    return this.stored.slice(from - this.baseIndex - 1, end - this.baseIndex - 1);
  }

  snapshot(): Snapshot | 'unavailable' {
    return this.peerSnapshot;
  }

  persist({ entries, snapshot, hardState }: Pick<Ready, 'entries' | 'snapshot' | 'hardState'>): void {
    if (snapshot !== undefined) {
      this.base = snapshot;
      this.stored = [];
    }
    const first = entries[0];
    if (first !== undefined) {
      if (first.index < this.firstIndex() || first.index > this.lastIndex() + 1) throw new Error(`entry ${first.index} does not follow ${this.lastIndex()}`);
      this.stored.length = first.index - this.baseIndex - 1;
      for (const one of entries) this.stored.push(one);
    }
    if (hardState !== undefined) this.hardState = hardState;
  }

  /** Drops the entries up to `index`; a snapshot taken there stands for them. */
  compact(index: number, confState: ConfState): void {
    const term = this.term(index);
    this.stored.splice(0, index - this.baseIndex);
    this.base = { data: new Uint8Array(0), metadata: { index, term, confState } };
    this.peerSnapshot = this.base;
  }
}
