// Read your own writes: after a reconcile has written, its key is not reconciled again before the cache shows those
// writes. A stale cache thus never makes a controller create a second replica or delete a second pod. Nothing of this
// needs to survive a crash: a fresh process starts from a fresh list.
// Source of the idea: expectations of pkg/controller/controller_utils.go, and the stale cache guard of Kubernetes 1.36.
import type { ApiClient, DeleteOptions, NewObject, PatchType } from '#lib/api-client/client.ts';
import type { HttpMethod } from '#lib/api-client/transport.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { kindId, type SharedCache } from './shared-cache.ts';

/** Time after which a write that never showed up in the cache is given up. Milliseconds. Source: ExpectationsTimeout. */
const EXPECTATION_TIMEOUT_MS = 300_000;

interface Expected {
  readonly deadlineMs: number;
  /** Kind to the highest resource version written. */
  readonly versions: Map<string, { readonly kind: Kind<never>; version: number }>;
  /** Objects deleted: gone, replaced or marked as being deleted. */
  readonly deletions: Map<string, { readonly kind: Kind<KubernetesObject>; readonly namespace: string | undefined; readonly name: string; readonly uid: string }>;
}

export class OwnWrites {
  readonly #cache: SharedCache;
  readonly #expected = new Map<string, Expected>();

  constructor(cache: SharedCache) {
    this.#cache = cache;
  }

  wrote(key: string, kind: Kind<never>, object: { readonly metadata?: { readonly resourceVersion?: string | undefined } }, nowMs: number): void {
    const version = Number(object.metadata?.resourceVersion);
    if (!Number.isSafeInteger(version) || !this.#cache.has(kind)) return;
    const { versions } = this.#of(key, nowMs);
    const known = versions.get(kindId(kind));
    if (!known || known.version < version) versions.set(kindId(kind), { kind, version });
  }

  deleted(key: string, kind: Kind<KubernetesObject>, object: { readonly namespace: string | undefined; readonly name: string; readonly uid: string }, nowMs: number): void {
    if (this.#cache.has(kind)) this.#of(key, nowMs).deletions.set(object.uid, { kind, ...object });
  }

  /** Whether the cache has yet to show something that was written for this key. */
  arePending(key: string, nowMs: number): boolean {
    const expected = this.#expected.get(key);
    if (!expected) return false;
    for (const [id, { kind, version }] of expected.versions) {
      if (Number(this.#cache.informer(kind).resourceVersion) >= version) expected.versions.delete(id);
    }
    for (const [uid, { kind, namespace, name }] of expected.deletions) {
      const cached = this.#cache.get(kind, namespace, name);
      if (!cached || cached.metadata.uid !== uid || cached.metadata.deletionTimestamp !== undefined) expected.deletions.delete(uid);
    }
    if (expected.versions.size + expected.deletions.size > 0 && nowMs < expected.deadlineMs) return true;
    this.#expected.delete(key);
    return false;
  }

  #of(key: string, nowMs: number): Expected {
    let expected = this.#expected.get(key);
    if (!expected) {
      expected = { deadlineMs: nowMs + EXPECTATION_TIMEOUT_MS, versions: new Map(), deletions: new Map() };
      this.#expected.set(key, expected);
    }
    return expected;
  }
}

/** The writes of one reconcile: an ApiClient that carries the signal and remembers what was written for the key. */
export class ReconcileApi {
  readonly #client: ApiClient;
  readonly #writes: OwnWrites;
  readonly #key: string;
  readonly #nowMs: () => number;
  readonly #signal: AbortSignal;

  constructor(client: ApiClient, writes: OwnWrites, key: string, nowMs: () => number, signal: AbortSignal) {
    this.#client = client;
    this.#writes = writes;
    this.#key = key;
    this.#nowMs = nowMs;
    this.#signal = signal;
  }

  /** Past the cache, for decisions that must not rest on an old view. */
  getLive<T extends KubernetesObject>(kind: Kind<T>, namespace: string | undefined, name: string): Promise<T> {
    return this.#client.get(kind, namespace, name, { signal: this.#signal });
  }
  async create<T extends KubernetesObject>(kind: Kind<T>, object: NewObject<T>): Promise<T> {
    return this.#wrote(kind, await this.#client.create(kind, object, { signal: this.#signal }));
  }
  async update<T extends KubernetesObject>(kind: Kind<T>, object: T): Promise<T> {
    return this.#wrote(kind, await this.#client.update(kind, object, { signal: this.#signal }));
  }
  async updateStatus<T extends KubernetesObject>(kind: Kind<T>, object: T): Promise<T> {
    return this.#wrote(kind, await this.#client.updateStatus(kind, object, { signal: this.#signal }));
  }
  async patch<T extends KubernetesObject>(kind: Kind<T>, namespace: string | undefined, name: string, patch: unknown, options: { type?: PatchType; subresource?: string } = {}): Promise<T> {
    return this.#wrote(kind, await this.#client.patch(kind, namespace, name, patch, { ...options, signal: this.#signal }));
  }
  /** Deletes this very object, not a later one of the same name. */
  async delete<T extends KubernetesObject>(kind: Kind<T>, object: Readonly<T>, deletion: DeleteOptions = {}): Promise<void> {
    const { namespace, name, uid = '' } = object.metadata;
    await this.#client.delete(kind, namespace, name, { ...deletion, preconditions: { uid, ...deletion.preconditions } }, { signal: this.#signal });
    this.#writes.deleted(this.#key, kind as unknown as Kind<KubernetesObject>, { namespace, name, uid }, this.#nowMs());
  }
  /** Anything else; not remembered. */
  request<R>(method: HttpMethod, path: string, body?: unknown, contentType?: string): Promise<R> {
    return this.#client.request<R>(method, path, body, { signal: this.#signal }, contentType);
  }

  #wrote<T extends KubernetesObject>(kind: Kind<T>, written: T): T {
    this.#writes.wrote(this.#key, kind as unknown as Kind<never>, written, this.#nowMs());
    written.apiVersion ??= kind.apiVersion;
    written.kind ??= kind.kind;
    return written;
  }
}
