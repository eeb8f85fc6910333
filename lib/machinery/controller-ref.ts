// Owner references: who made an object, and who may act on it.
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { ObjectMeta, OwnerReference } from '#lib/kinds/types/meta-v1.ts';

/** The one owner that manages the object, if any. */
export function controllerOf(object: { readonly metadata: Readonly<ObjectMeta> }): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(({ controller }) => controller === true);
}

/** Whether `owner` itself, and not an earlier object of that name, manages the object. */
export function isControlledBy(object: { readonly metadata: Readonly<ObjectMeta> }, owner: { readonly metadata: Readonly<ObjectMeta> }): boolean {
  const controller = controllerOf(object);
  return controller !== undefined && controller.uid === owner.metadata.uid;
}

/** The reference that a controller puts on what it creates. */
export function controllerReference(owner: Readonly<KubernetesObject>, kind: { readonly apiVersion: string; readonly kind: string }): OwnerReference {
  return { ...ownerReference(owner, kind), controller: true, blockOwnerDeletion: true };
}

export function ownerReference(owner: Readonly<KubernetesObject>, kind: { readonly apiVersion: string; readonly kind: string }): OwnerReference {
  return { apiVersion: kind.apiVersion, kind: kind.kind, name: owner.metadata.name, uid: owner.metadata.uid ?? '' };
}
