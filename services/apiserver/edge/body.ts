// Request bodies: from bytes of any accepted media type to an object of the expected kind, checked for structure.
import { parseDocument } from 'yaml';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import { notSupported } from '#lib/machinery/field-error.ts';
import { goJsonError } from '#lib/machinery/go-json-error.ts';
import { badRequest, failure, invalidObject, type StatusError } from '#lib/machinery/status-error.ts';
import { duplicateFields } from '../core/duplicate-fields.ts';
import { isDeeperThan, MAX_DEPTH, TOO_DEEP } from '../core/nesting.ts';
import { isRecord } from '../core/patch/json-value.ts';
import { decodeStructure, StructureError } from '../core/schema.ts';
import type { BodyDecoder, BodyKind } from './extension.ts';

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

export interface RawBody {
  readonly bytes: Buffer;
  /** As sent; empty counts as JSON. */
  readonly contentType: string;
}

export interface ParsedBody {
  readonly value: unknown;
  /** Duplicate keys, in the words of strict decoding. */
  readonly strictErrors: readonly string[];
}

/** Source: apiserver pkg/server/config.go, MaxRequestBodyBytes. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024;

const MEDIA_TYPES = 'application/json, application/yaml, application/vnd.kubernetes.protobuf';

export const unsupportedMediaType = (): StatusError =>
  failure(415, 'UnsupportedMediaType', `the body of the request was in an unknown format - accepted media types include: ${MEDIA_TYPES}`);

export const mediaTypeOf = (contentType: string): string => (contentType.split(';')[0] ?? '').trim().toLowerCase();

/** Source: apiserver pkg/endpoints/handlers/rest.go, summarizeData. */
function summary(bytes: Buffer): string {
  if (bytes.length === 0) return '<empty>';
  const start = bytes.subarray(0, 30);
  return `${start.toString(start[0] === '{'.charCodeAt(0) ? 'utf8' : 'hex')}${bytes.length > start.length ? ' ...' : ''}`;
}

function unrecognized(expected: BodyKind, bytes: Buffer, text: string): Error {
  return badRequest(`the object provided is unrecognized (must be of type ${expected.kind}): ${text} (${summary(bytes)})`);
}

/** Text that is no YAML, in go-yaml's words as far as the parsers agree on what is wrong. */
export class YamlError extends Error {
  override readonly name = 'YamlError';
}

const YAML_WORDS: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'found character that cannot start any token', BLOCK_AS_IMPLICIT_KEY: 'mapping values are not allowed in this context',
  MULTILINE_IMPLICIT_KEY: 'could not find expected \':\'', BAD_ALIAS: 'unknown anchor referenced', BAD_INDENT: 'did not find expected node content',
};
const DUPLICATES = 'yaml: unmarshal errors:\n';

/** Throws YamlError. */
export function parseYaml(text: string, wantDuplicates: boolean): ParsedBody {
  const refuse = (problem: string): Error => new YamlError(`yaml: ${problem}`);
  const document = parseDocument(text, { uniqueKeys: false, merge: true, logLevel: 'error' });
  const [error] = document.errors;
  if (error) throw refuse(/call stack/.test(error.message) ? TOO_DEEP : `line ${error.linePos?.[0].line ?? 1}: ${YAML_WORDS[error.code] ?? 'did not find expected key'}`);
  const duplicates: string[] = [];
  if (wantDuplicates) {
    const strict = parseDocument(text, { uniqueKeys: true, merge: true, logLevel: 'error' });
    for (const { code, linePos, pos } of strict.errors) {
      if (code !== 'DUPLICATE_KEY') continue;
      const key = /^[^:\s]+/.exec(text.slice(pos[0]))?.[0] ?? '';
      duplicates.push(`  line ${linePos?.[0].line ?? 0}: key ${/^"/.test(key) ? key : `"${key}"`} already set in map`);
    }
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    const unknown = /Unresolved alias[^:]*: (.+)/.exec(cause instanceof Error ? cause.message : '')?.[1];
    throw refuse(cause instanceof RangeError ? TOO_DEEP : unknown === undefined ? 'document contains excessive aliasing' : `unknown anchor '${unknown}' referenced`);
  }
  if (isDeeperThan(JSON.stringify(value) ?? '', MAX_DEPTH)) throw refuse(TOO_DEEP);
  return { value, strictErrors: duplicates.length === 0 ? [] : [DUPLICATES + duplicates.join('\n')] };
}

/** Each duplicate of a YAML text is a warning of its own. Source: apiserver pkg/endpoints/handlers/rest.go, parseYAMLWarnings. */
export function strictWarnings(errors: readonly string[]): string[] {
  return errors.flatMap((error) => {
    const start = error.indexOf(DUPLICATES);
    return start < 0 ? [error] : error.slice(start + DUPLICATES.length).split('\n').map((line) => line.trim());
  });
}

/** Throws BadRequest or UnsupportedMediaType. */
export function parseBody({ bytes, contentType }: RawBody, expected: BodyKind, options: { decoders: readonly BodyDecoder[]; wantDuplicates: boolean }): ParsedBody {
  const mediaType = mediaTypeOf(contentType);
  const decoder = options.decoders.find((one) => one.mediaType === mediaType);
  if (decoder) return { value: decoder.decode(bytes, expected), strictErrors: [] };
  if (mediaType === 'application/yaml') {
    try {
      return parseYaml(bytes.toString('utf8'), options.wantDuplicates);
    } catch (error) {
      if (!(error instanceof YamlError)) throw error;
      throw unrecognized(expected, bytes, error.message);
    }
  }
  if (mediaType !== 'application/json' && mediaType !== '') {
    throw unsupportedMediaType();
  }
  const text = bytes.toString('utf8');
  if (isDeeperThan(text, MAX_DEPTH)) throw unrecognized(expected, bytes, `couldn't get version/kind; json parse error: ${TOO_DEEP}`);
  try {
    return { value: JSON.parse(text), strictErrors: options.wantDuplicates ? duplicateFields(text) : [] };
  } catch (error) {
    throw unrecognized(expected, bytes, `couldn't get version/kind; json parse error: ${goJsonError(text, error)}`);
  }
}

/** `options`: CreateOptions, UpdateOptions or PatchOptions. Throws Invalid. */
export function parseFieldValidation(value: string | null, options: string): FieldValidation {
  if (value === null || value === '') return 'Warn';
  if (value === 'Ignore' || value === 'Warn' || value === 'Strict') return value;
  throw invalidObject({ group: 'meta.k8s.io', kind: options }, '', [notSupported('fieldValidation', value, ['Ignore', 'Strict', 'Warn'])]);
}

const apiVersionOf = ({ group, version }: BodyKind): string => (group === '' ? version : `${group}/${version}`);

export const cannotBeHandled = (expected: BodyKind, text: string): Error =>
  badRequest(`${expected.kind} in version "${expected.version}" cannot be handled as a ${expected.kind}: ${text}`);

/** Reports or refuses what strict decoding found. */
export function judgeStrictErrors(expected: BodyKind, errors: readonly string[], validation: FieldValidation, warn: (text: string) => void): void {
  if (errors.length === 0 || validation === 'Ignore') return;
  if (validation === 'Warn') return strictWarnings(errors).forEach(warn);
  throw cannotBeHandled(expected, `strict decoding error: ${errors.join(', ')}`);
}

export interface DecodeOptions {
  readonly decoders: readonly BodyDecoder[];
  readonly validation: FieldValidation;
  readonly warn: (text: string) => void;
}

/** Throws BadRequest in upstream's words. Defaults are not filled in yet. */
export function decodeObject(body: RawBody, expected: BodyKind, { decoders, validation, warn }: DecodeOptions): KubernetesObject {
  const { value: parsed, strictErrors } = parseBody(body, expected, { decoders, wantDuplicates: validation !== 'Ignore' });
  const value = parsed === null ? {} : parsed; // Go decodes null into a struct as if nothing were said
  if (!isRecord(value)) throw unrecognized(expected, body.bytes, `couldn't get version/kind; json parse error: json: cannot unmarshal ${Array.isArray(value) ? 'array' : typeof value} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`);
  return checkStructure(value, expected, { strictErrors, validation, warn });
}

export function checkStructure(
  value: Record<string, unknown>, expected: BodyKind,
  { strictErrors, validation, warn }: { strictErrors: readonly string[]; validation: FieldValidation; warn: (text: string) => void },
): KubernetesObject {
  const { kind } = value;
  const expectedVersion = apiVersionOf(expected);
  const isOtherVersion = expected.alsoVersions?.some((version) => value['apiVersion'] === apiVersionOf({ ...expected, version })) === true;
  const apiVersion = isOtherVersion ? expectedVersion : value['apiVersion'];
  if (typeof kind === 'string' && kind !== '' && kind !== expected.kind) {
    throw badRequest(typeof apiVersion === 'string' && apiVersion !== '' && apiVersion !== expectedVersion
      ? `no kind "${kind}" is registered for version "${apiVersion}" in scheme "pkg/api/legacyscheme/scheme.go:30"`
      : `${kind} in version "${expected.version}" cannot be handled as a ${expected.kind}: converting (${expected.version}.${kind}) to (${expected.group === '' ? 'core' : expected.group.split('.')[0] ?? ''}.${expected.kind}): unknown conversion`);
  }
  if (typeof apiVersion === 'string' && apiVersion !== '' && apiVersion !== expectedVersion) {
    throw badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${expectedVersion})`);
  }
  try {
    const decoded = decodeStructure(value, expected.schema);
    judgeStrictErrors(expected, [...strictErrors, ...decoded.strictErrors], validation, warn);
    const object = decoded.object as unknown as KubernetesObject;
    object.apiVersion = expectedVersion;
    object.kind = expected.kind;
    object.metadata ??= {} as KubernetesObject['metadata'];
    return object;
  } catch (error) {
    if (!(error instanceof StructureError)) throw error;
    throw cannotBeHandled(expected, error.message);
  }
}
