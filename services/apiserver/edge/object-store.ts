// Reads and writes objects of any kind: admission, lifecycle rules and optimistic concurrency over storage and watch cache.
// Source: apiserver pkg/registry/generic/registry/store.go, pkg/storage/etcd3/store.go (GuaranteedUpdate).
import { randomUUID } from 'node:crypto';
import type { Clock } from '#lib/environment/clock.ts';
import { randomSuffix, type Random } from '#lib/environment/random.ts';
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { DeleteOptions } from '#lib/kinds/types/meta-v1.ts';
import { sameContent } from '#lib/machinery/deep-equal.ts';
import { alreadyExists, failure, isAlreadyExists, isConflict, notFound, qualifiedResource, StatusError } from '#lib/machinery/status-error.ts';
import type { User } from '../core/access.ts';
import type { Admission, AdmissionAttributes, AdmissionOperation } from '../core/admission/admission.ts';
import { isUnchanged, trackUpdate, type FieldWrite } from '../core/apply/managed-fields.ts';
import { encodeStored, keyOf, keyPrefix, storedKind } from '../core/codec.ts';
import { checkDeletePreconditions, planDelete, shouldDeleteAfterUpdate } from '../core/lifecycle/delete.ts';
import { mainRules, prepareCreate, prepareUpdate, type UpdateRules } from '../core/lifecycle/write.ts';
import { MAX_CREATED_AT_ONCE, type Guard, type Storage, type WriteResult } from '../core/storage.ts';
import { CacheEntry, type WatchCache } from '../core/watch-cache.ts';
import { inWriteSpan } from './spans.ts';

/** Source: apiserver pkg/registry/generic/registry/store.go, maxNameGenerationCreateAttempts. */
const MAX_NAME_ATTEMPTS = 8;
/** Rounds of read, change, write before a contended update is given up. */
const MAX_UPDATE_ROUNDS = 100;
/** For the watch to tell of what has been written. */
const CACHE_WAIT_MS = 5_000;

export interface WriteContext {
  readonly user: User;
  readonly dryRun: boolean;
  /** Who owns what is written, as metadata.managedFields tells it. Default: unknown. */
  readonly fieldManager?: string;
  /** Collects texts for `Warning` headers. */
  readonly warn: (text: string) => void;
}

export interface Reservation {
  /** Gives back what was reserved. */
  readonly release: () => void;
  /** Something was: the write has to know of all that other servers have reserved. */
  readonly guard?: {
    readonly key: string;
    /** As far as the cache knows nobody else has the same. */
    readonly isExclusive: () => boolean;
  };
}

/** What a kind reserves outside the object itself, such as addresses of a Service. */
export interface ReservationHook {
  readonly appliesTo: (kind: AnyKind) => boolean;
  /** After admission, before validation. May change `next`. */
  readonly reserve: (kind: AnyKind, next: KubernetesObject, previous: KubernetesObject | undefined, dryRun: boolean) => Reservation | undefined;
  /** The write has happened; `next` is absent when the object is gone. */
  readonly settle: (kind: AnyKind, next: KubernetesObject | undefined, previous: KubernetesObject | undefined) => void;
}

export interface ObjectStoreOptions {
  readonly storage: Storage;
  readonly cache: WatchCache;
  /** All that are served: an object may be written in one version and owned in another. */
  readonly kinds: readonly AnyKind[];
  readonly admission: Admission;
  readonly reservations?: readonly ReservationHook[];
  readonly clock: Clock;
  readonly random: Random;
  /** Lifetime of events in seconds; other kinds stay. */
  readonly eventTtlSeconds: number;
}

export interface UpdateRequest {
  readonly kind: AnyKind;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  readonly rules?: UpdateRules;
  /** Returns the new object, in `kind`'s version; never changes `current`. Absent `current`: there is none yet (create on update). */
  readonly change: (current: KubernetesObject | undefined) => KubernetesObject | Promise<KubernetesObject>;
  readonly mayCreate?: boolean;
  /** Before an object is created after all; throws Forbidden. */
  readonly checkCreate?: () => Promise<void>;
  /**
   * Whether the store keeps managedFields up to date (the default), `change` has done so, or ownership stays as it is
   * (bindings and the like, where the server writes by itself).
   */
  readonly ownership?: 'tracked' | 'settled';
}

export interface NewOwnObject {
  readonly kind: AnyKind;
  /** With name and namespace; is changed. */
  readonly object: KubernetesObject;
}

export interface Written {
  readonly entry: CacheEntry;
  readonly created: boolean;
}

/** `removed`: gone now; otherwise deletion is under way and `entry` shows how far. */
export interface Deleted {
  readonly removed: boolean;
  readonly entry: CacheEntry;
}

/** What came of one attempt on the current state: an answer, or the state that somebody else has written meanwhile. */
type Attempt<T> =
  | { readonly answer: T; /** Nothing was written, so the answer is as old as the state it rests on. */ readonly isUnwritten?: boolean }
  | { readonly overtakenBy: CacheEntry | undefined };

interface Target {
  readonly kind: AnyKind;
  readonly key: string;
  readonly operation: 'update' | 'delete';
}

export class ObjectStore {
  readonly #options: ObjectStoreOptions;
  readonly #versions = new Map<string, readonly AnyKind[]>();
  /** Of guards, by key: the last write that the cache knows of. */
  readonly #guardRevisions = new Map<string, number>();
  #guardedWrite: Promise<unknown> = Promise.resolve();

  constructor(options: ObjectStoreOptions) {
    this.#options = options;
  }

  /** A consistent read. Throws NotFound. */
  async get(kind: AnyKind, namespace: string, name: string): Promise<CacheEntry> {
    const entry = await this.#read(kind, keyOf(kind, namespace, name), true);
    if (!entry) throw notFound(kind, name);
    return entry.as(kind);
  }

  async #read(kind: AnyKind, key: string, fresh: boolean): Promise<CacheEntry | undefined> {
    const { cache, storage } = this.#options;
    const resource = cache.of(kind);
    const cached = fresh ? undefined : resource.get(key);
    if (cached) return cached;
    const { item } = await storage.get(key);
    if (!item) return undefined;
    const entry = cache.entryOf(resource, item);
    if (!entry) throw failure(500, 'InternalError', `Internal error occurred: StorageError: corrupt object, Key: ${key}`);
    return entry;
  }

  #ttl(kind: AnyKind): { timeToLiveSeconds?: number } {
    return kind.timeToLiveSeconds === undefined ? {} : { timeToLiveSeconds: this.#options.eventTtlSeconds };
  }

  #stored(kind: AnyKind, object: KubernetesObject): KubernetesObject {
    return kind.storedAs ? kind.storedAs.toStored(object) : object;
  }

  #reserve(kind: AnyKind, next: KubernetesObject, previous: KubernetesObject | undefined, dryRun: boolean): Reservation {
    const hook = this.#hookOf(kind);
    return hook?.reserve(kind, next, previous, dryRun) ?? NOTHING_RESERVED;
  }

  #hookOf(kind: AnyKind): ReservationHook | undefined {
    return this.#options.reservations?.find(({ appliesTo }) => appliesTo(kind));
  }

  /**
   * Writes what reserves something, one write after the other. 'taken': another server was first to reserve the same. When it has
   * reserved anything that the cache does not show yet, that is waited for.
   */
  #guarded({ guard }: Reservation, write: (guard?: Guard) => Promise<WriteResult>): Promise<WriteResult | 'taken'> {
    if (guard === undefined) return write();
    const run = async (): Promise<WriteResult | 'taken'> => {
      for (let round = 0; round < MAX_UPDATE_ROUNDS; round += 1) {
        if (!guard.isExclusive()) return 'taken';
        const result = await write({ key: guard.key, expectedRevision: this.#guardRevisions.get(guard.key) ?? 0 });
        if (result.succeeded) this.#guardRevisions.set(guard.key, result.revision);
        else if (result.guardRevision !== undefined) {
          await this.#options.cache.waitFor(result.guardRevision, AbortSignal.timeout(CACHE_WAIT_MS));
          this.#guardRevisions.set(guard.key, result.guardRevision);
          continue;
        }
        return result;
      }
      return 'taken';
    };
    const written = this.#guardedWrite.then(run, run);
    this.#guardedWrite = written.catch(() => undefined);
    return written;
  }

  #settle(kind: AnyKind, next: KubernetesObject | undefined, previous: KubernetesObject | undefined): void {
    for (const hook of this.#options.reservations ?? []) hook.settle(kind, next, previous);
  }

  /** `object` is changed. Throws AlreadyExists, Invalid and whatever admission says. */
  async create(kind: AnyKind, namespace: string, object: KubernetesObject, context: WriteContext, ownership: UpdateRequest['ownership'] = 'tracked'): Promise<CacheEntry> {
    const { admission, clock, random, storage } = this.#options;
    if (ownership === 'tracked') trackUpdate(undefined, object, this.fieldWrite(kind, '', context));
    const attributes = attributesOf('CREATE', { kind, subresource: '', namespace, name: object.metadata.name ?? '', object }, context);
    await admission.admit(attributes);
    const generates = !object.metadata.name && Boolean(object.metadata.generateName);
    const mayRepeat = generates || this.#hookOf(kind) !== undefined;
    for (let attempt = 1; ; attempt += 1) {
      const candidate = mayRepeat ? structuredClone(object) : object;
      const reservation = this.#reserve(kind, candidate, undefined, context.dryRun);
      try {
        prepareCreate(kind, candidate, { namespace, nowMs: clock.nowMs(), uid: randomUUID(), suffix: randomSuffix(random, 5) });
        await admission.validate({ ...attributes, object: candidate });
        kind.warnings?.(candidate).forEach(context.warn);
        const { name } = candidate.metadata;
        const key = keyOf(kind, namespace, name);
        const stored = this.#stored(kind, candidate);
        if (context.dryRun) {
          if ((await storage.get(key)).item) throw alreadyExists(kind, name);
          return new CacheEntry(key, 0, candidate);
        }
        const result = await this.#guarded(reservation, (guard) => inWriteSpan({ name: 'Create etcd3', kind, next: candidate, previous: undefined },
          () => storage.create(key, encodeStored(stored), { ...this.#ttl(storedKind(kind)), ...(guard ? { guard } : {}) })));
        if (result !== 'taken' && result.succeeded) {
          this.#settle(kind, candidate, undefined);
          stored.metadata.resourceVersion = String(result.revision);
          return new CacheEntry(key, result.revision, stored).as(kind);
        }
        if (result !== 'taken' && !generates) throw alreadyExists(kind, name);
        if (result !== 'taken' && attempt >= MAX_NAME_ATTEMPTS) throw nameNotUnique(kind, name);
        if (attempt === MAX_UPDATE_ROUNDS) throw overtaken(kind, 'create');
      } catch (error) {
        reservation.release();
        throw error;
      }
      reservation.release();
    }
  }

  /**
   * Creates many objects of the server's own in few writes, before anybody watches: they share revisions, which whoever
   * resumes a watch could not tell apart. Kinds that reserve something are not for it. A status that is given stays.
   * False: some were there already, and not all have been created. Throws as `create` does.
   */
  async createAll(wanted: readonly NewOwnObject[], context: WriteContext): Promise<boolean> {
    const { admission, clock, cache, storage } = this.#options;
    const items: { key: string; value: Uint8Array }[] = [];
    for (const { kind, object } of wanted) {
      const { name, namespace = '' } = object.metadata;
      const { status } = object as { status?: unknown };
      kind.applyDefaults?.(object);
      trackUpdate(undefined, object, this.fieldWrite(kind, '', context));
      const attributes = attributesOf('CREATE', { kind, subresource: '', namespace, name, object }, context);
      await admission.admit(attributes);
      prepareCreate(kind, object, { namespace, nowMs: clock.nowMs(), uid: randomUUID(), suffix: '' });
      await admission.validate(attributes);
      items.push({ key: keyOf(kind, namespace, name), value: encodeStored(this.#stored(kind, status === undefined ? object : { ...object, status } as KubernetesObject)) });
    }
    for (let from = 0; from < items.length; from += MAX_CREATED_AT_ONCE) {
      const { succeeded, revision } = await storage.createAll(items.slice(from, from + MAX_CREATED_AT_ONCE));
      if (!succeeded) return false;
      await cache.waitFor(revision, AbortSignal.timeout(CACHE_WAIT_MS));
    }
    return true;
  }

  /** What ownership of fields has to know about a write. */
  fieldWrite(kind: AnyKind, subresource: string, { fieldManager = '' }: WriteContext): FieldWrite {
    return { kind, subresource, versions: this.#versionsOf(kind), manager: fieldManager, nowMs: this.#options.clock.nowMs() };
  }

  /** Of custom resources, which come and go, the stored version besides the kind's own. */
  #versionsOf(kind: AnyKind): readonly AnyKind[] {
    if (kind.isCustom) return kind.storedAs ? [kind, kind.storedAs.kind as unknown as AnyKind] : [kind];
    const prefix = keyPrefix(kind);
    let versions = this.#versions.get(prefix);
    if (!versions) this.#versions.set(prefix, (versions = this.#options.kinds.filter((one) => keyPrefix(one) === prefix)));
    if (versions.length === 0) return kind.storedAs ? [kind.storedAs.kind, kind] : [kind]; // a custom resource
    return versions;
  }

  /**
   * Tries on what the cache remembers, and again on what is stored as long as that is something else. An answer without
   * a write, and a refusal that `isFinal` does not hold for, count only on what is really stored.
   */
  async #onCurrent<T>({ kind, key, operation }: Target, attempt: (current: CacheEntry | undefined) => Promise<Attempt<T>>, isFinal: (error: unknown) => boolean): Promise<T> {
    let isFresh = false;
    let current = await this.#read(kind, key, false);
    for (let round = 0; round < MAX_UPDATE_ROUNDS; round += 1) {
      if (!current && !isFresh) {
        isFresh = true;
        current = await this.#read(kind, key, true);
      }
      let settle: () => T;
      try {
        const result = await attempt(current);
        if ('overtakenBy' in result) {
          [current, isFresh] = [result.overtakenBy, true];
          continue;
        }
        const { answer, isUnwritten = false } = result;
        if (isFresh || !isUnwritten) return answer;
        settle = () => answer;
      } catch (error) {
        if (isFresh || isFinal(error)) throw error;
        settle = () => {
          throw error;
        };
      }
      const latest = await this.#read(kind, key, true);
      if (latest?.revision === current?.revision) return settle();
      [current, isFresh] = [latest, true];
    }
    throw overtaken(kind, operation);
  }

  /** Throws NotFound, Conflict, Invalid and whatever admission and `change` say. */
  update(request: UpdateRequest, context: WriteContext): Promise<Written> {
    const { kind, namespace, name } = request;
    const key = keyOf(kind, namespace, name);
    const attempt = (base: CacheEntry | undefined): Promise<Attempt<Written>> =>
      base ? this.#updateFrom(base, request, context) : this.#createInstead(key, request, context);
    return this.#onCurrent({ kind, key, operation: 'update' }, attempt, (error) => !(error instanceof StatusError));
  }

  async #createInstead(key: string, { kind, namespace, name, change, mayCreate, checkCreate, ownership }: UpdateRequest, context: WriteContext): Promise<Attempt<Written>> {
    if (!mayCreate) throw notFound(kind, name);
    await checkCreate?.();
    const object = await change(undefined);
    checkIdentity(kind, object, { namespace, name });
    try {
      return { answer: { entry: await this.create(kind, namespace, object, context, ownership), created: true } };
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const current = await this.#read(kind, key, true);
      if (!current) throw error;
      return { overtakenBy: current };
    }
  }

  async #updateFrom(base: CacheEntry, request: UpdateRequest, context: WriteContext): Promise<Attempt<Written>> {
    const { kind, namespace, name, subresource, rules = mainRules, change, ownership = 'tracked' } = request;
    const { admission, storage } = this.#options;
    const { key } = base;
    const view = base.as(kind).object;
    const next = await change(view);
    if (next.metadata === view.metadata) next.metadata = { ...next.metadata }; // what is stored stays as it is
    checkIdentity(kind, next, { namespace, name });
    if (ownership === 'tracked') trackUpdate(view, next, this.fieldWrite(kind, subresource, context));
    const attributes = attributesOf('UPDATE', { kind, subresource, namespace, name, object: next, previous: view }, context);
    await admission.admit(attributes);
    const reservation = this.#reserve(kind, next, view, context.dryRun);
    let isSettled = false;
    try {
      prepareUpdate(kind, next, view, rules);
      await admission.validate(attributes);
      kind.warnings?.(next, view).forEach(context.warn);
      const updated: Attempt<Written> = { answer: { entry: new CacheEntry(key, base.revision, next), created: false } };
      if (isFinished(kind, next, view)) {
        if (context.dryRun) return updated;
        const result = await inWriteSpan({ name: 'Delete etcd3', kind, next: undefined, previous: view }, () => storage.delete(key, { expectedRevision: base.revision }));
        if (!result.succeeded) return { overtakenBy: this.#current(kind, result.current) };
        isSettled = true;
        this.#settle(kind, undefined, view);
        return updated;
      }
      if (isUnchanged(next, view, sameContent)) return { answer: { entry: base.as(kind), created: false }, isUnwritten: !context.dryRun };
      if (context.dryRun) return updated;
      const stored = this.#stored(kind, next);
      const result = await this.#guarded(reservation, (guard) => inWriteSpan({ name: 'GuaranteedUpdate etcd3', kind, next, previous: view },
        () => storage.update(key, encodeStored(stored), { expectedRevision: base.revision, ...this.#ttl(storedKind(kind)), ...(guard ? { guard } : {}) })));
      if (result === 'taken') return { overtakenBy: base };
      if (!result.succeeded) return { overtakenBy: this.#current(kind, result.current) };
      isSettled = true;
      this.#settle(kind, next, view);
      stored.metadata.resourceVersion = String(result.revision);
      return { answer: { entry: new CacheEntry(key, result.revision, stored).as(kind), created: false } };
    } finally {
      if (!isSettled) reservation.release();
    }
  }

  #current(kind: AnyKind, item: { key: string; value: Uint8Array; modRevision: number } | undefined): CacheEntry | undefined {
    const { cache } = this.#options;
    return item && cache.entryOf(cache.of(kind), item);
  }

  /** Throws NotFound, Conflict (preconditions) and whatever admission says. */
  delete(kind: AnyKind, namespace: string, name: string, options: DeleteOptions, context: WriteContext): Promise<Deleted> {
    const { admission, clock, storage } = this.#options;
    const key = keyOf(kind, namespace, name);
    const plansOf = kind.kind === 'Namespace' && kind.group === '' ? planNamespaceDelete : planDelete;
    const attempt = async (base: CacheEntry | undefined): Promise<Attempt<Deleted>> => {
      if (!base) throw notFound(kind, name);
      const view = base.as(kind).object;
      await admission.validate(attributesOf('DELETE', { kind, subresource: '', namespace, name, previous: view }, context));
      const plan = plansOf(kind, view, options, clock.nowMs());
      if (plan.action === 'keep') return { answer: { removed: false, entry: base.as(kind) } };
      if (plan.action === 'remove') {
        if (context.dryRun) return { answer: { removed: true, entry: base.as(kind) } };
        const result = await inWriteSpan({ name: 'Delete etcd3', kind, next: undefined, previous: view }, () => storage.delete(key, { expectedRevision: base.revision }));
        if (!result.succeeded) return { overtakenBy: this.#current(kind, result.current) };
        this.#settle(kind, undefined, view);
        return { answer: { removed: true, entry: base.as(kind) } };
      }
      if (context.dryRun) return { answer: { removed: false, entry: new CacheEntry(key, base.revision, plan.object) } };
      const stored = this.#stored(kind, plan.object);
      const result = await inWriteSpan({ name: 'GuaranteedUpdate etcd3', kind, next: plan.object, previous: view },
        () => storage.update(key, encodeStored(stored), { expectedRevision: base.revision, ...this.#ttl(storedKind(kind)) }));
      if (!result.succeeded) return { overtakenBy: this.#current(kind, result.current) };
      const marked = { ...stored, metadata: { ...stored.metadata, resourceVersion: String(result.revision) } };
      return { answer: { removed: false, entry: new CacheEntry(key, result.revision, marked).as(kind) } };
    };
    return this.#onCurrent({ kind, key, operation: 'delete' }, attempt, (error) => !isConflict(error));
  }
}

function attributesOf(operation: AdmissionOperation, what: Omit<AdmissionAttributes, 'operation' | 'user' | 'dryRun' | 'warn'>, { user, dryRun, warn }: WriteContext): AdmissionAttributes {
  return { operation, ...what, user, dryRun, warn };
}

const NOTHING_RESERVED: Reservation = { release: () => undefined };

const overtaken = (kind: AnyKind, operation: 'create' | 'update' | 'delete'): StatusError =>
  failure(500, 'ServerTimeout', `The ${operation} operation against ${qualifiedResource(kind)} could not be completed at this time, please try again.`);

function nameNotUnique(kind: AnyKind, name: string): StatusError {
  const { status } = alreadyExists(kind, name);
  return failure(409, 'AlreadyExists', `${status.message ?? ''}, the server was not able to generate a unique name for the object`, { ...status.details, retryAfterSeconds: 1 });
}

function checkIdentity(kind: AnyKind, { metadata }: KubernetesObject, { namespace, name }: { namespace: string; name: string }): void {
  if (!metadata.name) metadata.name = name;
  if (metadata.name !== name) throw failure(400, 'BadRequest', `the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
  if (!kind.namespaced) return void delete metadata.namespace;
  if (!metadata.namespace) metadata.namespace = namespace;
  if (metadata.namespace !== namespace) {
    throw failure(400, 'BadRequest', `the namespace of the object (${metadata.namespace}) does not match the namespace on the request (${namespace})`);
  }
}

type NamespaceLike = KubernetesObject & { spec?: { finalizers?: string[] | undefined }; status?: { phase?: string | undefined } };

/** A namespace goes when the namespace controller has taken its own finalizer off the spec. */
function planNamespaceDelete(kind: AnyKind, object: KubernetesObject, options: DeleteOptions, nowMs: number): ReturnType<typeof planDelete> {
  const namespace = object as NamespaceLike;
  checkDeletePreconditions(kind, namespace, options);
  if ((namespace.spec?.finalizers ?? []).length === 0) return planDelete(kind, namespace, options, nowMs);
  if (namespace.metadata.deletionTimestamp !== undefined) return { action: 'keep' };
  const marked = {
    ...namespace,
    metadata: { ...namespace.metadata, deletionTimestamp: new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z') },
    status: { ...namespace.status, phase: 'Terminating' },
  };
  return { action: 'mark', object: marked };
}

function isFinished(kind: AnyKind, next: KubernetesObject, previous: KubernetesObject): boolean {
  if (!shouldDeleteAfterUpdate(next, previous)) return false;
  return kind.kind !== 'Namespace' || kind.group !== '' || ((next as NamespaceLike).spec?.finalizers ?? []).length === 0;
}
