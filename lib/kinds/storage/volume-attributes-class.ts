// VolumeAttributesClass of storage.k8s.io/v1: properties of a volume that may change while it is in use.
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { forbidden, required } from '#lib/machinery/field-error.ts';
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { VolumeAttributesClass } from '../types/storage-v1.ts';
import { validateParameters, validateProvisioner } from './storage-class.ts';

export const volumeAttributesClassKind = defineKind<VolumeAttributesClass>({
  group: 'storage.k8s.io', version: 'v1', kind: 'VolumeAttributesClass', plural: 'volumeattributesclasses', singular: 'volumeattributesclass', scope: 'Cluster',
  schema: 'io.k8s.api.storage.v1.VolumeAttributesClass',
  shortNames: ['vac'],
  storageVersionHash: 'tIjydgKBC5w=',
  validate: ({ driverName, parameters }) => [
    ...validateProvisioner(driverName, 'driverName'),
    ...(Object.keys(parameters ?? {}).length === 0 ? [required('parameters', 'must contain at least one key/value pair')] : validateParameters(parameters)),
  ],
  validateUpdate: (next, previous) => (['driverName', 'parameters'] as const)
    .filter((name) => !semanticEqual(next[name], previous[name])).map((name) => forbidden(name, `updates to ${name} are forbidden.`)),
  columns: [nameColumn(), textColumn('DriverName', ({ driverName }) => driverName ?? ''), ageColumn()],
});
