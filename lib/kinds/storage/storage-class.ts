// StorageClass of storage.k8s.io/v1: how volumes for a claim are made.
import { ageColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { StorageClass } from '../types/storage-v1.ts';

export const IS_DEFAULT_STORAGE_CLASS = 'storageclass.kubernetes.io/is-default-class';
const IS_DEFAULT_BETA = 'storageclass.beta.kubernetes.io/is-default-class';

/** Claims without a class get this one. */
export function isDefaultStorageClass({ metadata: { annotations } }: Readonly<StorageClass>): boolean {
  return annotations?.[IS_DEFAULT_STORAGE_CLASS] === 'true' || annotations?.[IS_DEFAULT_BETA] === 'true';
}

export const storageClassKind = defineKind<StorageClass>({
  group: 'storage.k8s.io', version: 'v1', kind: 'StorageClass', plural: 'storageclasses', singular: 'storageclass', scope: 'Cluster',
  schema: 'io.k8s.api.storage.v1.StorageClass',
  shortNames: ['sc'],
  storageVersionHash: 'K+m6uJwbjGY=',
  applyDefaults: (storageClass) => {
    storageClass.reclaimPolicy ??= 'Delete';
    storageClass.volumeBindingMode ??= 'Immediate';
  },
  columns: [
    { name: 'Name', type: 'string', format: 'name', value: (one) => one.metadata.name + (isDefaultStorageClass(one) ? ' (default)' : '') },
    textColumn('Provisioner', ({ provisioner }) => provisioner ?? ''),
    textColumn('ReclaimPolicy', ({ reclaimPolicy }) => reclaimPolicy ?? 'Delete'),
    textColumn('VolumeBindingMode', ({ volumeBindingMode }) => volumeBindingMode ?? 'Immediate'),
    { name: 'AllowVolumeExpansion', type: 'string', value: ({ allowVolumeExpansion }) => allowVolumeExpansion ?? false },
    ageColumn(),
  ],
});
