// Makes an object exist, or brings it up to date, as the API server's own user.
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { AnyKind } from '#lib/kinds/define-kind.ts';
import { isAlreadyExists, isConflict, isNotFound } from '#lib/machinery/status-error.ts';
import type { ObjectReader } from '../../core/object-reader.ts';
import type { ObjectStore, WriteContext } from '../object-store.ts';

export const asServer: WriteContext = { user: { name: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] }, dryRun: false, fieldManager: 'kube-apiserver', warn: () => undefined };

export interface EnsureServices {
  readonly store: ObjectStore;
  readonly objects: ObjectReader;
}

/** `reconcile` returns what is to be written over the existing object, undefined for nothing. */
export async function ensure<T extends KubernetesObject>(
  { store, objects }: EnsureServices, typed: Kind<T>, desired: T, reconcile: (existing: Readonly<T>) => T | undefined = () => undefined,
): Promise<void> {
  const kind = typed as unknown as AnyKind;
  const { name, namespace = '' } = desired.metadata;
  const existing = objects.cached(typed, namespace, name) ?? await objects.read(typed, namespace, name);
  if (!existing) {
    const object = structuredClone(desired);
    kind.applyDefaults?.(object);
    await store.create(kind, namespace, object, asServer).catch((error: unknown) => {
      if (!isAlreadyExists(error)) throw error; // another server was faster
    });
    return;
  }
  if (reconcile(existing) === undefined) return;
  await store.update({
    kind, namespace, name, subresource: '',
    change: (current) => {
      const next = structuredClone(reconcile(current as unknown as T) ?? (current as unknown as T));
      kind.applyDefaults?.(next);
      return next;
    },
  }, asServer).catch((error: unknown) => {
    if (!isConflict(error) && !isNotFound(error)) throw error; // settled at the next round
  });
}
