// PersistentVolumeClaim of v1: a wish for storage, and what it was given.
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from '../types/core-v1.ts';
import { validateClaimSpec, validateClaimStatusUpdate, validateClaimUpdate } from './claim-validation.ts';
import { betaClassWarnings, claimWarnings } from './volume-warnings.ts';
import { accessModesText, orUnset, phaseText, storageClassText } from './volume-columns.ts';

export function defaultClaimSpec(spec: PersistentVolumeClaimSpec): void {
  spec.volumeMode ??= 'Filesystem';
}

export function defaultClaim(claim: PersistentVolumeClaim): void {
  // A body may leave out what the type requires.
  defaultClaimSpec((claim.spec ??= {}));
  (claim.status ??= {}).phase ||= 'Pending';
}

/** The older field and the newer one say the same, unless the newer one names another namespace. */
function joinDataSources(spec: PersistentVolumeClaimSpec): void {
  const { dataSource, dataSourceRef } = spec;
  if (dataSource !== undefined && dataSourceRef === undefined) spec.dataSourceRef = { ...dataSource };
  else if (dataSource === undefined && dataSourceRef !== undefined && !dataSourceRef.namespace) {
    spec.dataSource = { ...(dataSourceRef.apiGroup === undefined ? {} : { apiGroup: dataSourceRef.apiGroup }), kind: dataSourceRef.kind, name: dataSourceRef.name };
  }
}

export const persistentVolumeClaimKind = defineKind<PersistentVolumeClaim>({
  group: '', version: 'v1', kind: 'PersistentVolumeClaim', plural: 'persistentvolumeclaims', singular: 'persistentvolumeclaim', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.PersistentVolumeClaim',
  shortNames: ['pvc'],
  storageVersionHash: 'QWTyNDq0dC4=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults: defaultClaim,
  prepareForCreate: (claim) => {
    claim.status = { phase: 'Pending' };
    joinDataSources(claim.spec);
  },
  prepareForUpdate: (next, previous) => {
    keepStatus(next, previous);
    joinDataSources(next.spec);
  },
  prepareForStatusUpdate: keepSpec,
  validate: ({ spec }) => validateClaimSpec(spec, 'spec'),
  validateUpdate: validateClaimUpdate,
  validateStatusUpdate: validateClaimStatusUpdate,
  warnings: ({ metadata, spec }) => [...betaClassWarnings(metadata), ...claimWarnings(spec, 'spec')],
  selectableFields: { name: ({ metadata }) => metadata.name },
  columns: [
    nameColumn(),
    textColumn('Status', (claim) => phaseText(claim, claim.status?.phase)),
    textColumn('Volume', ({ spec }) => spec.volumeName ?? ''),
    textColumn('Capacity', ({ spec, status }) => (spec.volumeName ? status?.capacity?.['storage'] ?? '' : '')),
    textColumn('Access Modes', ({ spec, status }) => (spec.volumeName ? accessModesText(status?.accessModes) : '')),
    textColumn('StorageClass', (claim) => storageClassText(claim, claim.spec.storageClassName)),
    textColumn('VolumeAttributesClass', ({ spec }) => orUnset(spec.volumeAttributesClassName)),
    ageColumn(),
    textColumn('VolumeMode', ({ spec }) => orUnset(spec.volumeMode), 1),
  ],
});
