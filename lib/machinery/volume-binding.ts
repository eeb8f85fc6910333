// Persistent volumes and claims: which fits which, and the marks that binding leaves on them. What the controller
// manager and the scheduler must judge alike.
// Source: k8s.io/component-helpers/storage/{volume,ephemeral}, Kubernetes 1.36.
import type { Node, ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod, Volume } from '#lib/kinds/types/core-v1.ts';
import type { StorageClass } from '#lib/kinds/types/storage-v1.ts';
import { isControlledBy } from './controller-ref.ts';
import { compareQuantities } from './quantity.ts';
import { labelSelector, matchesNodeSelector } from './selectors.ts';

export const VOLUME_ANNOTATION = {
  /** On a claim: the binding is complete on both sides. */
  bindCompleted: 'pv.kubernetes.io/bind-completed',
  /** On a claim or volume: the controller chose the other side, not the user. */
  boundByController: 'pv.kubernetes.io/bound-by-controller',
  /** On a volume: the provisioner that made it and may delete it. */
  provisionedBy: 'pv.kubernetes.io/provisioned-by',
  /** On a claim: the node that the scheduler has chosen for its first consumer. */
  selectedNode: 'volume.kubernetes.io/selected-node',
  /** On a claim: who is to make a volume for it. */
  storageProvisioner: 'volume.kubernetes.io/storage-provisioner',
  betaStorageProvisioner: 'volume.beta.kubernetes.io/storage-provisioner',
  storageClass: 'volume.beta.kubernetes.io/storage-class',
  isDefaultClass: 'storageclass.kubernetes.io/is-default-class',
  betaIsDefaultClass: 'storageclass.beta.kubernetes.io/is-default-class',
} as const;

/** The provisioner of classes whose volumes are made by hand. */
export const NO_PROVISIONER = 'kubernetes.io/no-provisioner';

export interface ClaimOfPod {
  /** Name of the volume in the pod. */
  readonly volume: string;
  readonly claimName: string;
  /** The claim is made for this pod and goes with it. */
  readonly isEphemeral: boolean;
}

export const ephemeralClaimName = (podName: string, volume: string): string => `${podName}-${volume}`;

export function claimOfVolume(podName: string, { name, persistentVolumeClaim, ephemeral }: Readonly<Volume>): ClaimOfPod | undefined {
  if (persistentVolumeClaim) return { volume: name, claimName: persistentVolumeClaim.claimName, isEphemeral: false };
  return ephemeral ? { volume: name, claimName: ephemeralClaimName(podName, name), isEphemeral: true } : undefined;
}

export function claimsOfPod({ metadata, spec }: Readonly<Pod>): ClaimOfPod[] {
  return (spec?.volumes ?? []).flatMap((volume) => claimOfVolume(metadata.name, volume) ?? []);
}

/** Why an ephemeral volume's claim is not the pod's own; undefined: it is. */
export function foreignClaimProblem(pod: Readonly<Pod>, claim: Readonly<PersistentVolumeClaim>): string | undefined {
  const isOwn = claim.metadata.namespace === pod.metadata.namespace && isControlledBy(claim, pod);
  return isOwn ? undefined : `PVC ${claim.metadata.namespace ?? ''}/${claim.metadata.name} was not created for pod ${pod.metadata.namespace ?? ''}/${pod.metadata.name} (pod is not owner)`;
}

export const annotationOf = ({ metadata }: { readonly metadata: { readonly annotations?: Readonly<Record<string, string>> | undefined } }, name: string): string | undefined => metadata.annotations?.[name];

/** Name of the class; empty: none. */
export function classNameOf(object: Readonly<PersistentVolume> | Readonly<PersistentVolumeClaim>): string {
  return annotationOf(object, VOLUME_ANNOTATION.storageClass) ?? object.spec.storageClassName ?? '';
}
/** A claim that names no class, not even the empty one, is given the default class. */
export const namesClass = (claim: Readonly<PersistentVolumeClaim>): boolean => annotationOf(claim, VOLUME_ANNOTATION.storageClass) !== undefined || claim.spec.storageClassName !== undefined;

export const isDefaultClass = (storageClass: Readonly<StorageClass>): boolean =>
  annotationOf(storageClass, VOLUME_ANNOTATION.isDefaultClass) === 'true' || annotationOf(storageClass, VOLUME_ANNOTATION.betaIsDefaultClass) === 'true';

/** The newest of those marked as default, the first by name among equally new ones. */
export function defaultClass(classes: readonly Readonly<StorageClass>[]): Readonly<StorageClass> | undefined {
  return classes.filter(isDefaultClass).sort((left, right) =>
    (right.metadata.creationTimestamp ?? '').localeCompare(left.metadata.creationTimestamp ?? '') || left.metadata.name.localeCompare(right.metadata.name))[0];
}

/** The binding waits until a pod that uses the claim is being scheduled. */
export const waitsForConsumer = (storageClass: Readonly<StorageClass> | undefined): boolean => storageClass?.volumeBindingMode === 'WaitForFirstConsumer';

export const requestedStorage = ({ spec }: Readonly<PersistentVolumeClaim>): string => spec.resources?.requests?.['storage'] ?? '0';
export const storageCapacity = ({ spec }: Readonly<PersistentVolume>): string => spec.capacity?.['storage'] ?? '0';
const modeOf = ({ spec }: Readonly<PersistentVolume> | Readonly<PersistentVolumeClaim>): string => spec.volumeMode ?? 'Filesystem';

export const isLargeEnough = (volume: Readonly<PersistentVolume>, claim: Readonly<PersistentVolumeClaim>): boolean => compareQuantities(storageCapacity(volume), requestedStorage(claim)) >= 0;
export const hasSameMode = (volume: Readonly<PersistentVolume>, claim: Readonly<PersistentVolumeClaim>): boolean => modeOf(volume) === modeOf(claim);
export const offersAccessModes = ({ spec }: Readonly<PersistentVolume>, claim: Readonly<PersistentVolumeClaim>): boolean =>
  (claim.spec.accessModes ?? []).every((mode) => spec.accessModes?.includes(mode) ?? false);
const attributesClassOf = ({ spec }: Readonly<PersistentVolume> | Readonly<PersistentVolumeClaim>): string => spec.volumeAttributesClassName ?? '';

/** Why a volume that a claim asks for by name cannot be its; undefined: it can. Source: checkVolumeSatisfyClaim. */
export function mismatchOf(volume: Readonly<PersistentVolume>, claim: Readonly<PersistentVolumeClaim>): string | undefined {
  if (!isLargeEnough(volume, claim)) return 'requested PV is too small';
  if (classNameOf(volume) !== classNameOf(claim)) return 'storageClassName does not match';
  if (attributesClassOf(volume) !== attributesClassOf(claim)) return 'VolumeAttributesClassName does not match';
  if (!hasSameMode(volume, claim)) return 'incompatible volumeMode';
  return offersAccessModes(volume, claim) ? undefined : 'incompatible accessMode';
}

/** Whether the volume is, or is meant to be, this very claim's. */
export function isReservedFor({ spec: { claimRef } }: Readonly<PersistentVolume>, { metadata }: Readonly<PersistentVolumeClaim>): boolean {
  if (!claimRef || claimRef.name !== metadata.name || claimRef.namespace !== metadata.namespace) return false;
  return claimRef.uid === undefined || claimRef.uid === '' || claimRef.uid === metadata.uid;
}

export function volumeAllowsNode({ spec }: Readonly<PersistentVolume>, node: Readonly<Node>): boolean {
  return spec.nodeAffinity?.required === undefined || matchesNodeSelector(spec.nodeAffinity.required, node);
}

export interface MatchOptions {
  /** Only volumes that this node can reach. */
  readonly node?: Readonly<Node>;
  /** The claim waits for its first consumer: without a node, only a volume reserved for it will do. */
  readonly isDelayed: boolean;
  /** Volumes that are spoken for. */
  readonly except?: ReadonlySet<string>;
}

/**
 * The volume that fits a claim best: one reserved for it, else the one with the fewest access modes, of those the
 * smallest, of equals the first by name. Source: FindMatchingVolume.
 */
export function bestVolumeFor(claim: Readonly<PersistentVolumeClaim>, volumes: readonly Readonly<PersistentVolume>[], { node, isDelayed, except }: MatchOptions): Readonly<PersistentVolume> | undefined {
  const selector = claim.spec.selector && labelSelector(claim.spec.selector);
  const candidates: Readonly<PersistentVolume>[] = [];
  for (const volume of volumes) {
    if (except?.has(volume.metadata.name) || volume.metadata.deletionTimestamp !== undefined) continue;
    if (!hasSameMode(volume, claim) || attributesClassOf(volume) !== attributesClassOf(claim) || !offersAccessModes(volume, claim)) continue;
    const isReachable = !node || volumeAllowsNode(volume, node);
    if (isReservedFor(volume, claim)) {
      if (!isLargeEnough(volume, claim)) continue;
      return isReachable ? volume : undefined;
    }
    if ((!node && isDelayed) || volume.spec.claimRef || volume.status?.phase !== 'Available' || !isReachable) continue;
    if (classNameOf(volume) !== classNameOf(claim) || !isLargeEnough(volume, claim)) continue;
    if (selector && !selector.matches(volume.metadata.labels ?? {})) continue;
    candidates.push(volume);
  }
  const modes = ({ spec }: Readonly<PersistentVolume>): number => spec.accessModes?.length ?? 0;
  return candidates.sort((left, right) => modes(left) - modes(right) || compareQuantities(storageCapacity(left), storageCapacity(right)) || left.metadata.name.localeCompare(right.metadata.name))[0];
}

export function claimReference({ metadata: { namespace, name, uid, resourceVersion } }: Readonly<PersistentVolumeClaim>): ObjectReference {
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid, resourceVersion };
}

export function withAnnotations<T extends PersistentVolume | PersistentVolumeClaim>(object: Readonly<T>, changes: Readonly<Record<string, string | undefined>>): T {
  const annotations = { ...object.metadata.annotations };
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete annotations[name];
    else annotations[name] = value;
  }
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** The volume with its reference to the claim; undefined when it has that already. Source: GetBindVolumeToClaim. */
export function volumeBoundTo(volume: Readonly<PersistentVolume>, claim: Readonly<PersistentVolumeClaim>): PersistentVolume | undefined {
  const { claimRef } = volume.spec;
  if (claimRef && claimRef.uid === claim.metadata.uid && claimRef.name === claim.metadata.name && claimRef.namespace === claim.metadata.namespace) return undefined;
  const bound: PersistentVolume = { ...volume, spec: { ...volume.spec, claimRef: claimReference(claim) } };
  return isReservedFor(volume, claim) ? bound : withAnnotations(bound, { [VOLUME_ANNOTATION.boundByController]: 'yes' });
}

/** Bound on both sides, as far as the claim tells. */
export const isFullyBound = (claim: Readonly<PersistentVolumeClaim>): boolean =>
  (claim.spec.volumeName ?? '') !== '' && annotationOf(claim, VOLUME_ANNOTATION.bindCompleted) !== undefined;
