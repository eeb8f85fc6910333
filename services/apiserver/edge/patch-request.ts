// PATCH bodies: which of the four formats, and how one is applied to the stored object.
// Source: apiserver pkg/endpoints/handlers/patch.go.
import { parse as parseYaml } from 'yaml';
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { goJsonError } from '#lib/machinery/go-json-error.ts';
import { badRequest, failure, type StatusError } from '#lib/machinery/status-error.ts';
import { applyConfiguration, type ApplyWrite } from '../core/apply/managed-fields.ts';
import { applyJsonPatch, JsonPatchError, JsonPatchFormatError } from '../core/patch/json-patch.ts';
import { isRecord } from '../core/patch/json-value.ts';
import { applyMergePatch } from '../core/patch/merge-patch.ts';
import { applyStrategicMergePatch, StrategicPatchError } from '../core/patch/strategic-merge-patch.ts';
import { duplicateFields } from '../core/duplicate-fields.ts';
import { isDeeperThan, MAX_DEPTH, TOO_DEEP } from '../core/nesting.ts';
import { decodeStructure, StructureError } from '../core/schema.ts';
import { mediaTypeOf, parseYaml as parseYamlBody, strictWarnings, YamlError, type FieldValidation, type ParsedBody, type RawBody } from './body.ts';

const PATCH_TYPES = {
  'application/json-patch+json': 'json', 'application/merge-patch+json': 'merge', 'application/strategic-merge-patch+json': 'strategic', 'application/apply-patch+yaml': 'apply',
} as const;
type PatchType = (typeof PATCH_TYPES)[keyof typeof PATCH_TYPES];

export interface PatchTarget {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly schema: string;
}

/** Applies the patch to a copy of `current`; without one (an apply may create) to nothing. */
export interface ApplyPatch {
  (current: KubernetesObject | undefined): KubernetesObject;
  /** Server-side apply: managedFields are settled. */
  readonly isApply: boolean;
}

export const isApplyRequest = ({ contentType }: RawBody): boolean => mediaTypeOf(contentType) === 'application/apply-patch+yaml';

/** Strategic merge is only for types that upstream has compiled in. */
function patchTypeOf(contentType: string, { schema }: PatchTarget): PatchType {
  const types = Object.fromEntries(Object.entries(PATCH_TYPES).filter(([, type]) => type !== 'strategic' || schema.startsWith('io.k8s.'))) as Readonly<Record<string, PatchType | undefined>>;
  const type = types[mediaTypeOf(contentType)];
  if (type) return type;
  const known = Object.keys(types).join(', ');
  throw failure(415, 'UnsupportedMediaType', `the body of the request was in an unknown format - accepted media types include: ${known}`);
}

/** As it came, of whatever type. Throws BadRequest. */
export const parsePatch = ({ bytes }: RawBody): unknown => parse(bytes);

function parse(bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  if (isDeeperThan(text, MAX_DEPTH)) throw badRequest(`error decoding patch: ${TOO_DEEP}`);
  try {
    return JSON.parse(text);
  } catch (error) {
    try {
      const value = parseYaml(text) as unknown; // patches of kubectl may come as YAML
      if (typeof value === 'object' && value !== null) return value;
    } catch {
      // neither JSON nor YAML: told below
    }
    throw badRequest(`error decoding patch: ${goJsonError(text, error)}`);
  }
}

function run(type: Exclude<PatchType, 'apply'>, current: KubernetesObject, patch: unknown, target: PatchTarget): unknown {
  try {
    switch (type) {
      case 'json': return applyJsonPatch(current, patch);
      case 'merge':
        if (!isRecord(patch)) throw badRequest('error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}');
        return applyMergePatch(structuredClone(current), patch);
      case 'strategic': return applyStrategicMergePatch(structuredClone(current), patch, target.schema);
    }
  } catch (error) {
    if (error instanceof JsonPatchFormatError) throw badRequest(`error decoding patch: ${error.message}`);
    if (error instanceof JsonPatchError) throw failure(422, 'Invalid', 'the server rejected our request due to an error in our request', {});
    if (error instanceof StrategicPatchError) throw badRequest(error.message); // upstream calls some of these internal errors; the mistake is the client's all the same
    throw error;
  }
}

const unacceptable = (patched: unknown, text: string): StatusError => {
  const body = `Invalid value: ${JSON.stringify(JSON.stringify(patched))}: ${text}`;
  return failure(422, 'Invalid', ` "" is invalid: patch: ${body}`, { causes: [{ reason: 'FieldValueInvalid', message: body, field: 'patch' }] });
};

export interface PatchOptions {
  readonly validation: FieldValidation;
  readonly warn: (text: string) => void;
  /** For server-side apply. */
  readonly write: () => ApplyWrite;
}

/** Throws UnsupportedMediaType or BadRequest for a patch that cannot be one. */
export function preparePatch(body: RawBody, target: PatchTarget, options: PatchOptions): ApplyPatch {
  const type = patchTypeOf(body.contentType, target);
  return type === 'apply' ? prepareApply(body, target, options) : prepareMerge(type, body, target, options);
}

function prepareMerge(type: Exclude<PatchType, 'apply'>, { bytes }: RawBody, target: PatchTarget, { validation, warn }: PatchOptions): ApplyPatch {
  const patch = parse(bytes);
  // entries of managedFields are many: only who names them works on them
  const namesEntries = bytes.includes('managedFields');
  const duplicates = validation === 'Ignore' ? [] : type === 'json' ? operationErrors(bytes, patch) : safeDuplicates(bytes);
  const patching = (current: KubernetesObject | undefined): KubernetesObject => {
    const entries = namesEntries ? undefined : current?.metadata.managedFields;
    const patched = run(type, entries ? withoutEntries(current as KubernetesObject) : (current as KubernetesObject), patch, target);
    if (!isRecord(patched)) throw unacceptable(patched, `json: cannot unmarshal ${Array.isArray(patched) ? 'array' : typeof patched} into Go value of type ${target.version}.${target.kind}`);
    try {
      const decoded = decodeStructure(patched, target.schema);
      const strictErrors = [...duplicates, ...decoded.strictErrors];
      if (strictErrors.length > 0 && validation === 'Strict') throw unacceptable(patched, `strict decoding error: ${strictErrors.join(', ')}`);
      if (validation === 'Warn') strictErrors.forEach(warn);
      const object = decoded.object as unknown as KubernetesObject;
      object.metadata ??= {} as KubernetesObject['metadata'];
      if (entries) object.metadata.managedFields = entries;
      return checkKind(object, target);
    } catch (error) {
      if (!(error instanceof StructureError)) throw error;
      throw unacceptable(patched, error.message);
    }
  };
  return Object.assign(patching, { isApply: false });
}

function withoutEntries(object: KubernetesObject): KubernetesObject {
  const { managedFields: _managedFields, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** Source: applyPatcher of apiserver pkg/endpoints/handlers/patch.go. */
function prepareApply({ bytes }: RawBody, target: PatchTarget, { validation, warn, write }: PatchOptions): ApplyPatch {
  const { value, strictErrors } = parseConfiguration(bytes, validation !== 'Ignore');
  const { group, version, kind, schema } = target;
  const apiVersion = group === '' ? version : `${group}/${version}`;
  const applying = (current: KubernetesObject | undefined): KubernetesObject => {
    const own = write();
    // a subresource of a kind of its own, such as Scale
    const asTarget = own.kind.schema === schema ? own : { ...own, kind: { group, version, kind, schema, apiVersion, subresources: {} }, versions: [] };
    const applied = applyConfiguration(current, value, asTarget);
    if (strictErrors.length > 0 && validation === 'Strict') throw badRequest(`error strict decoding patch: ${strictErrors.join(', ')}`);
    strictWarnings(strictErrors).forEach(warn);
    try {
      const object = decodeStructure(applied, schema).object as unknown as KubernetesObject;
      object.metadata ??= {} as KubernetesObject['metadata'];
      return checkKind(object, target);
    } catch (error) {
      if (!(error instanceof StructureError)) throw error;
      const { name = '', namespace = '' } = applied.metadata;
      throw failure(500, undefined, `failed to convert new typed object (${namespace}/${name}; ${group}/${version}, Kind=${kind}) to object: ${error.message}`);
    }
  };
  return Object.assign(applying, { isApply: true });
}

function parseConfiguration(bytes: Buffer, wantDuplicates: boolean): { readonly value: Record<string, unknown>; readonly strictErrors: readonly string[] } {
  const parsed = parseApplied(bytes.toString('utf8'), wantDuplicates);
  const value = parsed.value ?? {};
  if (!isRecord(value)) throw badRequest(`error decoding patch: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${Array.isArray(value) ? 'array' : typeof value} into Go value of type map[string]interface {}`);
  return { value, strictErrors: parsed.strictErrors.map((text) => `error converting YAML to JSON: ${text}`) };
}

function parseApplied(text: string, wantDuplicates: boolean): ParsedBody {
  try {
    return parseYamlBody(text, wantDuplicates);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw badRequest(`error decoding patch: error converting YAML to JSON: ${error.message}`);
  }
}

function safeDuplicates(bytes: Buffer): string[] {
  const text = bytes.toString('utf8');
  return /^\s*[{[]/.test(text) && isJson(text) ? duplicateFields(text) : [];
}
const OPERATION_FIELDS: ReadonlySet<string> = new Set(['op', 'path', 'from', 'value']);
/** What strict decoding finds in the operations of a JSON patch themselves. */
function operationErrors(bytes: Buffer, patch: unknown): string[] {
  const operations = Array.isArray(patch) ? (patch as unknown[]) : [];
  const unknown = operations.flatMap((operation, index) => (isRecord(operation) ? Object.keys(operation) : []).filter((key) => !OPERATION_FIELDS.has(key)).map((key) => `unknown field "[${index}].${key}"`));
  return [...safeDuplicates(bytes), ...unknown].map((text) => `json patch ${text}`);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function checkKind(object: KubernetesObject, { group, version, kind }: PatchTarget): KubernetesObject {
  const apiVersion = group === '' ? version : `${group}/${version}`;
  if (object.kind !== undefined && object.kind !== kind) throw badRequest(`no kind "${object.kind}" is registered for version "${object.apiVersion ?? ''}" in scheme "pkg/api/legacyscheme/scheme.go:30"`);
  if (object.apiVersion !== undefined && object.apiVersion !== apiVersion) throw badRequest(`the API version in the data (${object.apiVersion}) does not match the expected API version (${apiVersion})`);
  object.kind = kind;
  object.apiVersion = apiVersion;
  return object;
}

export const patchTargetOf = ({ group, version, kind, schema }: AnyKind): PatchTarget => ({ group, version, kind, schema });
