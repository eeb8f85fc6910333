// Cells that PersistentVolumes and their claims share.
import type { KubernetesObject } from '../define-kind.ts';

const SHORT_MODES: Readonly<Record<string, string>> = { ReadWriteOnce: 'RWO', ReadOnlyMany: 'ROX', ReadWriteMany: 'RWX', ReadWriteOncePod: 'RWOP' };
/** Names the class of a volume or claim; older than the field. */
export const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class';

/** `RWO,RWX`, in a fixed order. */
export function accessModesText(modes: readonly string[] | undefined): string {
  return Object.entries(SHORT_MODES).filter(([mode]) => modes?.includes(mode)).map(([, short]) => short).join(',');
}

/** The annotation is older than the field and wins. */
export function storageClassText({ metadata }: KubernetesObject, name: string | undefined): string {
  return metadata.annotations?.[BETA_CLASS] ?? name ?? '';
}

export function phaseText({ metadata }: KubernetesObject, phase: string | undefined): string {
  return metadata.deletionTimestamp === undefined ? phase ?? '' : 'Terminating';
}
export const orUnset = (text: string | undefined): string => text ?? '<unset>';
