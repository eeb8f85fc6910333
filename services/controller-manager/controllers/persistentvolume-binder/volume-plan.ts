// What a volume needs next: its phase, its claim let go, or to be reclaimed after its claim.
// Source: pkg/controller/volume/persistentvolume/pv_controller.go, syncVolume, Kubernetes 1.36.
import type { PersistentVolume, PersistentVolumeClaim } from '#lib/kinds/types/core-v1.ts';
import { annotationOf, hasSameMode, VOLUME_ANNOTATION } from '#lib/machinery/volume-binding.ts';

export type VolumePhase = 'Available' | 'Bound' | 'Released' | 'Failed';
export type VolumeAction =
  | { readonly type: 'set-phase'; readonly phase: VolumePhase; readonly message?: string }
  | { readonly type: 'event'; readonly eventType: 'Normal' | 'Warning'; readonly reason: string; readonly message: string; readonly onClaimToo?: boolean }
  /** The volume goes back to whoever wants it, or to the claim that the user reserved it for. */
  | { readonly type: 'unbind'; readonly keepsReservation: boolean }
  | { readonly type: 'reclaim' };

/** `claim`: the one that the volume refers to, by its uid; undefined when it is gone. */
export function planVolume(volume: Readonly<PersistentVolume>, claim: Readonly<PersistentVolumeClaim> | undefined): VolumeAction[] {
  const { claimRef } = volume.spec;
  if (!claimRef || claimRef.uid === undefined || claimRef.uid === '') return [{ type: 'set-phase', phase: 'Available' }];
  const phase = volume.status?.phase;
  if (!claim) {
    const isMarked = phase === 'Released' || phase === 'Failed';
    return [...(isMarked ? [] : [{ type: 'set-phase', phase: 'Released' } as const]), { type: 'reclaim' }];
  }
  const bound = claim.spec.volumeName ?? '';
  if (bound === '') {
    // The claim is woken by every event about the volume; it binds, or finds that it cannot.
    if (hasSameMode(volume, claim)) return [];
    return [{ type: 'event', eventType: 'Warning', reason: 'VolumeMismatch', message: `Cannot bind PersistentVolume to requested PersistentVolumeClaim "${claim.metadata.name}" due to incompatible volumeMode.`, onClaimToo: true }];
  }
  if (bound === volume.metadata.name) return [{ type: 'set-phase', phase: 'Bound' }];
  // The claim has gone to another volume.
  if (annotationOf(volume, VOLUME_ANNOTATION.provisionedBy) !== undefined && volume.spec.persistentVolumeReclaimPolicy === 'Delete') {
    return [...(phase === 'Released' || phase === 'Failed' ? [] : [{ type: 'set-phase', phase: 'Released' } as const]), { type: 'reclaim' }];
  }
  return [{ type: 'unbind', keepsReservation: annotationOf(volume, VOLUME_ANNOTATION.boundByController) === undefined }];
}

export type Reclaim =
  | { readonly type: 'none' }
  /** Remove this folder of the controller manager's own file system, then the volume. */
  | { readonly type: 'delete-host-path'; readonly path: string }
  | { readonly type: 'scrub' }
  | { readonly type: 'fail'; readonly reason: string; readonly message: string };

export function planReclaim({ metadata, spec }: Readonly<PersistentVolume>): Reclaim {
  switch (spec.persistentVolumeReclaimPolicy) {
    case 'Retain': return { type: 'none' };
    case 'Recycle':
      if (spec.hostPath || spec.nfs) return { type: 'scrub' };
      return { type: 'fail', reason: 'VolumeFailedRecycle', message: 'No recycler plugin found for the volume!' };
    case 'Delete': {
      const provisioner = metadata.annotations?.[VOLUME_ANNOTATION.provisionedBy] ?? '';
      if (provisioner !== '' && !provisioner.startsWith('kubernetes.io/')) return { type: 'none' }; // its provisioner deletes it
      if (!spec.hostPath) return { type: 'fail', reason: 'VolumeFailedDelete', message: `error getting deleter volume plugin for volume "${metadata.name}": no deletable volume plugin matched` };
      const { path } = spec.hostPath;
      if (!/^\/tmp\/.+$/.test(path)) return { type: 'fail', reason: 'VolumeFailedDelete', message: `host_path deleter only supports /tmp/.+ but received provided ${path}` };
      return { type: 'delete-host-path', path };
    }
    default: return { type: 'fail', reason: 'VolumeUnknownReclaimPolicy', message: 'Volume has unrecognized PersistentVolumeReclaimPolicy' };
  }
}
