// CSIStorageCapacity of storage.k8s.io/v1: how much of a class is left in a part of the cluster.
import { nameColumn, textColumn } from '../columns.ts';
import { orUnset } from '../core/volume-columns.ts';
import { defineKind } from '../define-kind.ts';
import type { CSIStorageCapacity } from '../types/storage-v1.ts';

export const csiStorageCapacityKind = defineKind<CSIStorageCapacity>({
  group: 'storage.k8s.io', version: 'v1', kind: 'CSIStorageCapacity', plural: 'csistoragecapacities', singular: 'csistoragecapacity', listKind: 'CSIStorageCapacityList', scope: 'Namespaced',
  schema: 'io.k8s.api.storage.v1.CSIStorageCapacity',
  storageVersionHash: 'xeVl+2Ly1kE=',
  allowUnconditionalUpdate: false,
  columns: [nameColumn(), textColumn('StorageClassName', ({ storageClassName }) => storageClassName ?? ''), textColumn('Capacity', ({ capacity }) => orUnset(capacity))],
});
