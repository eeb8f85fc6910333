// Objects in memory behind the ObjectReader interface, for tests of what reads objects.
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { ObjectChange, ObjectReader } from '../core/object-reader.ts';

export class MemoryObjects implements ObjectReader {
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #listeners: { plural: string; listener: (change: ObjectChange<KubernetesObject>) => void }[] = [];

  put<T extends KubernetesObject>(kind: Kind<T>, object: T): void {
    const key = keyOf(kind.plural, object.metadata.namespace ?? '', object.metadata.name);
    const previous = this.#objects.get(key);
    this.#objects.set(key, object);
    this.#tell(kind.plural, { type: previous ? 'MODIFIED' : 'ADDED', object, previous });
  }

  remove<T extends KubernetesObject>(kind: Kind<T>, namespace: string, name: string): void {
    const key = keyOf(kind.plural, namespace, name);
    const object = this.#objects.get(key);
    this.#objects.delete(key);
    if (object) this.#tell(kind.plural, { type: 'DELETED', object });
  }

  #tell(plural: string, change: ObjectChange<KubernetesObject>): void {
    for (const one of this.#listeners) if (one.plural === plural) one.listener(change);
  }

  cached<T extends KubernetesObject>(kind: Kind<T>, namespace: string, name: string): Readonly<T> | undefined {
    return this.#objects.get(keyOf(kind.plural, namespace, name)) as T | undefined;
  }

  listCached<T extends KubernetesObject>(kind: Kind<T>, namespace?: string): readonly Readonly<T>[] {
    return [...this.#objects].filter(([key, { metadata }]) => key.startsWith(`${kind.plural}/`) && (namespace === undefined || metadata.namespace === namespace)).map(([, object]) => object as T);
  }

  read<T extends KubernetesObject>(kind: Kind<T>, namespace: string, name: string): Promise<Readonly<T> | undefined> {
    return Promise.resolve(this.cached(kind, namespace, name));
  }

  subscribe<T extends KubernetesObject>(kind: Kind<T>, listener: (change: ObjectChange<T>) => void): () => void {
    const entry = { plural: kind.plural, listener: listener as unknown as (change: ObjectChange<KubernetesObject>) => void };
    for (const object of this.listCached(kind)) listener({ type: 'ADDED', object });
    this.#listeners.push(entry);
    return () => void this.#listeners.splice(this.#listeners.indexOf(entry), 1);
  }

  isSynced(): boolean {
    return true;
  }
}

const keyOf = (plural: string, namespace: string, name: string): string => `${plural}/${namespace}/${name}`;
