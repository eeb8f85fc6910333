// Claims, volumes and classes as the scheduler knows them, together with what its own bindings are about to write.
// Source: plugins/volumebinding/assume_cache.go.
import type { CSINode, StorageClass } from '#lib/kinds/types/storage-v1.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '#lib/kinds/types/core-v1.ts';

export interface Storage {
  readonly claim: (namespace: string, name: string) => Readonly<PersistentVolumeClaim> | undefined;
  readonly volume: (name: string) => Readonly<PersistentVolume> | undefined;
  readonly volumes: () => readonly Readonly<PersistentVolume>[];
  readonly storageClass: (name: string) => Readonly<StorageClass> | undefined;
  readonly csiNode: (name: string) => Readonly<CSINode> | undefined;
}

/** What has to be written before a pod can be bound: volumes that were chosen, and claims that a volume has to be made for. */
export interface VolumePlan {
  /** Volumes as they are to be, with their reference to the claim. */
  readonly bindings: readonly { readonly volume: PersistentVolume; readonly claim: Readonly<PersistentVolumeClaim> }[];
  /** Claims as they are to be, with the chosen node. */
  readonly provisions: readonly PersistentVolumeClaim[];
}

export const NO_PLAN: VolumePlan = { bindings: [], provisions: [] };
export const isEmptyPlan = ({ bindings, provisions }: VolumePlan): boolean => bindings.length + provisions.length === 0;

interface Versioned {
  readonly metadata: { readonly resourceVersion?: string | undefined };
}
const versionOf = ({ metadata }: Versioned): number => Number(metadata.resourceVersion ?? 0);
const claimKey = (namespace: string, name: string): string => `${namespace}/${name}`;

/** Shows assumed objects in place of the server's until that has newer ones. */
export class AssumedStorage implements Storage {
  readonly #base: Storage;
  readonly #volumes = new Map<string, PersistentVolume>();
  readonly #claims = new Map<string, PersistentVolumeClaim>();

  constructor(base: Storage) {
    this.#base = base;
  }

  assume({ bindings, provisions }: VolumePlan): void {
    for (const { volume } of bindings) this.#volumes.set(volume.metadata.name, volume);
    for (const claim of provisions) this.#claims.set(claimKey(claim.metadata.namespace ?? '', claim.metadata.name), claim);
  }
  forget({ bindings, provisions }: VolumePlan): void {
    for (const { volume } of bindings) this.#volumes.delete(volume.metadata.name);
    for (const claim of provisions) this.#claims.delete(claimKey(claim.metadata.namespace ?? '', claim.metadata.name));
  }

  readonly claim = (namespace: string, name: string): Readonly<PersistentVolumeClaim> | undefined =>
    newer(this.#claims, claimKey(namespace, name), this.#base.claim(namespace, name));
  readonly volume = (name: string): Readonly<PersistentVolume> | undefined => newer(this.#volumes, name, this.#base.volume(name));
  readonly volumes = (): readonly Readonly<PersistentVolume>[] => this.#base.volumes().map((volume) => newer(this.#volumes, volume.metadata.name, volume) ?? volume);
  readonly storageClass = (name: string): Readonly<StorageClass> | undefined => this.#base.storageClass(name);
  readonly csiNode = (name: string): Readonly<CSINode> | undefined => this.#base.csiNode(name);
}

function newer<T extends Versioned>(assumed: Map<string, T>, key: string, actual: Readonly<T> | undefined): Readonly<T> | undefined {
  const guess = assumed.get(key);
  if (!guess) return actual;
  if (actual && versionOf(actual) <= versionOf(guess)) return guess;
  assumed.delete(key);
  return actual;
}
