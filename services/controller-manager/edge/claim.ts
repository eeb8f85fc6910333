// Adoption and release: an owner takes what its selector matches and nobody manages, and lets go of what no longer
// matches. Source: pkg/controller/controller_ref_manager.go.
import type { CacheReader } from '#lib/controller/shared-cache.ts';
import type { ReconcileApi } from '#lib/controller/own-writes.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { controllerReference } from '#lib/machinery/controller-ref.ts';
import type { Selector } from '#lib/machinery/selectors.ts';
import { isInvalid, isNotFound } from '#lib/machinery/status-error.ts';

export interface ClaimOptions<O extends KubernetesObject, T extends KubernetesObject> {
  readonly owner: Readonly<O>;
  readonly ownerKind: Kind<O>;
  readonly kind: Kind<T>;
  readonly selector: Selector;
  /** Which orphans are worth adopting; default: all that match. */
  readonly isAdoptable?: (object: Readonly<T>) => boolean;
}

/** All objects of the kind that belong to the owner once adoption and release are done. */
export async function claim<O extends KubernetesObject, T extends KubernetesObject>(options: ClaimOptions<O, T>, cache: CacheReader, api: ReconcileApi): Promise<Readonly<T>[]> {
  const { owner, kind, selector, isAdoptable } = options;
  const mine: Readonly<T>[] = [];
  for (const object of cache.ownedBy(owner, kind)) {
    if (object.metadata.namespace !== owner.metadata.namespace) continue;
    if (selector.matches(object.metadata.labels)) mine.push(object);
    else if (owner.metadata.deletionTimestamp === undefined) await release(object, options, api);
  }
  const orphans = cache.orphans(kind, owner.metadata.namespace ?? '').filter((orphan) =>
    orphan.metadata.deletionTimestamp === undefined && selector.matches(orphan.metadata.labels) && (isAdoptable?.(orphan) ?? true));
  if (orphans.length === 0 || owner.metadata.deletionTimestamp !== undefined) return mine;
  await refuseWhenOwnerIsGone(options, api);
  for (const orphan of orphans) {
    const adopted = await adopt(orphan, options, api);
    if (adopted) mine.push(adopted);
  }
  return mine;
}

/** A live look: the cache may still show an owner that was deleted, or an older one of the same name. */
async function refuseWhenOwnerIsGone<O extends KubernetesObject, T extends KubernetesObject>({ owner, ownerKind }: ClaimOptions<O, T>, api: ReconcileApi): Promise<void> {
  const { namespace, name, uid } = owner.metadata;
  const live = await api.getLive(ownerKind, namespace, name);
  if (live.metadata.uid !== uid) throw new Error(`original ${ownerKind.kind} ${namespace ?? ''}/${name} is gone: got uid ${live.metadata.uid ?? ''}, wanted ${uid ?? ''}`);
  if (live.metadata.deletionTimestamp !== undefined) throw new Error(`${namespace ?? ''}/${name} has just been deleted at ${live.metadata.deletionTimestamp}`);
}

async function adopt<O extends KubernetesObject, T extends KubernetesObject>(orphan: Readonly<T>, { owner, ownerKind, kind }: ClaimOptions<O, T>, api: ReconcileApi): Promise<T | undefined> {
  const { namespace, name, uid, ownerReferences = [], resourceVersion } = orphan.metadata;
  return api.patch(kind, namespace, name, {
    metadata: { uid, resourceVersion, ownerReferences: [...ownerReferences, controllerReference(owner, ownerKind)] },
  }).catch(ignoreGone);
}

async function release<O extends KubernetesObject, T extends KubernetesObject>(object: Readonly<T>, { owner, kind }: ClaimOptions<O, T>, api: ReconcileApi): Promise<void> {
  const { namespace, name, uid, ownerReferences = [], resourceVersion } = object.metadata;
  await api.patch(kind, namespace, name, {
    metadata: { uid, resourceVersion, ownerReferences: ownerReferences.filter((reference) => reference.uid !== owner.metadata.uid) },
  }).catch(ignoreGone);
}

/** The object went away, or another of its name took its place: there is nothing left to adopt or release. */
function ignoreGone(error: unknown): undefined {
  if (isNotFound(error) || isInvalid(error)) return undefined;
  throw error;
}
