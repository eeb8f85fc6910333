// The watch cache as an ObjectReader.
import type { AnyKind, Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { keyOf, keyPrefix } from '../core/codec.ts';
import type { ObjectChange, ObjectReader } from '../core/object-reader.ts';
import type { Storage } from '../core/storage.ts';
import type { CacheEntry, WatchCache } from '../core/watch-cache.ts';

export function cachedObjects(cache: WatchCache, storage: Storage): ObjectReader {
  const erase = (kind: Kind<never>): AnyKind => kind as unknown as AnyKind;
  const show = <T>(kind: AnyKind, entry: CacheEntry): Readonly<T> => entry.as(kind).object as unknown as Readonly<T>;
  return {
    cached<T extends KubernetesObject>(typed: Kind<T>, namespace: string, name: string) {
      const kind = erase(typed as unknown as Kind<never>);
      const entry = cache.of(kind).get(keyOf(kind, namespace, name));
      return entry && show<T>(kind, entry);
    },
    listCached<T extends KubernetesObject>(typed: Kind<T>, namespace = '') {
      const kind = erase(typed as unknown as Kind<never>);
      return cache.of(kind).list(keyPrefix(kind, namespace)).map((entry) => show<T>(kind, entry));
    },
    async read<T extends KubernetesObject>(typed: Kind<T>, namespace: string, name: string) {
      const kind = erase(typed as unknown as Kind<never>);
      const { item } = await storage.get(keyOf(kind, namespace, name));
      const entry = item && cache.entryOf(cache.of(kind), item);
      return entry && show<T>(kind, entry);
    },
    subscribe<T extends KubernetesObject>(typed: Kind<T>, listener: (change: ObjectChange<T>) => void) {
      const kind = erase(typed as unknown as Kind<never>);
      for (const entry of cache.of(kind).list()) listener({ type: 'ADDED', object: show<T>(kind, entry) });
      return cache.subscribe(kind, ({ type, entry, previous }) => {
        listener({ type, object: show<T>(kind, entry), previous: previous && show<T>(kind, previous) });
      });
    },
    isSynced: () => cache.isSynced,
  };
}
