// The informers of volumes, claims and classes. Most clusters start without a pod that has any: they run from the first
// one on, and such pods are held back until they have synced.
import { Informer } from '#lib/api-client/informer.ts';
import type { ApiClient } from '#lib/api-client/client.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { persistentVolumeClaimKind } from '#lib/kinds/core/persistent-volume-claim.ts';
import { persistentVolumeKind } from '#lib/kinds/core/persistent-volume.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { csiNodeKind } from '#lib/kinds/storage/csi-node.ts';
import { storageClassKind } from '#lib/kinds/storage/storage-class.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { claimsOfPod } from '#lib/machinery/volume-binding.ts';
import type { ClusterEvent } from '../core/framework.ts';
import { AssumedStorage } from '../core/storage.ts';

export interface StorageWatchOptions {
  readonly api: ApiClient;
  readonly environment: Environment;
  /** `concerns` undefined: any pod. */
  readonly notify: (event: ClusterEvent, concerns?: (pod: Pod) => boolean) => void;
}

export class StorageWatch {
  readonly #claims: ReturnType<typeof informers>['claims'];
  readonly #volumes: ReturnType<typeof informers>['volumes'];
  readonly #all: readonly Informer<KubernetesObject>[];
  readonly assumed: AssumedStorage;
  readonly #waiters = new Set<() => void>();
  #isWanted = false;
  #start: () => void = () => undefined;
  #hasSynced = false;

  constructor(options: StorageWatchOptions) {
    const { claims, volumes, classes, csiNodes } = informers(options);
    this.#claims = claims;
    this.#volumes = volumes;
    this.#all = [claims, volumes, classes, csiNodes] as unknown as readonly Informer<KubernetesObject>[];
    this.assumed = new AssumedStorage({
      claim: (namespace, name) => claims.get(namespace, name),
      volume: (name) => volumes.get(undefined, name),
      volumes: () => volumes.list(),
      storageClass: (name) => classes.get(undefined, name),
      csiNode: (name) => csiNodes.get(undefined, name),
    });
    const { notify } = options;
    const wakes = (resource: 'PersistentVolume' | 'StorageClass' | 'CSINode') => ({ added: () => notify(`${resource}/Add`), updated: () => notify(`${resource}/Update`) });
    volumes.addHandler(wakes('PersistentVolume'));
    classes.addHandler(wakes('StorageClass'));
    csiNodes.addHandler(wakes('CSINode'));
    const isClaimOf = ({ metadata }: KubernetesObject) => (pod: Pod): boolean => pod.metadata.namespace === metadata.namespace && claimsOfPod(pod).some(({ claimName }) => claimName === metadata.name);
    claims.addHandler({ added: (claim) => notify('PersistentVolumeClaim/Add', isClaimOf(claim)), updated: (claim) => notify('PersistentVolumeClaim/Update', isClaimOf(claim)) });
    const wakeWaiters = (): void => {
      for (const wake of this.#waiters) wake();
    };
    for (const informer of [claims, volumes]) (informer as unknown as Informer<KubernetesObject>).addHandler({ added: wakeWaiters, updated: wakeWaiters, deleted: wakeWaiters });
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }
  /** As the server has it. */
  claim(namespace: string | undefined, name: string) {
    return this.#claims.get(namespace, name);
  }
  volume(name: string) {
    return this.#volumes.get(undefined, name);
  }

  /** From now on they are needed. */
  want(): void {
    this.#isWanted = true;
    this.#start();
  }

  /** Waits until they are wanted, then runs them until the signal aborts. `onSynced` is called once. */
  async run(onSynced: () => void, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#start = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (this.#isWanted || signal.aborted) resolve();
    });
    if (signal.aborted) return;
    const synced = Promise.all(this.#all.map((informer) => informer.synced(signal))).then(() => {
      this.#hasSynced = true;
      onSynced();
    }, (error: unknown) => {
      if (!signal.aborted) throw error;
    });
    await Promise.all([synced, ...this.#all.map((informer) => informer.run(signal))]);
  }

  /** Resolves after the next change of a claim or volume, or when the signal aborts. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiters.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiters.add(wake);
      signal.addEventListener('abort', wake, { once: true });
      if (signal.aborted) wake();
    });
  }
}

function informers({ api, environment: { clock, random, log } }: StorageWatchOptions) {
  const transform = <T extends KubernetesObject>(object: T): T => {
    object.metadata.managedFields = undefined;
    return object;
  };
  const informer = <T extends KubernetesObject>(kind: Kind<T>) => new Informer<T>({ api, kind, clock, random, log, transform });
  return { claims: informer(persistentVolumeClaimKind), volumes: informer(persistentVolumeKind), classes: informer(storageClassKind), csiNodes: informer(csiNodeKind) };
}
