// How parts of the API server read objects without going through HTTP: from the watch cache, or consistently.
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';

export interface ObjectChange<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** The new object; for DELETED the last one. */
  readonly object: T;
  readonly previous?: T | undefined;
}

/** Objects from here are shared: never change them. Cluster-scoped kinds have namespace ''. */
export interface ObjectReader {
  /** From memory; may lag behind storage by some milliseconds. */
  cached<T extends KubernetesObject>(kind: Kind<T>, namespace: string, name: string): Readonly<T> | undefined;
  /** From memory; all namespaces without `namespace`. */
  listCached<T extends KubernetesObject>(kind: Kind<T>, namespace?: string): readonly Readonly<T>[];
  /** A consistent read from storage. */
  read<T extends KubernetesObject>(kind: Kind<T>, namespace: string, name: string): Promise<Readonly<T> | undefined>;
  /** Calls back for every object there is (as ADDED), then for every change. Returns how to stop. */
  subscribe<T extends KubernetesObject>(kind: Kind<T>, listener: (change: ObjectChange<T>) => void): () => void;
  /** False until the first listing has filled the memory. */
  isSynced(): boolean;
}
