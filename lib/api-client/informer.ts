// A local copy of a selection of objects, kept up to date by list and watch. Handlers only learn that something
// changed; the store is what to act on. Source of the behaviour: client-go tools/cache (Reflector, SharedInformer).
import type { Logger } from 'pino';
import { steadily, type Clock } from '#lib/environment/clock.ts';
import { jitterMs, type Random } from '#lib/environment/random.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { isExpired, StatusError } from '#lib/machinery/status-error.ts';
import { TransportError, type ApiClient } from './client.ts';

export interface InformerHandler<T> {
  readonly added?: (object: T) => void;
  readonly updated?: (next: T, previous: T) => void;
  readonly deleted?: (object: T) => void;
}

export interface InformerOptions<T extends KubernetesObject> {
  readonly api: ApiClient;
  readonly kind: Kind<T>;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Drops what is not needed before an object is kept, to save memory. Default: managedFields go, as in upstream's components. */
  readonly transform?: (object: T) => T;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** First and longest wait between failed attempts; milliseconds. Source: client-go reflector.go. */
const BACKOFF_FIRST_MS = 800;
const BACKOFF_LONGEST_MS = 30_000;
/**
 * A watch that held for so long counts as one that worked, and the back-off starts anew; milliseconds. client-go forgets after two minutes
 * without a failure: there, who kills API servers every few seconds waits up to a minute for a component to come back.
 */
const LONG_ENOUGH_MS = 1_000;
const PAGE_SIZE = 500;

/** `namespace/name`, or `name` for cluster-scoped objects. */
export function keyOf({ metadata: { namespace, name } }: KubernetesObject): string {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}
export function splitKey(key: string): { namespace: string; name: string } {
  const at = key.indexOf('/');
  return at < 0 ? { namespace: '', name: key } : { namespace: key.slice(0, at), name: key.slice(at + 1) };
}

function withoutManagedFields<T extends KubernetesObject>(object: T): T {
  delete object.metadata.managedFields;
  return object;
}

export class Informer<T extends KubernetesObject> {
  readonly kind: Kind<T>;
  readonly #options: InformerOptions<T>;
  readonly #objects = new Map<string, T>();
  readonly #handlers: InformerHandler<T>[] = [];
  readonly #indexes = new Map<string, { keysOf: (object: T) => readonly string[]; entries: Map<string, Set<string>> }>();
  #resourceVersion = '';
  #hasSynced = false;
  #waiters: (() => void)[] = [];

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.kind = options.kind;
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }
  /** The version of the last event or list seen. */
  get resourceVersion(): string {
    return this.#resourceVersion;
  }
  get size(): number {
    return this.#objects.size;
  }

  /** Resolves when the first list is in the store; rejects when the signal aborts. */
  synced(signal?: AbortSignal): Promise<void> {
    if (this.#hasSynced) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push(resolve);
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  }

  /** Objects of the store are shared: copy before changing one. */
  get(namespace: string | undefined, name: string): T | undefined {
    return this.#objects.get(namespace === undefined || namespace === '' ? name : `${namespace}/${name}`);
  }
  getByKey(key: string): T | undefined {
    return this.#objects.get(key);
  }
  list(namespace?: string): T[] {
    const all = [...this.#objects.values()];
    return namespace === undefined || namespace === '' ? all : all.filter((object) => object.metadata.namespace === namespace);
  }

  /** Declare before `run`. `keysOf` gives the index values of an object. */
  addIndex(index: string, keysOf: (object: T) => readonly string[]): this {
    this.#indexes.set(index, { keysOf, entries: new Map() });
    return this;
  }
  byIndex(index: string, value: string): T[] {
    const keys = this.#indexes.get(index)?.entries.get(value);
    return keys ? [...keys].flatMap((key) => this.#objects.get(key) ?? []) : [];
  }

  /** A handler added later hears of everything already in the store. */
  addHandler(handler: InformerHandler<T>): this {
    this.#handlers.push(handler);
    for (const object of this.#objects.values()) handler.added?.(object);
    return this;
  }

  /** Lists and watches until the signal aborts; retries for ever with back-off. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#options;
    const steady = steadily(clock);
    let backoffMs = BACKOFF_FIRST_MS;
    let needsList = true;
    while (!signal.aborted) {
      let openedMs: number | undefined;
      const hasHeld = (): boolean => openedMs !== undefined && steady.nowMs() - openedMs > LONG_ENOUGH_MS;
      try {
        if (needsList) {
          await this.#list(signal);
          needsList = false;
        }
        await this.#watch(signal, () => {
          openedMs = steady.nowMs();
        });
        backoffMs = BACKOFF_FIRST_MS;
        if (hasHeld()) continue; // the server ended a watch in good order: go on at once
      } catch (error) {
        if (signal.aborted) return;
        if (isExpired(error)) {
          log.debug({ kind: this.kind.kind }, 'watch position is too old, listing again');
          needsList = true;
          if (hasHeld()) continue;
          // A server that finds everything too old at once is not asked without end.
        } else if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
        if (error instanceof StatusError && error.code < 500) needsList = true;
        log.debug({ kind: this.kind.kind, err: error }, 'list or watch failed, trying again');
        if (hasHeld()) backoffMs = BACKOFF_FIRST_MS;
      }
      await clock.sleep(jitterMs(random, backoffMs, 1), signal).catch(() => undefined);
      backoffMs = Math.min(backoffMs * 2, BACKOFF_LONGEST_MS);
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { api, kind, namespace, labelSelector, fieldSelector } = this.#options;
    const listed = new Map<string, T>();
    let resourceVersion = '';
    let position: string | undefined;
    do {
      const page = await api.list(kind, {
        namespace, labelSelector, fieldSelector,
        // At first whatever the server has in memory will do. Later nothing may go back in time: a server that lags behind has to catch up.
        ...(position !== undefined ? { limit: PAGE_SIZE, continue: position } : this.#hasSynced ? {} : { resourceVersion: '0' }),
      }, { signal });
      for (const object of page.items) listed.set(keyOf(object), this.#prepared(object));
      ({ resourceVersion } = page);
      position = page.continue === '' ? undefined : page.continue;
    } while (position !== undefined);
    for (const key of [...this.#objects.keys()]) if (!listed.has(key)) this.#remove(key);
    for (const [key, object] of listed) this.#put(key, object);
    this.#resourceVersion = resourceVersion;
    this.#hasSynced = true;
    for (const wake of this.#waiters.splice(0)) wake();
  }

  async #watch(signal: AbortSignal, onOpen: () => void): Promise<void> {
    const { api, kind, namespace, labelSelector, fieldSelector, random } = this.#options;
    const timeoutSeconds = Math.floor(jitterMs(random, 300, 1)); // Source: client-go: 5 to 10 minutes
    for await (const { type, object } of api.watch(kind, { namespace, labelSelector, fieldSelector, resourceVersion: this.#resourceVersion, timeoutSeconds, signal, onOpen })) {
      if (type === 'DELETED') this.#remove(keyOf(object), this.#prepared(object));
      else if (type !== 'BOOKMARK') this.#put(keyOf(object), this.#prepared(object));
      this.#resourceVersion = object.metadata.resourceVersion ?? this.#resourceVersion;
    }
  }

  #prepared(object: T): T {
    const { kind, transform = withoutManagedFields } = this.#options;
    object.apiVersion ??= kind.apiVersion;
    object.kind ??= kind.kind;
    return transform(object);
  }

  #put(key: string, next: T): void {
    const previous = this.#objects.get(key);
    if (previous && previous.metadata.resourceVersion === next.metadata.resourceVersion && previous.metadata.uid === next.metadata.uid) return;
    if (previous) this.#unindex(key, previous);
    this.#objects.set(key, next);
    for (const { keysOf, entries } of this.#indexes.values()) {
      for (const value of keysOf(next)) entries.set(value, (entries.get(value) ?? new Set()).add(key));
    }
    const isReplaced = previous !== undefined && previous.metadata.uid !== next.metadata.uid;
    for (const handler of this.#handlers) {
      if (isReplaced) handler.deleted?.(previous);
      if (previous && !isReplaced) handler.updated?.(next, previous);
      else handler.added?.(next);
    }
  }

  #remove(key: string, last?: T): void {
    const previous = this.#objects.get(key);
    if (!previous) return;
    this.#unindex(key, previous);
    this.#objects.delete(key);
    for (const handler of this.#handlers) handler.deleted?.(last ?? previous);
  }

  #unindex(key: string, object: T): void {
    for (const { keysOf, entries } of this.#indexes.values()) {
      for (const value of keysOf(object)) {
        const keys = entries.get(value);
        keys?.delete(key);
        if (keys?.size === 0) entries.delete(value);
      }
    }
  }
}
