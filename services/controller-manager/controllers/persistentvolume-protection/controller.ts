// Keeps a volume that is being deleted as long as it is bound to a claim.
// Source: pkg/controller/volume/pvprotection.
import { defineController, done, type Controller } from '#lib/controller/define-controller.ts';
import { persistentVolumeKind } from '#lib/kinds/core/persistent-volume.ts';

const FINALIZER = 'kubernetes.io/pv-protection';

export const persistentVolumeProtection = (): Controller => defineController({
  name: 'persistentvolume-protection-controller',
  serviceAccount: 'pv-protection-controller',
  queueName: 'pvprotection',
  reconciles: persistentVolumeKind,
  async reconcile({ name }, { cache, api }) {
    const volume = cache.get(persistentVolumeKind, undefined, name);
    if (!volume) return done;
    const { finalizers = [], deletionTimestamp } = volume.metadata;
    const isProtected = finalizers.includes(FINALIZER);
    // Admission adds the finalizer to new volumes.
    const next = deletionTimestamp === undefined ? (isProtected ? finalizers : [...finalizers, FINALIZER])
      : isProtected && volume.status?.phase !== 'Bound' ? finalizers.filter((one) => one !== FINALIZER) : finalizers;
    if (next !== finalizers) await api.update(persistentVolumeKind, { ...volume, metadata: { ...volume.metadata, finalizers: next } });
    return done;
  },
});
