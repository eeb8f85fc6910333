// Storage in memory with etcd's revisions, for tests of what stands upon it.
import { FutureRevisionError, RevisionCompactedError, type Guard, type Storage, type StorageEvent, type StoredItem, type WatchOptions, type WriteResult } from '../storage.ts';

export class MemoryStorage implements Storage {
  revision = 1;
  compacted = 0;
  readonly history: StorageEvent[] = [];
  readonly #watches = new Set<WatchOptions>();
  readonly #current = new Map<string, StoredItem>();
  readonly #guards = new Map<string, number>();

  #stateAt(revision: number): Map<string, StoredItem> {
    if (revision === this.revision) return this.#current;
    const state = new Map<string, StoredItem>();
    for (const { key, value, revision: at } of this.history) {
      if (at > revision) break;
      if (value) state.set(key, { key, value, modRevision: at });
      else state.delete(key);
    }
    return state;
  }
  #commit(key: string, value?: Uint8Array): number {
    this.revision += 1;
    const event: StorageEvent = { key, revision: this.revision, ...(value ? { value } : {}) };
    this.history.push(event);
    if (value) this.#current.set(key, { key, value, modRevision: this.revision });
    else this.#current.delete(key);
    for (const watch of this.#watches) if (key.startsWith(watch.prefix)) watch.onEvents([event], this.revision);
    return this.revision;
  }
  async get(key: string) {
    const item = this.#stateAt(this.revision).get(key);
    return { revision: this.revision, ...(item ? { item } : {}) };
  }
  async list(prefix: string, { startKey = prefix, limit = 0, revision = 0 }: { startKey?: string; limit?: number; revision?: number } = {}) {
    if (revision !== 0 && revision < this.compacted) throw new RevisionCompactedError('compacted');
    if (revision > this.revision) throw new FutureRevisionError('future');
    const at = revision === 0 ? this.revision : revision;
    const all = [...this.#stateAt(at).values()].filter(({ key }) => key.startsWith(prefix) && key >= startKey).sort((a, b) => (a.key < b.key ? -1 : 1));
    const items = limit === 0 ? all : all.slice(0, limit);
    return { items, revision: at, more: items.length < all.length, count: all.length };
  }
  async create(key: string, value: Uint8Array, { guard }: { guard?: Guard } = {}) {
    if (this.#stateAt(this.revision).has(key)) return { succeeded: false as const, revision: this.revision };
    return this.#guarded(guard, () => this.#commit(key, value));
  }
  async createAll(items: readonly { readonly key: string; readonly value: Uint8Array }[]) {
    if (items.some(({ key }) => this.#current.has(key))) return { succeeded: false as const, revision: this.revision };
    this.revision += 1;
    const events = items.map(({ key, value }): StorageEvent => ({ key, value, revision: this.revision }));
    this.history.push(...events);
    for (const { key, value } of items) this.#current.set(key, { key, value, modRevision: this.revision });
    for (const watch of this.#watches) watch.onEvents(events.filter(({ key }) => key.startsWith(watch.prefix)), this.revision);
    return { succeeded: true as const, revision: this.revision };
  }
  async update(key: string, value: Uint8Array, { expectedRevision, guard }: { expectedRevision: number; guard?: Guard }) {
    return this.#conditionally(key, expectedRevision, () => this.#guarded(guard, () => this.#commit(key, value)));
  }
  async delete(key: string, { expectedRevision }: { expectedRevision: number }) {
    return this.#conditionally(key, expectedRevision, () => ({ succeeded: true, revision: this.#commit(key) }));
  }
  #conditionally(key: string, expectedRevision: number, commit: () => WriteResult): WriteResult {
    const current = this.#stateAt(this.revision).get(key);
    if ((current?.modRevision ?? 0) !== expectedRevision) return { succeeded: false, revision: this.revision, ...(current ? { current } : {}) };
    return commit();
  }
  /** The guard gets the revision of the write: etcd does both in one transaction. */
  #guarded(guard: Guard | undefined, commit: () => number): WriteResult {
    const guardRevision = guard === undefined ? 0 : this.#guards.get(guard.key) ?? 0;
    if (guard !== undefined && guardRevision !== guard.expectedRevision) return { succeeded: false, revision: this.revision, guardRevision };
    const revision = commit();
    if (guard !== undefined) this.#guards.set(guard.key, revision);
    return { succeeded: true, revision };
  }
  watch(options: WatchOptions): Promise<void> {
    if (options.fromRevision <= this.compacted) return Promise.reject(new RevisionCompactedError('compacted'));
    const missed = this.history.filter(({ revision, key }) => revision >= options.fromRevision && key.startsWith(options.prefix));
    if (missed.length > 0) options.onEvents(missed, this.revision);
    this.#watches.add(options);
    return new Promise((resolve) => {
      options.signal.addEventListener('abort', () => {
        this.#watches.delete(options);
        resolve();
      }, { once: true });
    });
  }
  requestProgress(): void {
    for (const watch of this.#watches) watch.onEvents([], this.revision);
  }
}
