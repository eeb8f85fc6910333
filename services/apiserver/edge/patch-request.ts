// PATCH bodies: which of the three formats, and how one is applied to the stored object.
// Source: apiserver pkg/endpoints/handlers/patch.go.
import { parse as parseYaml } from 'yaml';
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { badRequest, failure, StatusError } from '#lib/machinery/status-error.ts';
import { applyJsonPatch, JsonPatchError, JsonPatchFormatError } from '../core/patch/json-patch.ts';
import { isRecord } from '../core/patch/json-value.ts';
import { applyMergePatch } from '../core/patch/merge-patch.ts';
import { applyStrategicMergePatch, StrategicPatchError } from '../core/patch/strategic-merge-patch.ts';
import { duplicateFields } from '../core/duplicate-fields.ts';
import { isDeeperThan, MAX_DEPTH, TOO_DEEP } from '../core/nesting.ts';
import { decodeStructure, StructureError } from '../core/schema.ts';
import { mediaTypeOf, type FieldValidation, type RawBody } from './body.ts';

const PATCH_TYPES = {
  'application/json-patch+json': 'json', 'application/merge-patch+json': 'merge', 'application/strategic-merge-patch+json': 'strategic',
} as const;
type PatchType = (typeof PATCH_TYPES)[keyof typeof PATCH_TYPES];

export interface PatchTarget {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly schema: string;
}

/** Applies the patch to a copy of `current`. */
export type ApplyPatch = (current: KubernetesObject) => KubernetesObject;

function patchTypeOf(contentType: string): PatchType {
  const type = (PATCH_TYPES as Readonly<Record<string, PatchType | undefined>>)[mediaTypeOf(contentType)];
  if (type) return type;
  const known = Object.keys(PATCH_TYPES).join(', ');
  throw failure(415, 'UnsupportedMediaType', `the body of the request was in an unknown format - accepted media types include: ${known}`);
}

function parse(bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  if (isDeeperThan(text, MAX_DEPTH)) throw badRequest(`error decoding patch: ${TOO_DEEP}`);
  try {
    return JSON.parse(text);
  } catch {
    try {
      const value = parseYaml(text) as unknown; // patches of kubectl may come as YAML
      if (typeof value === 'object' && value !== null) return value;
    } catch {
      // neither JSON nor YAML: told below
    }
    throw badRequest(`error decoding patch: invalid character '${text.trimStart()[0] ?? ''}' looking for beginning of value`);
  }
}

function run(type: PatchType, current: KubernetesObject, patch: unknown, target: PatchTarget): unknown {
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
    if (error instanceof StrategicPatchError) throw error.isBadFormat ? badRequest(error.message) : failure(500, 'InternalError', `Internal error occurred: ${error.message}`);
    throw error;
  }
}

const unacceptable = (patched: unknown, text: string): StatusError => {
  const body = `Invalid value: ${JSON.stringify(JSON.stringify(patched))}: ${text}`;
  return failure(422, 'Invalid', ` "" is invalid: patch: ${body}`, { causes: [{ reason: 'FieldValueInvalid', message: body, field: 'patch' }] });
};

/** Throws UnsupportedMediaType or BadRequest for a patch that cannot be one. */
export function preparePatch({ bytes, contentType }: RawBody, target: PatchTarget, options: { validation: FieldValidation; warn: (text: string) => void }): ApplyPatch {
  const type = patchTypeOf(contentType);
  const patch = parse(bytes);
  const { validation, warn } = options;
  const duplicates = validation === 'Ignore' ? [] : safeDuplicates(bytes);
  return (current) => {
    const patched = run(type, current, patch, target);
    if (!isRecord(patched)) throw unacceptable(patched, `json: cannot unmarshal ${Array.isArray(patched) ? 'array' : typeof patched} into Go value of type ${target.version}.${target.kind}`);
    try {
      const decoded = decodeStructure(patched, target.schema);
      const strictErrors = [...duplicates, ...decoded.strictErrors];
      if (strictErrors.length > 0 && validation === 'Strict') throw unacceptable(patched, `strict decoding error: ${strictErrors.join(', ')}`);
      if (validation === 'Warn') strictErrors.forEach(warn);
      const object = decoded.object as unknown as KubernetesObject;
      object.metadata ??= {} as KubernetesObject['metadata'];
      return checkKind(object, target);
    } catch (error) {
      if (!(error instanceof StructureError)) throw error;
      throw unacceptable(patched, error.message);
    }
  };
}

function safeDuplicates(bytes: Buffer): string[] {
  const text = bytes.toString('utf8');
  return /^\s*\{/.test(text) && isJson(text) ? duplicateFields(text) : [];
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
