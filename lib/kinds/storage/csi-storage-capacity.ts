// CSIStorageCapacity of storage.k8s.io/v1: how much of a class is left in a part of the cluster.
import { invalid } from '#lib/machinery/field-error.ts';
import { dnsSubdomainProblems, MUST_NOT_BE_NEGATIVE } from '#lib/machinery/names.ts';
import { checked, unchanged, validateLabelSelector } from '#lib/machinery/object-meta.ts';
import { parseQuantity } from '#lib/machinery/quantity.ts';
import { nameColumn, textColumn } from '../columns.ts';
import { orUnset } from '../core/volume-columns.ts';
import { defineKind } from '../define-kind.ts';
import type { CSIStorageCapacity } from '../types/storage-v1.ts';

export const csiStorageCapacityKind = defineKind<CSIStorageCapacity>({
  group: 'storage.k8s.io', version: 'v1', kind: 'CSIStorageCapacity', plural: 'csistoragecapacities', singular: 'csistoragecapacity', listKind: 'CSIStorageCapacityList', scope: 'Namespaced',
  schema: 'io.k8s.api.storage.v1.CSIStorageCapacity',
  storageVersionHash: 'xeVl+2Ly1kE=',
  validate: ({ nodeTopology, storageClassName, capacity, maximumVolumeSize }) => [
    ...validateLabelSelector(nodeTopology, 'nodeTopology'),
    ...checked('storageClassName', storageClassName ?? '', dnsSubdomainProblems),
    ...Object.entries({ capacity, maximumVolumeSize }).flatMap(([name, amount]) => (amount !== undefined && parseQuantity(amount).nanos < 0n ? [invalid(name, amount, MUST_NOT_BE_NEGATIVE)] : [])),
  ],
  validateUpdate: (next, previous) => (['nodeTopology', 'storageClassName'] as const).flatMap((name) => unchanged(next[name], previous[name], name)),
  allowUnconditionalUpdate: false,
  columns: [nameColumn(), textColumn('StorageClassName', ({ storageClassName }) => storageClassName ?? ''), textColumn('Capacity', ({ capacity }) => orUnset(capacity))],
});
