// ConfigMaps and Secrets that pods of this node refer to: read when first needed, then watched one by one, as the node
// authorizer demands. Source: pkg/kubelet/util/manager/watch_based_manager.go.
import type { Logger } from 'pino';
import type { ApiClient } from '#lib/api-client/client.ts';
import { Informer } from '#lib/api-client/informer.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { secretKind } from '#lib/kinds/core/secret.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { ConfigMap, Pod, Secret } from '#lib/kinds/types/core-v1.ts';
import { isForbidden, isNotFound } from '#lib/machinery/status-error.ts';
import { withAbort, withDeadline } from '#lib/service/abort.ts';
import { referencesOf, type ReferencedObjects } from '../core/environment-variables.ts';
import { namespaceOf, uidOf } from '../core/pod-spec.ts';
import { VolumeError } from '../core/volume-payload.ts';

/** Longest wait for an object that was never read. Milliseconds. */
const FIRST_READ_MS = 5_000;
/** The server learns of a new pod's references a moment after the pod: a refusal is asked again. Milliseconds. */
const FORBIDDEN_RETRY_MS = 50;

interface Entry {
  readonly informer: Informer<KubernetesObject>;
  readonly stop: AbortController;
  readonly users: Set<string>;
  /** The first answer, until the informer has its own. */
  first: Promise<KubernetesObject | undefined>;
}

export interface ReferencedObjectsOptions extends Environment {
  readonly api: ApiClient;
  /** Tells which pods (by uid) use something that changed. */
  readonly onChange: (podUids: readonly string[]) => void;
  readonly signal: AbortSignal;
}

export class ReferencedObjectStore {
  readonly #options: ReferencedObjectsOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #log: Logger;

  constructor(options: ReferencedObjectsOptions) {
    this.#options = options;
    this.#log = options.log.child({ part: 'referenced-objects' });
  }

  /** All that the pod refers to, as last seen. Throws VolumeError when the server could not be asked. */
  async of(pod: Pod): Promise<ReferencedObjects> {
    const namespace = namespaceOf(pod);
    const { configMaps, secrets } = referencesOf(pod);
    const read = async <T extends KubernetesObject>(kind: Kind<T>, names: Iterable<string>): Promise<Map<string, T | undefined>> =>
      new Map(await Promise.all([...names].map(async (name): Promise<[string, T | undefined]> => [name, await this.#get(kind, namespace, name, uidOf(pod))])));
    const [maps, keys] = await Promise.all([read<ConfigMap>(configMapKind, configMaps), read<Secret>(secretKind, secrets)]);
    return { configMap: (name) => maps.get(name), secret: (name) => keys.get(name) };
  }

  /** The pod needs its objects no more. */
  release(uid: string): void {
    for (const [key, entry] of this.#entries) {
      if (!entry.users.delete(uid) || entry.users.size > 0) continue;
      entry.stop.abort(new Error('no pod refers to it any more'));
      this.#entries.delete(key);
    }
  }

  async #get<T extends KubernetesObject>(kind: Kind<T>, namespace: string, name: string, uid: string): Promise<T | undefined> {
    const key = `${kind.plural}/${namespace}/${name}`;
    const entry = this.#entries.get(key) ?? this.#watchOne(key, kind as unknown as Kind<KubernetesObject>, namespace, name);
    entry.users.add(uid);
    if (entry.informer.hasSynced) return entry.informer.get(namespace, name) as T | undefined;
    try {
      return await entry.first as T | undefined;
    } catch (error) {
      this.#log.debug({ err: error, object: key }, 'cannot read object');
      entry.first = this.#readFirst(kind as unknown as Kind<KubernetesObject>, namespace, name); // for the next attempt
      entry.first.catch(() => undefined);
      if (entry.informer.hasSynced) return entry.informer.get(namespace, name) as T | undefined;
      throw new VolumeError(`failed to sync ${kind.singular} cache: timed out waiting for the condition`);
    }
  }

  #watchOne(key: string, kind: Kind<KubernetesObject>, namespace: string, name: string): Entry {
    const { api, clock, random, signal } = this.#options;
    const stop = new AbortController();
    const informer = new Informer({ api, kind, namespace, fieldSelector: `metadata.name=${name}`, clock, random, log: this.#log });
    const entry: Entry = { informer, stop, users: new Set(), first: this.#readFirst(kind, namespace, name) };
    entry.first.catch(() => undefined); // whoever needs it awaits it
    const changed = (): void => this.#options.onChange([...entry.users]);
    informer.addHandler({ added: changed, updated: changed, deleted: changed });
    void withAbort(signal, (own) => {
      stop.signal.addEventListener('abort', () => own.abort(stop.signal.reason), { once: true });
      return informer.run(own.signal);
    });
    this.#entries.set(key, entry);
    return entry;
  }

  async #readFirst(kind: Kind<KubernetesObject>, namespace: string, name: string): Promise<KubernetesObject | undefined> {
    const { api, clock } = this.#options;
    return withDeadline(FIRST_READ_MS, this.#options.signal, async (signal) => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await api.get(kind, namespace, name, { signal });
        } catch (error) {
          if (isNotFound(error)) return undefined;
          if (!isForbidden(error) || attempt >= 5) throw error;
          await clock.sleep(FORBIDDEN_RETRY_MS * attempt, signal);
        }
      }
    });
  }
}
