// Sees everything that happens in a simulated cluster, and knows what must never be.
import type { ConfChange, ConfState, Entry, HardState, Snapshot } from '#lib/etcd-api/raft-messages.ts';
import type { Store } from '../../store.ts';
import type { Raft, RaftLog, Ready } from '../raft.ts';

interface Observed {
  readonly id: bigint;
  readonly raft: Raft;
  readonly store: Store;
  readonly disk: RaftLog;
}

/** How often the whole content of stores is compared; at every index their revisions are. */
const COMPARE_CONTENT_EVERY = 16;

export class Violation extends Error {
  override readonly name = 'Violation';
}

export class Oracle {
  private readonly leaders = new Map<number, bigint>();
  /** What was applied at each index, by whoever came first. */
  private readonly chosen: Entry[] = [];
  private readonly revisions: number[] = [];
  private readonly contents = new Map<number, string>();
  /** Every entry ever persisted, by index and term, with the term of the one before it. */
  private readonly persistedEntries = new Map<string, { readonly entry: Entry; readonly previousTerm: number }>();
  private readonly terms = new Map<bigint, number>();
  /** Clients have seen the store at this revision: no later read may see less. */
  floor = 0;
  acknowledged = 0;
  reads = 0;

  fail(message: string): never {
    throw new Violation(message);
  }

  get chosenIndex(): number {
    return this.chosen.length - 1;
  }

  /** Election safety: at most one leader in a term (Raft §5.2). Terms never go back. */
  observe({ id, raft }: Observed): void {
    const { term, role } = raft;
    if (term < (this.terms.get(id) ?? 0)) this.fail(`the term of member ${id} went back to ${term}`);
    this.terms.set(id, term);
    if (role !== 'leader') return;
    const known = this.leaders.get(term);
    if (known === undefined) this.leaders.set(term, id);
    else if (known !== id) this.fail(`members ${known} and ${id} both lead in term ${term}`);
  }

  restarted(id: bigint, { term }: HardState): void {
    this.terms.set(id, term); // a term that was not synced may be lost
  }

  /** Log matching: entries of the same index and term are the same, and so are those before them (Raft §5.3). */
  persisted({ disk }: Observed, { entries }: Ready): void {
    const [first] = entries;
    if (first === undefined) return;
    let previousTerm = disk.term(first.index - 1);
    for (const entry of entries) {
      const key = `${entry.index}/${entry.term}`;
      const known = this.persistedEntries.get(key);
      if (known === undefined) this.persistedEntries.set(key, { entry, previousTerm });
      else if (!isSame(known.entry, entry)) this.fail(`two entries ${entry.index} of term ${entry.term}`);
      else if (known.previousTerm !== previousTerm) this.fail(`entry ${entry.index} of term ${entry.term} follows different entries`);
      previousTerm = entry.term;
    }
  }

  /** State machine safety: all apply the same at an index (Raft §5.4.3). */
  applies({ id }: Observed, entry: Entry): void {
    const known = this.chosen[entry.index];
    if (known === undefined) {
      if (entry.index !== Math.max(1, this.chosen.length)) this.fail(`member ${id} applied ${entry.index} before ${this.chosen.length}`);
      this.chosen[entry.index] = entry;
    } else if (known.term !== entry.term || !isSame(known, entry)) {
      this.fail(`member ${id} applied entry ${entry.index} of term ${entry.term}, where another applied one of term ${known.term}`);
    }
  }

  /** The same entries give the same store. */
  appliedTo({ id, store }: Observed, index: number): void {
    const { revision } = store;
    const known = (this.revisions[index] ??= revision);
    if (known !== revision) this.fail(`member ${id} is at revision ${revision} after entry ${index}, another at ${known}`);
    if (index % COMPARE_CONTENT_EVERY === 0) this.compareContent(id, store, index);
  }

  installed({ id, store }: Observed, snapshot: Snapshot): void {
    this.appliedTo({ id, store } as Observed, snapshot.metadata?.index ?? 0);
  }

  compareContent(id: bigint, store: Store, index: number): void {
    const content = contentOf(store);
    const known = this.contents.get(index);
    if (known === undefined) this.contents.set(index, content);
    else if (known !== content) this.fail(`the stores differ after entry ${index}: member ${id} has\n${content}\nanother\n${known}`);
  }

  acknowledge(revision: number): void {
    this.acknowledged += 1;
    this.floor = Math.max(this.floor, revision);
  }

  /** Linearizable reads see at least what any client had seen before they began. */
  hasRead(id: bigint, floor: number, revision: number): void {
    this.reads += 1;
    if (revision < floor) this.fail(`a read at member ${id} saw revision ${revision}, but ${floor} was acknowledged before it began`);
    this.floor = Math.max(this.floor, revision);
  }

  /** As etcd's members do: a change that does not fit the membership is void. The same everywhere, since it follows from what was applied. */
  isVoid(change: ConfChange, { voters, learners }: ConfState): boolean {
    const isVoter = voters.includes(change.nodeId);
    const isLearner = learners.includes(change.nodeId);
    if (change.type === 'ConfChangeRemoveNode') return (!isVoter && !isLearner) || (isVoter && voters.length === 1);
    if (change.type === 'ConfChangeAddLearnerNode') return isVoter || isLearner;
    return isVoter;
  }
}

function isSame(a: Entry, b: Entry): boolean {
  return a === b || (a.type === b.type && Buffer.compare(a.data, b.data) === 0);
}

function contentOf(store: Store): string {
  const lines = [`revision ${store.revision} compacted ${store.compactRevision}`];
  for (const entry of store.entriesUpTo(store.revision)) {
    const { key, modRevision, subRevision, deleted, createRevision, version, lease } = entry;
    lines.push([key, modRevision, subRevision, deleted, createRevision, version, lease, Buffer.from(store.storedValueOf(entry)).toString('latin1')].join(' '));
  }
  for (const { id, grantedTtl, keys } of store.leases.values()) lines.push(`lease ${id} ${grantedTtl} ${[...keys].sort().join(' ')}`);
  return lines.join('\n');
}
