// StorageClass of storage.k8s.io/v1: how volumes for a claim are made.
import { duplicate, invalid, notSupported, required, tooLong, type FieldError } from '#lib/machinery/field-error.ts';
import { byteLength, labelValueProblems, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked, unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { TopologySelectorTerm } from '../types/core-v1.ts';
import type { StorageClass } from '../types/storage-v1.ts';

export const IS_DEFAULT_STORAGE_CLASS = 'storageclass.kubernetes.io/is-default-class';
const IS_DEFAULT_BETA = 'storageclass.beta.kubernetes.io/is-default-class';

/** Claims without a class get this one. */
export function isDefaultStorageClass({ metadata: { annotations } }: Readonly<StorageClass>): boolean {
  return annotations?.[IS_DEFAULT_STORAGE_CLASS] === 'true' || annotations?.[IS_DEFAULT_BETA] === 'true';
}

const MAX_PARAMETERS = 512;
const MAX_PARAMETERS_BYTES = 256 * 1024;

export function validateParameters(parameters: Readonly<Record<string, string>> | undefined): FieldError[] {
  const entries = Object.entries(parameters ?? {});
  if (entries.length > MAX_PARAMETERS) return [tooLong('parameters', MAX_PARAMETERS)];
  const errors: FieldError[] = entries.filter(([key]) => key === '').map(([key]) => invalid('parameters', key, 'field can not be empty.'));
  const bytes = entries.reduce((sum, [key, value]) => sum + byteLength(key) + byteLength(value), 0);
  return bytes > MAX_PARAMETERS_BYTES ? [...errors, tooLong('parameters', MAX_PARAMETERS_BYTES)] : errors;
}

export const validateProvisioner = (name: string | undefined, path: string): FieldError[] =>
  (name ? qualifiedNameProblems(name.toLowerCase()).map((text) => invalid(path, name, text)) : [required(path)]);

function validateTopology(terms: readonly TopologySelectorTerm[] | undefined): FieldError[] {
  const seen = new Set<string>();
  return (terms ?? []).flatMap(({ matchLabelExpressions = [] }, index) => {
    const path = `allowedTopologies[${index}].matchLabelExpressions`;
    const keys = new Set<string>();
    const errors = matchLabelExpressions.flatMap(({ key = '', values = [] }, at) => {
      const repeated = keys.has(key) ? [duplicate(`${path}[${at}].key`, key)] : [];
      keys.add(key);
      return [
        ...(values.length === 0 ? [required(`${path}[${at}].values`)] : []),
        ...values.flatMap((value, position) => [
          ...(values.indexOf(value) < position ? [duplicate(`${path}[${at}].values[${position}]`, value)] : []),
          ...checked(`${path}[${at}].values[${position}]`, value, labelValueProblems),
        ]),
        ...checked(`${path}[${at}].key`, key, qualifiedNameProblems), ...repeated,
      ];
    });
    const text = JSON.stringify(matchLabelExpressions.map(({ key, values }) => [key, [...(values ?? [])].sort()]).sort());
    if (seen.has(text)) errors.push(duplicate(path, ''));
    seen.add(text);
    return errors;
  });
}

const BINDING_MODES = ['Immediate', 'WaitForFirstConsumer'];
const RECLAIM_POLICIES = ['Delete', 'Retain'];

const validate = ({ provisioner, parameters, reclaimPolicy, volumeBindingMode, allowedTopologies }: StorageClass): FieldError[] => [
  ...validateProvisioner(provisioner, 'provisioner'),
  ...validateParameters(parameters),
  ...(reclaimPolicy && !RECLAIM_POLICIES.includes(reclaimPolicy) ? [notSupported('reclaimPolicy', reclaimPolicy, RECLAIM_POLICIES)] : []),
  ...(volumeBindingMode !== undefined && !BINDING_MODES.includes(volumeBindingMode) ? [notSupported('volumeBindingMode', volumeBindingMode, BINDING_MODES)] : []),
  ...validateTopology(allowedTopologies),
];

export const storageClassKind = defineKind<StorageClass>({
  group: 'storage.k8s.io', version: 'v1', kind: 'StorageClass', plural: 'storageclasses', singular: 'storageclass', scope: 'Cluster',
  schema: 'io.k8s.api.storage.v1.StorageClass',
  shortNames: ['sc'],
  storageVersionHash: 'K+m6uJwbjGY=',
  applyDefaults: (storageClass) => {
    storageClass.reclaimPolicy ??= 'Delete';
    storageClass.volumeBindingMode ??= 'Immediate';
  },
  validate,
  validateUpdate: (next, previous) => (['parameters', 'provisioner', 'reclaimPolicy', 'volumeBindingMode'] as const).flatMap((name) => unchanged(next[name], previous[name], name)),
  columns: [
    { name: 'Name', type: 'string', format: 'name', value: (one) => one.metadata.name + (isDefaultStorageClass(one) ? ' (default)' : '') },
    textColumn('Provisioner', ({ provisioner }) => provisioner ?? ''),
    textColumn('ReclaimPolicy', ({ reclaimPolicy }) => reclaimPolicy ?? 'Delete'),
    textColumn('VolumeBindingMode', ({ volumeBindingMode }) => volumeBindingMode ?? 'Immediate'),
    { name: 'AllowVolumeExpansion', type: 'string', value: ({ allowVolumeExpansion }) => allowVolumeExpansion ?? false },
    ageColumn(),
  ],
});
