// Follows a pod's volume to the persistent volume behind its claim. The server is asked each time until it has worked:
// a volume that is set up stays what it is. Source: pkg/kubelet/volumemanager/populator, createVolumeSpec.
import type { ApiClient } from '#lib/api-client/client.ts';
import { persistentVolumeClaimKind } from '#lib/kinds/core/persistent-volume-claim.ts';
import { persistentVolumeKind } from '#lib/kinds/core/persistent-volume.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod, Volume } from '#lib/kinds/types/core-v1.ts';
import { claimOfVolume, foreignClaimProblem } from '#lib/machinery/volume-binding.ts';
import { allContainersOf, namespaceOf } from '../core/pod-spec.ts';
import { VolumeError } from '../core/volume-payload.ts';

export interface ClaimedVolume {
  readonly volume: PersistentVolume;
  readonly isReadOnly: boolean;
}

/** What the pod cannot be given before anything is mounted; the whole text of its event. */
export class VolumeNotProcessed extends VolumeError {}

/** Throws VolumeNotProcessed. */
export async function claimedVolume(api: ApiClient | undefined, pod: Pod, volume: Volume): Promise<ClaimedVolume> {
  const { claimName = '', isEphemeral = false } = claimOfVolume(pod.metadata.name, volume) ?? {};
  const namespace = namespaceOf(pod);
  try {
    if (!api) throw new Error('this kubelet has no API server');
    const claim = await read('failed to fetch PVC from API server', () => api.get(persistentVolumeClaimKind, namespace, claimName));
    const foreign = isEphemeral ? foreignClaimProblem(pod, claim) : undefined;
    if (foreign !== undefined) throw new Error(foreign);
    if (claim.metadata.deletionTimestamp !== undefined) throw new Error('PVC is being deleted');
    const volumeName = claim.spec.volumeName ?? '';
    if (claim.status?.phase !== 'Bound' || volumeName === '') throw new Error('PVC is not bound');
    const found = await read(`failed to fetch PV ${volumeName} from API server`, () => api.get(persistentVolumeKind, undefined, volumeName));
    checkReference(found, claim);
    checkUse(pod, volume.name, found);
    return { volume: found, isReadOnly: volume.persistentVolumeClaim?.readOnly === true || found.spec.nfs?.readOnly === true };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new VolumeNotProcessed(`Unable to attach or mount volumes: unmounted volumes=[${volume.name}], unattached volumes=[], failed to process volumes=[${volume.name}]: error processing PVC ${namespace}/${claimName}: ${why}`, { cause: error });
  }
}

async function read<T>(what: string, get: () => Promise<T>): Promise<T> {
  try {
    return await get();
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function checkReference({ metadata, spec: { claimRef } }: PersistentVolume, claim: PersistentVolumeClaim): void {
  if (!claimRef) throw new Error(`found PV object ${metadata.name} with nil pv.Spec.ClaimRef indicating it is not yet bound to the claim`);
  if (claimRef.uid !== claim.metadata.uid) throw new Error(`found PV object ${metadata.name} with a pv.Spec.ClaimRef.UID ${claimRef.uid ?? ''} that does not point to specified PVC UID ${claim.metadata.uid ?? ''}`);
}

/** Source: checkVolumeModeFilesystem and its counterpart for devices. */
function checkUse(pod: Pod, name: string, { spec }: PersistentVolume): void {
  const containers = allContainersOf(pod);
  const isBlock = spec.volumeMode === 'Block';
  if (isBlock && containers.some(({ volumeMounts = [] }) => volumeMounts.some((mount) => mount.name === name))) throw new Error(`volume ${name} has volumeMode Block, but is specified in volumeMounts`);
  if (!isBlock && containers.some(({ volumeDevices = [] }) => volumeDevices.some((device) => device.name === name))) throw new Error(`volume ${name} has volumeMode Filesystem, but is specified in volumeDevices`);
}
