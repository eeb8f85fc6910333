// Warnings about volumes and claims. Source: pkg/api/persistentvolume, pkg/api/persistentvolumeclaim.
import { parseQuantity } from '#lib/machinery/quantity.ts';
import type { PersistentVolumeClaimSpec, PersistentVolumeSpec } from '../types/core-v1.ts';
import type { ObjectMeta } from '../types/meta-v1.ts';
import { BETA_CLASS } from './volume-columns.ts';

export function betaClassWarnings({ annotations }: ObjectMeta): string[] {
  return annotations?.[BETA_CLASS] === undefined ? [] : [`metadata.annotations[${BETA_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead`];
}

export function claimWarnings({ resources }: PersistentVolumeClaimSpec, path: string): string[] {
  return (['requests', 'limits'] as const).flatMap((list) => {
    const amount = resources?.[list]?.['storage'];
    const isFraction = amount !== undefined && parseQuantity(amount).nanos % 1_000_000_000n !== 0n;
    return isFraction ? [`${path}.resources.${list}[storage]: fractional byte value "${amount}" is invalid, must be an integer`] : [];
  });
}

export function volumeSourceWarnings({ persistentVolumeReclaimPolicy }: PersistentVolumeSpec): string[] {
  return persistentVolumeReclaimPolicy === 'Recycle' ? ['spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.'] : [];
}
