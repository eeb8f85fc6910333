// A pod goes only where its claims are, or can be given a volume. Source: plugins/volumebinding.
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from '#lib/kinds/types/core-v1.ts';
import type { StorageClass } from '#lib/kinds/types/storage-v1.ts';
import { compareQuantities } from '#lib/machinery/quantity.ts';
import {
  annotationOf, bestVolumeFor, claimsOfPod, classNameOf, foreignClaimProblem, isFullyBound, NO_PROVISIONER, requestedStorage, volumeAllowsNode, VOLUME_ANNOTATION,
  volumeBoundTo, waitsForConsumer, withAnnotations,
} from '#lib/machinery/volume-binding.ts';
import { isRejection, unresolvable, type ClusterView, type Plugin, type Rejection } from '../framework.ts';
import { NO_PLAN, type Storage, type VolumePlan } from '../storage.ts';

const NAME = 'VolumeBinding';
const REASON = {
  nodeConflict: "node(s) didn't match PersistentVolume's node affinity",
  bindConflict: "node(s) didn't find available persistent volumes to bind",
  volumeMissing: 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)',
} as const;

type Claim = Readonly<PersistentVolumeClaim>;
interface Claims {
  readonly bound: readonly Claim[];
  /** Unbound, to be bound on the way: smallest first. */
  readonly delayed: readonly Claim[];
}

/** The claims of a pod, or why it cannot be placed at all. */
function claimsFor(pod: Pod, storage: Storage): Claims | Rejection {
  const bound: Claim[] = [];
  const delayed: Claim[] = [];
  let hasImmediate = false;
  for (const { claimName, isEphemeral } of claimsOfPod(pod)) {
    const claim = storage.claim(pod.metadata.namespace ?? '', claimName);
    if (!claim) return unresolvable(NAME, isEphemeral ? `waiting for ephemeral volume controller to create the persistentvolumeclaim "${claimName}"` : `persistentvolumeclaim "${claimName}" not found`);
    if (claim.status?.phase === 'Lost') return unresolvable(NAME, `persistentvolumeclaim "${claimName}" bound to non-existent persistentvolume "${claim.spec.volumeName ?? ''}"`);
    if (claim.metadata.deletionTimestamp !== undefined) return unresolvable(NAME, `persistentvolumeclaim "${claimName}" is being deleted`);
    const foreign = isEphemeral ? foreignClaimProblem(pod, claim) : undefined;
    if (foreign !== undefined) return unresolvable(NAME, foreign);
    if (isFullyBound(claim)) bound.push(claim);
    else if (waitsForConsumer(storage.storageClass(classNameOf(claim))) && (claim.spec.volumeName ?? '') === '') delayed.push(claim);
    else hasImmediate = true;
  }
  if (hasImmediate) return unresolvable(NAME, 'pod has unbound immediate PersistentVolumeClaims');
  return { bound, delayed: delayed.sort((left, right) => compareQuantities(requestedStorage(left), requestedStorage(right))) };
}

/** Whether a volume of the class could be made on the node. */
function canProvision(storageClass: Readonly<StorageClass> | undefined, { metadata: { labels = {} } }: Node): boolean {
  if (!storageClass || storageClass.provisioner === '' || storageClass.provisioner === NO_PROVISIONER) return false;
  const topologies = storageClass.allowedTopologies ?? [];
  return topologies.length === 0 || topologies.some(({ matchLabelExpressions = [] }) => matchLabelExpressions.every(({ key, values }) => values.includes(labels[key] ?? '')));
}

interface Match {
  readonly bindings: readonly { readonly volume: Readonly<PersistentVolume>; readonly claim: Claim }[];
  readonly provisions: readonly Claim[];
}

/** A volume on this node for each claim, there already or to be made; undefined when one has neither. */
function matchOn(node: Node, claims: readonly Claim[], storage: Storage): Match | undefined {
  const bindings: { volume: Readonly<PersistentVolume>; claim: Claim }[] = [];
  const provisions: Claim[] = [];
  const taken = new Set<string>();
  for (const claim of claims) {
    const selected = annotationOf(claim, VOLUME_ANNOTATION.selectedNode);
    if (selected !== undefined && selected !== node.metadata.name) return undefined;
    const volume = selected === undefined ? bestVolumeFor(claim, storage.volumes(), { node, isDelayed: true, except: taken }) : undefined;
    if (volume) {
      taken.add(volume.metadata.name);
      bindings.push({ volume, claim });
    } else if (canProvision(storage.storageClass(classNameOf(claim)), node)) provisions.push(claim);
    else return undefined;
  }
  return { bindings, provisions };
}

const planOf = ({ bindings, provisions }: Match, nodeName: string): VolumePlan => ({
  bindings: bindings.map(({ volume, claim }) => ({ volume: volumeBoundTo(volume, claim) ?? volume, claim })),
  provisions: provisions.map((claim) => withAnnotations(claim, { [VOLUME_ANNOTATION.selectedNode]: nodeName })),
});

export const volumeBinding: Plugin = {
  name: NAME,
  retryOn: ['StorageClass/Add', 'StorageClass/Update', 'PersistentVolumeClaim/Add', 'PersistentVolumeClaim/Update', 'PersistentVolume/Add', 'PersistentVolume/Update', 'Node/Add', 'Node/UpdateLabel', 'CSINode/Add', 'CSINode/Update'],
  prepareFilter: (pod: Pod, { storage }: ClusterView) => {
    if (claimsOfPod(pod).length === 0) return undefined;
    const claims = claimsFor(pod, storage);
    if (isRejection(claims)) return claims;
    const matches = new Map<string, Match>();
    return {
      filter: ({ name, node }) => {
        if (!node) return undefined;
        const volumes = claims.bound.map(({ spec }) => storage.volume(spec.volumeName ?? ''));
        const match = matchOn(node, claims.delayed, storage);
        const reasons = [
          ...(volumes.some((volume) => volume && !volumeAllowsNode(volume, node)) ? [REASON.nodeConflict] : []),
          ...(match ? [] : [REASON.bindConflict]),
          ...(volumes.includes(undefined) ? [REASON.volumeMissing] : []),
        ];
        if (match) matches.set(name, match);
        return reasons.length === 0 ? undefined : unresolvable(NAME, ...reasons);
      },
      volumePlan: (nodeName) => {
        const match = matches.get(nodeName);
        return match ? planOf(match, nodeName) : NO_PLAN;
      },
    };
  },
};
