// CSINode of storage.k8s.io/v1: the storage drivers on a node.
import { ageColumn, countColumn, nameColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { CSINode } from '../types/storage-v1.ts';

export const csiNodeKind = defineKind<CSINode>({
  group: 'storage.k8s.io', version: 'v1', kind: 'CSINode', plural: 'csinodes', singular: 'csinode', scope: 'Cluster',
  schema: 'io.k8s.api.storage.v1.CSINode',
  storageVersionHash: 'Pe62DkZtjuo=',
  applyDefaults: (node) => {
    // A body may leave out what the type requires.
    const spec = (node.spec ??= { drivers: [] });
    spec.drivers ??= [];
  },
  allowUnconditionalUpdate: false,
  columns: [nameColumn(), countColumn('Drivers', ({ spec }) => spec.drivers.length), ageColumn()],
});
