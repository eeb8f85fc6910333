// A claim with access mode ReadWriteOncePod serves one pod at a time. Source: plugins/volumerestrictions; the rules about
// disks of cloud providers are left out with those disks.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { claimsOfPod } from '#lib/machinery/volume-binding.ts';
import { unresolvable, unschedulable, type Plugin } from '../framework.ts';

const NAME = 'VolumeRestrictions';

const usesOneOf = (pod: Pod, namespace: string, claims: ReadonlySet<string>): boolean => pod.metadata.namespace === namespace && claimsOfPod(pod).some(({ claimName }) => claims.has(claimName));

export const volumeRestrictions: Plugin = {
  name: NAME,
  retryOn: ['AssignedPod/Delete', 'Node/Add', 'PersistentVolumeClaim/Add'],
  prepareFilter: (pod, { nodes, storage }) => {
    const { namespace = '', uid } = pod.metadata;
    const exclusive = new Set<string>();
    for (const { claimName, isEphemeral } of claimsOfPod(pod)) {
      if (isEphemeral) continue; // no other pod can have it
      const claim = storage.claim(namespace, claimName);
      if (!claim) return unresolvable(NAME, `persistentvolumeclaim "${claimName}" not found`);
      if (claim.spec.accessModes?.includes('ReadWriteOncePod')) exclusive.add(claimName);
    }
    if (exclusive.size === 0) return undefined;
    const isTaken = nodes.some(({ pods }) => pods.some((other) => other.metadata.uid !== uid && usesOneOf(other, namespace, exclusive)));
    return {
      filter: () => (isTaken ? unschedulable(NAME, 'node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod') : undefined),
    };
  },
};
