// VolumeAttributesClass of storage.k8s.io/v1: properties of a volume that may change while it is in use.
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { VolumeAttributesClass } from '../types/storage-v1.ts';

export const volumeAttributesClassKind = defineKind<VolumeAttributesClass>({
  group: 'storage.k8s.io', version: 'v1', kind: 'VolumeAttributesClass', plural: 'volumeattributesclasses', singular: 'volumeattributesclass', scope: 'Cluster',
  schema: 'io.k8s.api.storage.v1.VolumeAttributesClass',
  shortNames: ['vac'],
  storageVersionHash: 'tIjydgKBC5w=',
  columns: [nameColumn(), textColumn('DriverName', ({ driverName }) => driverName ?? ''), ageColumn()],
});
