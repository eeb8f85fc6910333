// Takes CustomResourceDefinitions up and down: their kinds are served as soon as the memory holds their objects, and a
// definition that is deleted goes when its last object has.
// Source: apiextensions-apiserver pkg/apiserver/customresource_handler.go, pkg/controller/{status,establish,finalizer}.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { CLEANUP_FINALIZER, customResourceDefinitionKind } from '#lib/kinds/apiextensions/custom-resource-definition.ts';
import { anyKind, type AnyKind } from '#lib/kinds/define-kind.ts';
import { addDefinitions } from '#lib/kinds/openapi/schemas.ts';
import type { CustomResourceDefinition, CustomResourceDefinitionCondition } from '#lib/kinds/types/apiextensions-v1.ts';
import { isConflict, isNotFound } from '#lib/machinery/status-error.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { keyPrefix } from '../core/codec.ts';
import { statusRules } from '../core/lifecycle/write.ts';
import type { ObjectReader } from '../core/object-reader.ts';
import type { Storage } from '../core/storage.ts';
import type { WatchCache } from '../core/watch-cache.ts';
import { asServer } from '../edge/hooks/ensure.ts';
import type { ObjectStore } from '../edge/object-store.ts';
import type { CustomKind } from './custom-kind.ts';

/** Between attempts at what did not work, and at objects that wait for finalizers of their own. */
const RETRY_MS = 1_000;

export interface CustomResourcesOptions {
  readonly objects: ObjectReader;
  readonly cache: WatchCache;
  readonly storage: Storage;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Of the process, as what is remembered by it is. */
let lastSerial = 0;

interface Registered {
  readonly spec: string;
  readonly kinds: readonly CustomKind[];
  readonly forget: () => void;
}

export class CustomResources {
  readonly #options: CustomResourcesOptions;
  readonly #registered = new Map<string, Registered>();
  /** Served kinds by `group/version/plural`. */
  readonly #byPath = new Map<string, AnyKind>();
  readonly #listeners = new Set<() => void>();
  readonly #running = new Map<string, 'once' | 'again'>();
  #store: ObjectStore | undefined;
  #signal: AbortSignal = AbortSignal.abort();

  constructor(options: CustomResourcesOptions) {
    this.#options = options;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }
  kinds(): AnyKind[] {
    return [...this.#byPath.values()];
  }
  /** What is served, with the schemas that clients are shown. */
  types(): { readonly kind: AnyKind; readonly schema: CustomKind['published'] }[] {
    return [...this.#registered.values()].flatMap(({ kinds }) => kinds.filter(({ isServed }) => isServed).map(({ kind, published }) => ({ kind, schema: published })));
  }
  find(apiVersion: string, plural: string): AnyKind | undefined {
    return this.#byPath.get(`${apiVersion}/${plural}`);
  }
  servesGroupVersion(apiVersion: string): boolean {
    return this.kinds().some((kind) => kind.apiVersion === apiVersion);
  }

  start(store: ObjectStore, signal: AbortSignal): void {
    this.#store = store;
    this.#signal = signal;
    const stop = this.#options.objects.subscribe(customResourceDefinitionKind, ({ object }) => this.#wake(object.metadata.name));
    signal.addEventListener('abort', stop, { once: true });
  }

  /** One definition is looked at by one at a time. */
  #wake(name: string): void {
    if (this.#running.has(name)) return void this.#running.set(name, 'again');
    this.#running.set(name, 'once');
    void this.#run(name);
  }
  async #run(name: string): Promise<void> {
    do {
      this.#running.set(name, 'once');
      try {
        await this.#sync(name);
      } catch (error) {
        if (this.#signal.aborted) break;
        if (!isConflict(error)) this.#options.log.warn({ err: error, crd: name }, 'cannot take up a custom resource definition, trying again');
        await this.#options.clock.sleep(RETRY_MS, this.#signal).catch(() => undefined);
        this.#running.set(name, 'again');
      }
    } while (!this.#signal.aborted && this.#running.get(name) === 'again');
    this.#running.delete(name);
  }

  async #sync(name: string): Promise<void> {
    const definition = this.#options.objects.cached(customResourceDefinitionKind, '', name);
    if (!definition) return this.#unregister(name);
    if (definition.metadata.deletionTimestamp !== undefined) return this.#finish(definition);
    const conflict = this.#conflict(definition);
    if (conflict === undefined) await this.#register(definition);
    await this.#report(name, conflict);
  }

  /** Two definitions of a group cannot share a kind or a short name: the first keeps it. */
  #conflict({ metadata, spec }: Readonly<CustomResourceDefinition>): { readonly reason: string; readonly message: string } | undefined {
    const others = this.#options.objects.listCached(customResourceDefinitionKind).filter((one) => one.metadata.name !== metadata.name && one.spec.group === spec.group);
    const accepted = others.map(({ status }) => status?.acceptedNames).filter((names) => names !== undefined);
    const refuse = (reason: string, value: string) => ({ reason, message: `${JSON.stringify(value)} is already in use` });
    const { kind, listKind = '', singular = '', shortNames = [] } = spec.names;
    if (accepted.some((names) => names.kind === kind || names.listKind === kind)) return refuse('KindConflict', kind);
    if (listKind !== '' && accepted.some((names) => names.kind === listKind || names.listKind === listKind)) return refuse('ListKindConflict', listKind);
    const taken = new Set(accepted.flatMap((names) => [names.plural, names.singular ?? '', ...(names.shortNames ?? [])]));
    if (singular !== '' && taken.has(singular)) return refuse('SingularConflict', singular);
    const short = shortNames.find((one) => taken.has(one));
    return short === undefined ? undefined : refuse('ShortNamesConflict', short);
  }

  async #register(definition: Readonly<CustomResourceDefinition>): Promise<void> {
    const { name } = definition.metadata;
    const spec = JSON.stringify(definition.spec);
    if (this.#registered.get(name)?.spec === spec) return;
    const { customKinds } = await import('./custom-kind.ts'); // most clusters have none
    this.#unregister(name);
    const kinds = customKinds(definition, (lastSerial += 1));
    const [first] = kinds;
    if (!first) return;
    const undo = kinds.map(({ schema }) => addDefinitions(schema.definitions, schema.keys));
    const stopCaching = await this.#options.cache.addKind(first.kind, async () => (await this.#options.storage.list(keyPrefix(first.kind))).items);
    const served = kinds.filter(({ isServed }) => isServed).map(({ kind }) => kind);
    for (const kind of served) this.#byPath.set(`${kind.apiVersion}/${kind.plural}`, kind);
    this.#registered.set(name, {
      spec, kinds,
      forget: () => {
        for (const kind of served) this.#byPath.delete(`${kind.apiVersion}/${kind.plural}`);
        stopCaching();
        for (const one of undo) one();
      },
    });
    this.#changed();
  }
  #unregister(name: string): void {
    const known = this.#registered.get(name);
    if (!known) return;
    this.#registered.delete(name);
    known.forget();
    this.#changed();
  }
  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  async #report(name: string, conflict: { readonly reason: string; readonly message: string } | undefined): Promise<void> {
    const now = formatTime(this.#options.clock.nowMs());
    await this.#store?.update({
      kind: anyKind(customResourceDefinitionKind), namespace: '', name, subresource: 'status', rules: statusRules,
      change: (current) => {
        const next = structuredClone(current) as CustomResourceDefinition;
        const status = (next.status ??= {});
        const set = (condition: Omit<CustomResourceDefinitionCondition, 'lastTransitionTime'>): void => {
          const known = status.conditions?.find(({ type }) => type === condition.type);
          const lastTransitionTime = known?.status === condition.status ? known.lastTransitionTime : now;
          const next = { ...condition, lastTransitionTime };
          status.conditions = known ? (status.conditions ?? []).map((one) => (one === known ? next : one)) : [...(status.conditions ?? []), next];
        };
        const wasEstablished = status.conditions?.some(({ type, status: is }) => type === 'Established' && is === 'True') ?? false;
        if (conflict) {
          set({ type: 'NamesAccepted', status: 'False', ...conflict });
          if (!wasEstablished) set({ type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' });
          status.acceptedNames ??= { plural: '', kind: '' };
          return next;
        }
        set({ type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' });
        if (!wasEstablished) set({ type: 'Established', status: 'True', reason: 'InitialNamesAccepted', message: 'the initial names have been accepted' });
        status.acceptedNames = structuredClone(next.spec.names);
        const stored = next.spec.versions.find(({ storage }) => storage)?.name;
        if (stored !== undefined && !status.storedVersions?.includes(stored)) status.storedVersions = [...(status.storedVersions ?? []), stored];
        return next;
      },
    }, asServer).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }

  /** Deletes the objects, waits for those that others hold on to, and lets the definition go. */
  async #finish(definition: Readonly<CustomResourceDefinition>): Promise<void> {
    const { name, finalizers = [] } = definition.metadata;
    if (!finalizers.includes(CLEANUP_FINALIZER) || !this.#store) return;
    await this.#register(definition);
    const stored = this.#registered.get(name)?.kinds[0]?.kind;
    if (stored) {
      const { items } = await this.#options.storage.list(keyPrefix(stored));
      for (const item of items) {
        const [, namespace = '', objectName = ''] = /^(?:(.*)\/)?([^/]+)$/.exec(item.key.slice(keyPrefix(stored).length)) ?? [];
        await this.#store.delete(stored, namespace, objectName, {}, asServer).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
      }
      if ((await this.#options.storage.list(keyPrefix(stored), { limit: 1 })).items.length > 0) {
        await this.#options.clock.sleep(RETRY_MS, this.#signal).catch(() => undefined);
        this.#running.set(name, 'again');
        return;
      }
    }
    await this.#store.update({
      kind: anyKind(customResourceDefinitionKind), namespace: '', name, subresource: '',
      change: (current) => {
        const next = structuredClone(current) as CustomResourceDefinition;
        next.metadata.finalizers = (next.metadata.finalizers ?? []).filter((one) => one !== CLEANUP_FINALIZER);
        return next;
      },
    }, asServer).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
}
