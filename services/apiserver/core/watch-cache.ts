// What storage holds, in memory: the latest state of every kind and a bounded window of its recent events. One storage
// watch feeds it all; lists at resourceVersion 0 and all client watches are served from here.
// Source: apiserver pkg/storage/cacher (its behaviour; the structure is our own).
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { decodeStored, inWireOrder, keyPrefix, storedKind } from './codec.ts';
import type { StorageEvent, StoredItem } from './storage.ts';

/** Events kept for each kind; a watch that asks for more gets 410. */
export const EVENT_WINDOW = 1024;
/** Bytes of stored values that the events of one kind may stand for: a few huge objects must not fill the memory. */
const EVENT_WINDOW_BYTES = 8 * 1024 * 1024;

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

const encoder = new TextEncoder();

/** One version of one object, shared by all who read it: never to be changed. */
export class CacheEntry {
  readonly key: string;
  readonly revision: number;
  readonly object: KubernetesObject;
  /** Of the value in storage; 0 where nobody has counted. */
  readonly sizeBytes: number;
  #json: string | undefined;
  #views: Map<AnyKind, CacheEntry> | undefined;

  constructor(key: string, revision: number, object: KubernetesObject, sizeBytes = 0) {
    this.key = key;
    this.revision = revision;
    this.object = object;
    this.sizeBytes = sizeBytes;
  }
  /** As written to clients; made once. */
  json(): string {
    return (this.#json ??= JSON.stringify(inWireOrder(this.object)));
  }
  /** The same object in another version of the API. */
  as(kind: AnyKind): CacheEntry {
    if (!kind.storedAs) return this;
    this.#views ??= new Map();
    let view = this.#views.get(kind);
    if (!view) this.#views.set(kind, (view = new CacheEntry(this.key, this.revision, kind.storedAs.fromStored(structuredClone(this.object)))));
    return view;
  }
}

export class CacheEvent {
  readonly type: EventType;
  /** For DELETED the last state, with the resourceVersion of the deletion. */
  readonly entry: CacheEntry;
  readonly previous: CacheEntry | undefined;
  readonly revision: number;
  readonly #bytes = new Map<string, Uint8Array>();
  #departure: CacheEntry | undefined;

  constructor(type: EventType, entry: CacheEntry, previous?: CacheEntry) {
    this.type = type;
    this.entry = entry;
    this.previous = previous;
    this.revision = entry.revision;
  }
  /** What a watcher is shown whose selection the object has left: its last state in there, at this event's revision. */
  get departure(): CacheEntry {
    return (this.#departure ??= this.type === 'DELETED' || !this.previous ? this.entry : tombstone(this.previous, this.revision));
  }
  /** The event as a line of a watch stream; the bytes are made once for all watchers of `variant`. */
  bytes(variant: string, render: () => string): Uint8Array {
    let bytes = this.#bytes.get(variant);
    if (!bytes) this.#bytes.set(variant, (bytes = encoder.encode(render())));
    return bytes;
  }
}

export interface CacheWatcher {
  readonly onEvent: (event: CacheEvent) => void;
  /** The cache has lost the thread (storage compacted or put back): the watch must end. */
  readonly onReset: () => void;
}

/** What is in the cache is too old or the window does not reach back that far. */
export class WindowExceededError extends Error {
  override readonly name = 'WindowExceededError';
  readonly asked: number;
  readonly oldest: number;
  constructor(asked: number, oldest: number) {
    super(`too old resource version: ${asked} (${oldest})`);
    this.asked = asked;
    this.oldest = oldest;
  }
}

export class ResourceCache {
  readonly kind: AnyKind;
  readonly prefix: string;
  readonly #entries = new Map<string, CacheEntry>();
  #sortedKeys: string[] | undefined;
  #events: CacheEvent[] = [];
  #eventBytes = 0;
  /** Every event after this revision is in the window. */
  #windowStart = 0;
  readonly #watchers = new Set<CacheWatcher>();

  constructor(kind: AnyKind) {
    this.kind = kind;
    this.prefix = keyPrefix(kind);
  }

  get size(): number {
    return this.#entries.size;
  }
  get watcherCount(): number {
    return this.#watchers.size;
  }
  get(key: string): CacheEntry | undefined {
    return this.#entries.get(key);
  }
  /** In key order. */
  list(prefix: string = this.prefix): CacheEntry[] {
    if (!prefix.endsWith('/')) { // one whole key
      const one = this.#entries.get(prefix);
      return one ? [one] : [];
    }
    this.#sortedKeys ??= [...this.#entries.keys()].sort((a, b) => (a < b ? -1 : 1));
    const result: CacheEntry[] = [];
    for (const key of this.#sortedKeys) {
      const entry = key.startsWith(prefix) ? this.#entries.get(key) : undefined;
      if (entry) result.push(entry);
    }
    return result;
  }

  /** Events after `revision`, oldest first. Throws WindowExceededError. */
  eventsAfter(revision: number): CacheEvent[] {
    if (revision < this.#windowStart) throw new WindowExceededError(revision, this.#windowStart);
    let from = this.#events.length;
    while (from > 0 && (this.#events[from - 1]?.revision ?? 0) > revision) from -= 1;
    return this.#events.slice(from);
  }

  /** Part of the first listing: no event. */
  adopt(entry: CacheEntry): void {
    this.#entries.set(entry.key, entry);
    this.#sortedKeys = undefined;
  }
  /** Watches can begin at `revision`, not before. */
  startWindow(revision: number): void {
    this.#events = [];
    this.#eventBytes = 0;
    this.#windowStart = revision;
  }

  addWatcher(watcher: CacheWatcher): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  /** Returns the event that watchers were told, if the change was one. */
  apply(key: string, next: CacheEntry | undefined, revision: number): CacheEvent | undefined {
    const previous = this.#entries.get(key);
    if (next) {
      this.#entries.set(key, next);
      if (!previous) this.#sortedKeys = undefined;
    } else {
      if (!previous) return undefined;
      this.#entries.delete(key);
      this.#sortedKeys = undefined;
    }
    const event = next
      ? new CacheEvent(previous ? 'MODIFIED' : 'ADDED', next, previous)
      : new CacheEvent('DELETED', tombstone(previous as CacheEntry, revision), previous);
    this.#events.push(event);
    this.#eventBytes += event.entry.sizeBytes;
    if (this.#events.length > EVENT_WINDOW * 1.25 || this.#eventBytes > EVENT_WINDOW_BYTES * 1.25) this.#shrinkWindow();
    for (const watcher of [...this.#watchers]) watcher.onEvent(event);
    return event;
  }

  #shrinkWindow(): void {
    let count = Math.max(0, this.#events.length - EVENT_WINDOW);
    let bytes = this.#eventBytes - this.#events.slice(0, count).reduce((sum, { entry }) => sum + entry.sizeBytes, 0);
    for (; bytes > EVENT_WINDOW_BYTES && count < this.#events.length - 1; count += 1) bytes -= this.#events[count]?.entry.sizeBytes ?? 0;
    const cut = this.#events.splice(0, count);
    this.#eventBytes = bytes;
    this.#windowStart = cut.at(-1)?.revision ?? this.#windowStart;
  }

  /** Takes over a fresh listing; whoever watches has to start again. Returns what changed, as events. */
  replace(entries: readonly CacheEntry[], revision: number): CacheEvent[] {
    const before = new Map(this.#entries);
    const changes: CacheEvent[] = [];
    this.#entries.clear();
    for (const entry of entries) {
      this.#entries.set(entry.key, entry);
      const previous = before.get(entry.key);
      before.delete(entry.key);
      if (previous?.revision !== entry.revision) changes.push(new CacheEvent(previous ? 'MODIFIED' : 'ADDED', entry, previous));
    }
    for (const gone of before.values()) changes.push(new CacheEvent('DELETED', tombstone(gone, revision), gone));
    this.#sortedKeys = undefined;
    this.#events = [];
    this.#eventBytes = 0;
    this.#windowStart = revision;
    for (const watcher of [...this.#watchers]) watcher.onReset();
    return changes;
  }
}

function tombstone(last: CacheEntry, revision: number): CacheEntry {
  return new CacheEntry(last.key, revision, { ...last.object, metadata: { ...last.object.metadata, resourceVersion: String(revision) } });
}

type ChangeListener = (event: CacheEvent) => void;

export class WatchCache {
  readonly #byPrefix = new Map<string, ResourceCache>();
  readonly #listeners = new Map<ResourceCache, Set<ChangeListener>>();
  readonly #waiting = new Set<{ readonly revision: number; readonly resolve: () => void }>();
  /** Kinds whose first listing is under way: what is deleted meanwhile must not come back with it. */
  readonly #loading = new Map<ResourceCache, (key: string) => void>();
  readonly #progressListeners = new Set<(revision: number) => void>();
  readonly #onBadValue: (key: string, error: unknown) => void;
  #revision = 0;
  #isSynced = false;

  constructor(kinds: readonly AnyKind[], onBadValue: (key: string, error: unknown) => void) {
    this.#onBadValue = onBadValue;
    for (const kind of kinds) {
      const stored = storedKind(kind);
      const prefix = keyPrefix(stored);
      if (!this.#byPrefix.has(prefix)) this.#byPrefix.set(prefix, new ResourceCache(stored));
    }
  }

  /** Everything up to this revision is in the cache. */
  get revision(): number {
    return this.#revision;
  }
  get isSynced(): boolean {
    return this.#isSynced;
  }
  get resources(): Iterable<ResourceCache> {
    return this.#byPrefix.values();
  }
  of(kind: AnyKind): ResourceCache {
    const cache = this.#byPrefix.get(keyPrefix(kind));
    if (!cache) throw new Error(`kind ${kind.kind} is not in the watch cache`);
    return cache;
  }

  /** Takes up a kind while running. `load` lists what is stored; events that come meanwhile win. Returns how to let it go. */
  async addKind(kind: AnyKind, load: () => Promise<readonly StoredItem[]>): Promise<() => void> {
    const prefix = keyPrefix(kind);
    const cache = new ResourceCache(kind);
    this.#byPrefix.set(prefix, cache);
    const remove = (): void => {
      if (this.#byPrefix.get(prefix) !== cache) return;
      this.#byPrefix.delete(prefix);
      this.#listeners.delete(cache);
      cache.replace([], this.#revision); // whoever watches has to start again
    };
    const gone = new Set<string>();
    this.#loading.set(cache, (key) => void gone.add(key));
    try {
      for (const item of await load()) {
        if (gone.has(item.key) || cache.get(item.key)) continue;
        const entry = this.entryOf(cache, item);
        if (entry) cache.adopt(entry);
      }
      cache.startWindow(this.#revision);
    } catch (error) {
      remove();
      throw error;
    } finally {
      this.#loading.delete(cache);
    }
    return remove;
  }

  /** The cache that a key belongs to; undefined for what is no object (leases, allocations). */
  #cacheOfKey(key: string): ResourceCache | undefined {
    const first = key.indexOf('/', '/registry/'.length);
    if (first < 0) return undefined;
    const one = this.#byPrefix.get(key.slice(0, first + 1));
    if (one) return one;
    const second = key.indexOf('/', first + 1);
    return second < 0 ? undefined : this.#byPrefix.get(key.slice(0, second + 1));
  }

  entryOf(cache: ResourceCache, item: StoredItem): CacheEntry | undefined {
    const known = cache.get(item.key);
    if (known?.revision === item.modRevision) return known;
    try {
      return new CacheEntry(item.key, item.modRevision, decodeStored(cache.kind, item.value, item.modRevision), item.value.byteLength);
    } catch (error) {
      this.#onBadValue(item.key, error);
      return undefined;
    }
  }

  /** Takes over a listing of everything at one revision. */
  replace(items: readonly StoredItem[], revision: number): void {
    const byCache = new Map<ResourceCache, CacheEntry[]>();
    for (const cache of this.#byPrefix.values()) byCache.set(cache, []);
    for (const item of items) {
      const cache = this.#cacheOfKey(item.key);
      const entry = cache && this.entryOf(cache, item);
      if (cache && entry) byCache.get(cache)?.push(entry);
    }
    this.#revision = revision;
    this.#isSynced = true;
    for (const [cache, entries] of byCache) {
      for (const event of cache.replace(entries, revision)) this.#tell(cache, event);
    }
    this.#wake();
  }

  /** All events up to `revision`, in order. */
  apply(events: readonly StorageEvent[], revision: number): void {
    for (const { key, value, revision: eventRevision } of events) {
      const cache = this.#cacheOfKey(key);
      if (!cache) continue;
      const next = value && this.entryOf(cache, { key, value, modRevision: eventRevision });
      if (!next) this.#loading.get(cache)?.(key);
      const event = cache.apply(key, next, eventRevision);
      if (event) this.#tell(cache, event);
    }
    if (revision > this.#revision) this.#revision = revision;
    this.#wake();
  }

  #tell(cache: ResourceCache, event: CacheEvent): void {
    for (const listener of this.#listeners.get(cache) ?? []) listener(event);
  }

  #wake(): void {
    for (const waiter of [...this.#waiting]) {
      if (waiter.revision > this.#revision) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
    for (const listener of [...this.#progressListeners]) listener(this.#revision);
  }

  /** Tells every change of a kind, across resets too. */
  subscribe(kind: AnyKind, listener: ChangeListener): () => void {
    const cache = this.of(kind);
    const listeners = this.#listeners.get(cache) ?? new Set();
    this.#listeners.set(cache, listeners.add(listener));
    return () => void listeners.delete(listener);
  }
  /** Calls back whenever the cache has got further. */
  onProgress(listener: (revision: number) => void): () => void {
    this.#progressListeners.add(listener);
    return () => void this.#progressListeners.delete(listener);
  }

  /** Resolves when the cache has reached `revision`, rejects when `signal` aborts first. */
  waitFor(revision: number, signal: AbortSignal): Promise<void> {
    if (this.#isSynced && this.#revision >= revision) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.delete(waiter);
        reject(signal.reason as Error);
      };
      const waiter = {
        revision,
        resolve: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      if (signal.aborted) return reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter);
    });
  }
}
