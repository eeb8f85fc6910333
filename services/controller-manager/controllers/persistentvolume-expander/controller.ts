// Says of a claim that asks for more than it has that somebody else has to enlarge its volume: no plugin of ours can.
// Source: pkg/controller/volume/expand.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { defineController, done, type Controller } from '#lib/controller/define-controller.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { persistentVolumeKind } from '#lib/kinds/core/persistent-volume.ts';
import { persistentVolumeClaimKind } from '#lib/kinds/core/persistent-volume-claim.ts';
import type { PersistentVolumeClaim } from '#lib/kinds/types/core-v1.ts';
import { compareQuantities } from '#lib/machinery/quantity.ts';
import { requestedStorage } from '#lib/machinery/volume-binding.ts';

const wantsMore = (claim: Readonly<PersistentVolumeClaim>): boolean => compareQuantities(requestedStorage(claim), claim.status?.capacity?.['storage'] ?? '0') > 0;

export const persistentVolumeExpander = (): Controller => defineController({
  name: 'persistentvolume-expander-controller',
  serviceAccount: 'expand-controller',
  eventSource: 'volume_expand',
  queueName: 'volume_expand',
  reconciles: persistentVolumeClaimKind,
  isRelevantUpdate: (next, previous) => compareQuantities(requestedStorage(next), requestedStorage(previous)) > 0,
  reads: [anyKind(persistentVolumeKind)],
  async reconcile({ namespace, name }, { cache, events }) {
    const claim = cache.get(persistentVolumeClaimKind, namespace, name);
    if (!claim || claim.status?.phase !== 'Bound' || !wantsMore(claim)) return done;
    const volume = cache.get(persistentVolumeKind, undefined, claim.spec.volumeName ?? '');
    if (!volume || volume.spec.claimRef?.uid !== claim.metadata.uid) return done;
    events.event(referenceTo(claim), 'Warning', 'ExternalExpanding', 'Ignoring the PVC: didn\'t find a plugin capable of expanding the volume; waiting for an external controller to process this PVC.');
    return done;
  },
});
