// PersistentVolume of v1: storage that outlives pods.
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { PersistentVolume } from '../types/core-v1.ts';
import { validateVolume, validateVolumeUpdate } from './persistent-volume-validation.ts';
import { betaClassWarnings, volumeSourceWarnings } from './volume-warnings.ts';
import { accessModesText, orUnset, phaseText, storageClassText } from './volume-columns.ts';

function applyDefaults(volume: PersistentVolume): void {
  // A body may leave out what the type requires.
  const spec = (volume.spec ??= {});
  (volume.status ??= {}).phase ||= 'Pending';
  spec.persistentVolumeReclaimPolicy ||= 'Retain';
  spec.volumeMode ??= 'Filesystem';
  if (spec.hostPath !== undefined) spec.hostPath.type ??= '';
}

export const persistentVolumeKind = defineKind<PersistentVolume>({
  group: '', version: 'v1', kind: 'PersistentVolume', plural: 'persistentvolumes', singular: 'persistentvolume', scope: 'Cluster',
  schema: 'io.k8s.api.core.v1.PersistentVolume',
  shortNames: ['pv'],
  storageVersionHash: 'HN/zwEC+JgM=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForCreate: (volume) => { volume.status = { phase: 'Pending', lastPhaseTransitionTime: volume.metadata.creationTimestamp }; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate: validateVolume,
  validateUpdate: validateVolumeUpdate,
  warnings: ({ metadata, spec }) => [...betaClassWarnings(metadata), ...volumeSourceWarnings(spec)],
  selectableFields: { name: ({ metadata }) => metadata.name },
  columns: [
    nameColumn(),
    textColumn('Capacity', ({ spec }) => spec.capacity?.['storage'] ?? ''),
    textColumn('Access Modes', ({ spec }) => accessModesText(spec.accessModes)),
    textColumn('Reclaim Policy', ({ spec }) => spec.persistentVolumeReclaimPolicy ?? ''),
    textColumn('Status', (volume) => phaseText(volume, volume.status?.phase)),
    textColumn('Claim', ({ spec: { claimRef } }) => (claimRef === undefined ? '' : `${claimRef.namespace ?? ''}/${claimRef.name ?? ''}`)),
    textColumn('StorageClass', (volume) => storageClassText(volume, volume.spec.storageClassName)),
    textColumn('VolumeAttributesClass', ({ spec }) => orUnset(spec.volumeAttributesClassName)),
    textColumn('Reason', ({ status }) => status?.reason ?? ''),
    ageColumn(),
    textColumn('VolumeMode', ({ spec }) => orUnset(spec.volumeMode), 1),
  ],
});
