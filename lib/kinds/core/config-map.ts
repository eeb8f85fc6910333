// ConfigMap of v1: configuration by key.
import { invalid, forbidden, tooLong, type FieldError } from '#lib/machinery/field-error.ts';
import { base64Bytes } from '#lib/machinery/base64.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { byteLength, configKeyProblems } from '#lib/machinery/names.ts';
import { checked } from '#lib/machinery/object-meta.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { ConfigMap } from '../types/core-v1.ts';

/** All values together; bytes. Secrets have the same limit. */
export const MAX_DATA_BYTES = 1024 * 1024;
export const IMMUTABLE_ONCE_SET = 'field is immutable when `immutable` is set';

function validate({ data = {}, binaryData = {} }: ConfigMap): FieldError[] {
  const errors: FieldError[] = [];
  let totalBytes = 0;
  for (const [key, value] of Object.entries(data)) {
    errors.push(...checked(`data[${key}]`, key, configKeyProblems));
    if (Object.hasOwn(binaryData, key)) errors.push(invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'));
    totalBytes += byteLength(value);
  }
  for (const [key, value] of Object.entries(binaryData)) {
    errors.push(...checked(`binaryData[${key}]`, key, configKeyProblems));
    totalBytes += base64Bytes(value);
  }
  if (totalBytes > MAX_DATA_BYTES) errors.push(tooLong('', MAX_DATA_BYTES));
  return errors;
}

function validateUpdate(next: ConfigMap, previous: ConfigMap): FieldError[] {
  if (previous.immutable !== true) return [];
  const errors: FieldError[] = next.immutable === true ? [] : [forbidden('immutable', IMMUTABLE_ONCE_SET)];
  for (const name of ['data', 'binaryData'] as const) if (!semanticEqual(next[name], previous[name])) errors.push(forbidden(name, IMMUTABLE_ONCE_SET));
  return errors;
}

export const configMapKind = defineKind<ConfigMap>({
  group: '', version: 'v1', kind: 'ConfigMap', plural: 'configmaps', singular: 'configmap', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.ConfigMap',
  shortNames: ['cm'],
  storageVersionHash: 'qFsyl6wFWjQ=',
  validate,
  validateUpdate,
  columns: [
    nameColumn(),
    { name: 'Data', type: 'string', value: ({ data, binaryData }) => Object.keys(data ?? {}).length + Object.keys(binaryData ?? {}).length },
    ageColumn(),
  ],
});
