// All that a process's controllers know of the cluster: one informer per kind, shared, with an index by owner.
import type { Logger } from 'pino';
import type { ApiClient } from '#lib/api-client/client.ts';
import { Informer } from '#lib/api-client/informer.ts';
import type { Clock } from '#lib/environment/clock.ts';
import type { Random } from '#lib/environment/random.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { controllerOf } from '#lib/machinery/controller-ref.ts';

export interface SharedCacheOptions {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** What controllers may read. Objects are shared with everybody: copy before changing one. */
export interface CacheReader {
  get<T extends KubernetesObject>(kind: Kind<T>, namespace: string | undefined, name: string): Readonly<T> | undefined;
  list<T extends KubernetesObject>(kind: Kind<T>, namespace?: string): Readonly<T>[];
  /** Objects whose controller reference carries the owner's uid. */
  ownedBy<T extends KubernetesObject>(owner: Readonly<KubernetesObject>, kind: Kind<T>): Readonly<T>[];
  /** Objects of a namespace that nobody manages: candidates for adoption. */
  orphans<T extends KubernetesObject>(kind: Kind<T>, namespace: string): Readonly<T>[];
  /** An index that a controller declared. */
  byIndex<T extends KubernetesObject>(kind: Kind<T>, index: string, value: string): Readonly<T>[];
}

const FIRST_LISTS_AT_ONCE = 6;
const FIRST_LIST_PATIENCE_MS = 1_000;
const CONTROLLER_UID = 'controller-uid';
const ORPHAN_NAMESPACE = 'orphan-namespace';

export const kindId = ({ apiVersion, plural }: { readonly apiVersion: string; readonly plural: string }): string => `${apiVersion}/${plural}`;

export class SharedCache implements CacheReader {
  readonly #options: SharedCacheOptions;
  readonly #informers = new Map<string, Informer<KubernetesObject>>();
  readonly #indexNames = new Set<string>();

  constructor(options: SharedCacheOptions) {
    this.#options = options;
  }

  /** The informer of a kind; it is made at the first request and runs once `run` was called. */
  informer<T extends KubernetesObject>(kind: Kind<T>): Informer<T> {
    const id = kindId(kind);
    let informer = this.#informers.get(id) as Informer<T> | undefined;
    if (!informer) {
      informer = new Informer<T>({ ...this.#options, kind, transform: withoutManagedFields })
        .addIndex(CONTROLLER_UID, (object) => {
          const owner = controllerOf(object);
          return owner ? [owner.uid] : [];
        })
        .addIndex(ORPHAN_NAMESPACE, (object) => (controllerOf(object) ? [] : [object.metadata.namespace ?? '']));
      this.#informers.set(id, informer as unknown as Informer<KubernetesObject>);
    }
    return informer;
  }

  /** Declares an index once, whoever asks; before `run`. */
  addIndex<T extends KubernetesObject>(kind: Kind<T>, index: string, keysOf: (object: T) => readonly string[]): void {
    const id = `${kindId(kind)} ${index}`;
    if (this.#indexNames.has(id)) return;
    this.#indexNames.add(id);
    this.informer(kind).addIndex(index, keysOf);
  }

  has(kind: { readonly apiVersion: string; readonly plural: string }): boolean {
    return this.#informers.has(kindId(kind));
  }

  get<T extends KubernetesObject>(kind: Kind<T>, namespace: string | undefined, name: string): Readonly<T> | undefined {
    return this.#existing(kind).get(namespace, name);
  }
  list<T extends KubernetesObject>(kind: Kind<T>, namespace?: string): Readonly<T>[] {
    return this.#existing(kind).list(namespace);
  }
  ownedBy<T extends KubernetesObject>(owner: Readonly<KubernetesObject>, kind: Kind<T>): Readonly<T>[] {
    return this.#existing(kind).byIndex(CONTROLLER_UID, owner.metadata.uid ?? '');
  }
  orphans<T extends KubernetesObject>(kind: Kind<T>, namespace: string): Readonly<T>[] {
    return this.#existing(kind).byIndex(ORPHAN_NAMESPACE, namespace);
  }
  byIndex<T extends KubernetesObject>(kind: Kind<T>, index: string, value: string): Readonly<T>[] {
    return this.#existing(kind).byIndex(index, value);
  }

  /** A kind that no controller declared has no informer: reading it would silently find nothing. */
  #existing<T extends KubernetesObject>(kind: Kind<T>): Informer<T> {
    const informer = this.#informers.get(kindId(kind));
    if (!informer) throw new Error(`no controller has declared that it reads ${kindId(kind)}`);
    return informer as unknown as Informer<T>;
  }

  /** Keeps all informers asked for so far running until the signal aborts. Those asked for first are started first. */
  async run(signal: AbortSignal): Promise<void> {
    await runInformers([...this.#informers.values()], { atOnce: FIRST_LISTS_AT_ONCE, clock: this.#options.clock, signal });
  }
}

/**
 * Runs informers, but lets only so many wait for their first list at once: connections and lists cost both sides
 * processor time, and what is needed first should not stand in line with everything else.
 */
export async function runInformers(informers: readonly Informer<KubernetesObject>[], { atOnce, clock, signal }: { readonly atOnce: number; readonly clock: Clock; readonly signal: AbortSignal }): Promise<void> {
  const running: Promise<void>[] = [];
  const waiting = [...informers];
  const starter = async (): Promise<void> => {
    for (let informer = waiting.shift(); informer && !signal.aborted; informer = waiting.shift()) {
      running.push(informer.run(signal));
      const patience = new AbortController();
      const limit = AbortSignal.any([signal, patience.signal]);
      // A kind that is not served must not keep the others waiting.
      await Promise.race([informer.synced(limit).catch(() => undefined), clock.sleep(FIRST_LIST_PATIENCE_MS, limit).catch(() => undefined)]);
      patience.abort();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, starter));
  await Promise.all(running);
}

/** Managed fields are the larger half of many objects, and no controller reads them. */
function withoutManagedFields<T extends KubernetesObject>(object: T): T {
  delete object.metadata.managedFields;
  return object;
}
