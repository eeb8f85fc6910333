// Secret of v1: values that are to be kept from most eyes, base64 on the wire.
import { base64Bytes, decodeBase64, encodeBase64Text } from '#lib/machinery/base64.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { forbidden, invalid, required, tooLong, type FieldError } from '#lib/machinery/field-error.ts';
import { configKeyProblems } from '#lib/machinery/names.ts';
import { checked, unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { Secret } from '../types/core-v1.ts';
import { IMMUTABLE_ONCE_SET, MAX_DATA_BYTES } from './config-map.ts';

const SERVICE_ACCOUNT_NAME = 'kubernetes.io/service-account.name';

function applyDefaults(secret: Secret): void {
  secret.type ||= 'Opaque';
  if (secret.stringData === undefined) return;
  // What is written as plain text is only ever read back encoded.
  const encoded = Object.entries(secret.stringData).map(([key, value]) => [key, encodeBase64Text(value)] as const);
  secret.data = { ...secret.data, ...Object.fromEntries(encoded) };
  delete secret.stringData;
}

function validateDockerConfig(data: Readonly<Record<string, string>>, key: string): FieldError[] {
  const encoded = data[key];
  if (encoded === undefined) return [required(`data[${key}]`)];
  try {
    JSON.parse(new TextDecoder().decode(decodeBase64(encoded)));
    return [];
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return [invalid(`data[${key}]`, '<secret contents redacted>', error.message)];
  }
}

/** What a type of secret must hold. */
function validateType({ type, metadata, data = {} }: Secret): FieldError[] {
  const missing = (...keys: string[]): FieldError[] => keys.filter((key) => !Object.hasOwn(data, key)).map((key) => required(`data[${key}]`));
  switch (type) {
    case 'kubernetes.io/service-account-token':
      return metadata.annotations?.[SERVICE_ACCOUNT_NAME] ? [] : [required(`metadata.annotations[${SERVICE_ACCOUNT_NAME}]`)];
    case 'kubernetes.io/dockercfg': return validateDockerConfig(data, '.dockercfg');
    case 'kubernetes.io/dockerconfigjson': return validateDockerConfig(data, '.dockerconfigjson');
    case 'kubernetes.io/basic-auth': {
      const hasOne = Object.hasOwn(data, 'username') || Object.hasOwn(data, 'password');
      return hasOne ? [] : missing('username', 'password');
    }
    case 'kubernetes.io/ssh-auth': return data['ssh-privatekey'] ? [] : [required('data[ssh-privatekey]')];
    case 'kubernetes.io/tls': return missing('tls.crt', 'tls.key');
    default: return [];
  }
}

function validate(secret: Secret): FieldError[] {
  const errors: FieldError[] = [];
  let totalBytes = 0;
  for (const [key, value] of Object.entries(secret.data ?? {})) {
    errors.push(...checked(`data[${key}]`, key, configKeyProblems));
    totalBytes += base64Bytes(value);
  }
  if (totalBytes > MAX_DATA_BYTES) errors.push(tooLong('data', MAX_DATA_BYTES));
  return [...errors, ...validateType(secret)];
}

function validateUpdate(next: Secret, previous: Secret): FieldError[] {
  const errors = unchanged(next.type, previous.type, 'type');
  if (previous.immutable !== true) return errors;
  if (next.immutable !== true) errors.push(forbidden('immutable', IMMUTABLE_ONCE_SET));
  if (!semanticEqual(next.data, previous.data)) errors.push(forbidden('data', IMMUTABLE_ONCE_SET));
  return errors;
}

export const secretKind = defineKind<Secret>({
  group: '', version: 'v1', kind: 'Secret', plural: 'secrets', singular: 'secret', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.Secret',
  storageVersionHash: 'S6u1pOWzb84=',
  applyDefaults,
  validate,
  validateUpdate,
  selectableFields: { type: ({ type }) => type ?? '' },
  columns: [
    nameColumn(),
    textColumn('Type', ({ type }) => type ?? ''),
    { name: 'Data', type: 'string', value: ({ data }) => Object.keys(data ?? {}).length },
    ageColumn(),
  ],
});
