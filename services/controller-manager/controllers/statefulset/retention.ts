// Who owns a StatefulSet's claims, by persistentVolumeClaimRetentionPolicy: nobody keeps them for ever; the set deletes them
// with itself; a pod scaled away deletes them with itself. Source: stateful_set_utils.go (isClaimOwnerUpToDate).
import { podKind } from '#lib/kinds/core/pod.ts';
import { statefulSetKind } from '#lib/kinds/apps/stateful-set.ts';
import type { StatefulSet } from '#lib/kinds/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '#lib/kinds/types/core-v1.ts';
import type { OwnerReference } from '#lib/kinds/types/meta-v1.ts';
import { controllerReference } from '#lib/machinery/controller-ref.ts';
import { isInRange, ordinalOf } from './identity.ts';

const pointsAt = (reference: Readonly<OwnerReference>, kind: { apiVersion: string; kind: string }, name: string): boolean =>
  reference.kind === kind.kind && reference.name === name && reference.apiVersion.split('/')[0] === kind.apiVersion.split('/')[0];

const isUs = (reference: Readonly<OwnerReference>, set: Readonly<StatefulSet>, pod: Readonly<Pod>): boolean => reference.uid === set.metadata.uid || reference.uid === pod.metadata.uid;

/** A reference to an earlier pod or set of the name: the garbage collector is about to delete the claim. */
export function isStaleFor(claim: Readonly<PersistentVolumeClaim>, owner: { readonly metadata: { readonly name: string; readonly uid?: string | undefined } }, kind: { apiVersion: string; kind: string }): boolean {
  return (claim.metadata.ownerReferences ?? []).some((reference) => pointsAt(reference, kind, owner.metadata.name) && reference.uid !== owner.metadata.uid);
}

export interface OwnerPlan {
  /** Undefined: they are as they must be. */
  readonly ownerReferences: OwnerReference[] | undefined;
  /** Somebody else manages the claim: the policy is not applied. */
  readonly isConflicting: boolean;
}

export function planClaimOwners(claim: Readonly<PersistentVolumeClaim>, set: Readonly<StatefulSet>, pod: Readonly<Pod>): OwnerPlan {
  const { whenDeleted = 'Retain', whenScaled = 'Retain' } = set.spec.persistentVolumeClaimRetentionPolicy ?? {};
  const references = claim.metadata.ownerReferences ?? [];
  const asIs = { ownerReferences: undefined, isConflicting: false };
  if (isStaleFor(claim, set, statefulSetKind) || isStaleFor(claim, pod, podKind)) return asIs;
  const others = references.filter((reference) => !isUs(reference, set, pod));
  const wantsPolicy = whenDeleted === 'Delete' || whenScaled === 'Delete';
  if (wantsPolicy && others.some(({ controller }) => controller === true)) {
    return { ownerReferences: others.length < references.length ? others : undefined, isConflicting: true };
  }
  const isScaledAway = !isInRange(set, ordinalOf(pod));
  const wanted = [...others];
  if (whenScaled === 'Delete' && isScaledAway) wanted.push(controllerReference(pod, podKind));
  else if (whenDeleted === 'Delete') wanted.push(controllerReference(set, statefulSetKind));
  const isSame = wanted.length === references.length
    && wanted.every((one) => references.some(({ uid, controller }) => uid === one.uid && (controller === true || others.includes(one))));
  return isSame ? asIs : { ownerReferences: wanted, isConflicting: false };
}
