// Writes what the placing of a pod means for its volumes, and waits until the volumes are bound.
// Source: plugins/volumebinding/binder.go, BindPodVolumes.
import type { ApiClient } from '#lib/api-client/client.ts';
import { persistentVolumeClaimKind } from '#lib/kinds/core/persistent-volume-claim.ts';
import { persistentVolumeKind } from '#lib/kinds/core/persistent-volume.ts';
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from '#lib/kinds/types/core-v1.ts';
import { annotationOf, isFullyBound, volumeAllowsNode, VOLUME_ANNOTATION } from '#lib/machinery/volume-binding.ts';
import { withDeadline } from '#lib/service/abort.ts';
import type { VolumePlan } from '../core/storage.ts';
import type { StorageWatch } from './storage-watch.ts';

/** Milliseconds. Source: bindTimeoutSeconds. */
const BIND_TIMEOUT_MS = 600_000;

export interface BindVolumesOptions {
  readonly api: ApiClient;
  readonly storage: StorageWatch;
  readonly pod: Pod;
  readonly node: Node;
  readonly plan: VolumePlan;
  readonly podExists: () => boolean;
  readonly signal: AbortSignal;
}

/** The volumes of a pod cannot be bound on the chosen node: another attempt may choose another. */
export class VolumesNotBound extends Error {
  override readonly name = 'VolumesNotBound';
}

/** Throws VolumesNotBound, or what the API server answers. */
export async function bindVolumes(options: BindVolumesOptions): Promise<void> {
  const { api, storage, plan, podExists, signal } = options;
  const volumes: PersistentVolume[] = [];
  for (const { volume } of plan.bindings) volumes.push(await api.update(persistentVolumeKind, volume, { signal }));
  const claims: PersistentVolumeClaim[] = [];
  for (const claim of plan.provisions) claims.push(await api.update(persistentVolumeClaimKind, claim, { signal }));
  await withDeadline(BIND_TIMEOUT_MS, signal, async (limit) => {
    while (!areBound(options, volumes, claims)) {
      if (signal.aborted) throw signal.reason;
      if (limit.aborted) throw new VolumesNotBound('binding volumes: context deadline exceeded');
      await Promise.race([storage.changed(limit), looksAgain(limit)]);
      if (!podExists()) throw new VolumesNotBound(`binding volumes: pod does not exist any more: pod "${options.pod.metadata.name}" not found`);
    }
  });
}

/** The pod may be deleted without any volume changing. Milliseconds. Source: the binder's poll. */
const LOOK_MS = 1_000;
function looksAgain(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, LOOK_MS);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
  });
}

const isBehind = (seen: PersistentVolume | PersistentVolumeClaim, written: PersistentVolume | PersistentVolumeClaim): boolean => Number(seen.metadata.resourceVersion) < Number(written.metadata.resourceVersion);

function areBound({ storage, plan, node }: BindVolumesOptions, volumes: readonly PersistentVolume[], claims: readonly PersistentVolumeClaim[]): boolean {
  const fail = (why: string): never => {
    throw new VolumesNotBound(`binding volumes: ${why}`);
  };
  const claimOf = ({ metadata: { namespace, name } }: PersistentVolumeClaim): PersistentVolumeClaim => storage.claim(namespace, name) ?? fail(`failed to check binding: could not find PVC "${namespace ?? ''}/${name}"`);
  for (const [at, { claim }] of plan.bindings.entries()) {
    const written = volumes[at];
    if (!written) continue;
    const volume = storage.volume(written.metadata.name) ?? fail(`failed to check binding: could not find PV "${written.metadata.name}"`);
    if (isBehind(volume, written)) return false;
    if (!volumeAllowsNode(volume, node)) fail(`pv "${volume.metadata.name}" node affinity doesn't match node "${node.metadata.name}": no matching NodeSelectorTerms`);
    if (!volume.spec.claimRef?.uid) fail(`ClaimRef got reset for pv "${volume.metadata.name}"`);
    if (!isFullyBound(claimOf(claim))) return false;
  }
  for (const written of claims) {
    const claim = claimOf(written);
    if (isBehind(claim, written)) return false;
    // A provisioner that cannot make the volume takes the annotation away, so that another node is chosen.
    if (annotationOf(claim, VOLUME_ANNOTATION.selectedNode) !== node.metadata.name) fail(`provisioning failed for PVC "${claim.metadata.name}"`);
    const volume = (claim.spec.volumeName ?? '') === '' ? undefined : storage.volume(claim.spec.volumeName ?? '');
    if (volume && !volumeAllowsNode(volume, node)) fail(`pv "${volume.metadata.name}" node affinity doesn't match node "${node.metadata.name}": no matching NodeSelectorTerms`);
    if (!isFullyBound(claim)) return false;
  }
  return true;
}
