// Custom resources in the documents: their definitions' schemas, as CustomResourceDefinitions state them.
// Source: apiextensions-apiserver pkg/controller/openapi/builder, pkg/controller/openapi/v2/conversion.go.
import type { AnyKind } from '#lib/kinds/define-kind.ts';
import type { JSONSchemaProps } from '#lib/kinds/types/apiextensions-v1.ts';
import type { Descriptions } from './descriptions.ts';
import { reference, type Dialect, type JsonSchema } from './json-schema.ts';

export interface CustomType {
  readonly kind: AnyKind;
  /** Absent: the definition has none. */
  readonly schema: JSONSchemaProps | undefined;
}

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
/** Whose fields are described like those of every object. */
const TYPICAL = 'io.k8s.api.core.v1.ConfigMap';
const COMBINATIONS = ['allOf', 'anyOf', 'oneOf', 'not'] as const;

export const OBJECT_META = `${META}.ObjectMeta`;
export const LIST_META = `${META}.ListMeta`;

/** `com.example.stable.v1.CronTab` */
export const customName = ({ group, version, kind }: AnyKind): string => [...group.split('.').reverse(), version, kind].join('.');

/** The kind as the documents name it. */
export const asPublished = (kind: AnyKind): AnyKind => ({ ...kind, schema: customName(kind) });

const isSchema = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null && !Array.isArray(value);
const mapSchemas = (of: unknown, change: (schema: JsonSchema) => JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(of as Record<string, unknown>).map(([name, value]) => [name, isSchema(value) ? change(value) : value]));

/** Every schema in `schema`, itself first. */
function mapped(schema: JsonSchema, change: (one: JsonSchema) => JsonSchema): JsonSchema {
  const inner = (one: JsonSchema): JsonSchema => mapped(one, change);
  const changed = change(schema);
  const { properties, items, additionalProperties } = changed;
  return {
    ...changed,
    ...(isSchema(properties) ? { properties: mapSchemas(properties, inner) } : {}),
    ...(isSchema(items) ? { items: inner(items) } : {}),
    ...(isSchema(additionalProperties) ? { additionalProperties: inner(additionalProperties) } : {}),
  };
}

const without = (schema: JsonSchema, ...names: readonly string[]): JsonSchema => Object.fromEntries(Object.entries(schema).filter(([name]) => !names.includes(name)));

/** v2 cannot say null, nor combine schemas, nor tell that more is allowed than what it lists. */
function forV2(schema: JsonSchema): JsonSchema {
  let result = without(schema, ...COMBINATIONS, 'nullable');
  if (schema['nullable'] === true || schema['x-kubernetes-preserve-unknown-fields'] === true) result = without(result, 'type', 'items', 'properties', 'additionalProperties', 'required');
  if (schema['x-kubernetes-int-or-string'] === true) result = without(result, 'type');
  if (typeof result['additionalProperties'] === 'boolean') result = without(result, 'additionalProperties');
  if (isSchema(result['properties']) && Array.isArray(result['required'])) {
    const { properties } = schema as { properties: Record<string, JsonSchema> };
    const required = (result['required'] as string[]).filter((name) => properties[name]?.['nullable'] !== true);
    result = required.length === 0 ? without(result, 'required') : { ...result, required };
  }
  return result;
}

function objectFields(dialect: Dialect, { definitions }: Descriptions): JsonSchema {
  const described = (field: string): JsonSchema => {
    const description = definitions[TYPICAL]?.texts[field];
    return description === undefined ? {} : { description };
  };
  const metadata = reference(OBJECT_META, dialect);
  return {
    apiVersion: { ...described('apiVersion'), type: 'string' }, kind: { ...described('kind'), type: 'string' },
    metadata: dialect === 'v2' ? { ...described('metadata'), ...metadata } : { ...described('metadata'), allOf: [metadata] },
  };
}

/** The definitions of one custom type: of an object and of a list. */
export function customDefinitions({ kind, schema }: CustomType, dialect: Dialect, descriptions: Descriptions): [name: string, definition: JsonSchema][] {
  const fields = objectFields(dialect, descriptions);
  const embedding = (one: JsonSchema): JsonSchema =>
    (one['x-kubernetes-embedded-resource'] === true && !(dialect === 'v2' && one['x-kubernetes-preserve-unknown-fields'] === true)
      ? { ...one, properties: { ...(one['properties'] as object | undefined), ...fields } } : one);
  const gvk = (name: string) => ({ 'x-kubernetes-group-version-kind': [{ group: kind.group, kind: name, version: kind.version }] });
  const whole = schema as JsonSchema | undefined;
  const name = customName(kind);
  let object: JsonSchema = { type: 'object' }; // more cannot be said without forbidding what is not listed
  if (whole !== undefined && !(dialect === 'v2' && whole['x-kubernetes-preserve-unknown-fields'] === true)) {
    const converted = mapped(whole, (one) => embedding(dialect === 'v2' ? forV2(one) : one));
    object = { ...converted, type: 'object', properties: { ...(converted['properties'] as object | undefined), ...fields } };
  }
  const list = {
    description: `${kind.listKind} is a list of ${kind.kind}`, type: 'object', required: ['items'],
    properties: {
      ...fields,
      items: { description: `List of ${kind.plural}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md`, type: 'array', items: reference(name, dialect) },
      metadata: dialect === 'v2' ? reference(LIST_META, dialect) : { allOf: [reference(LIST_META, dialect)] },
    },
  };
  return [[name, { ...object, ...gvk(kind.kind) }], [`${name}List`, { ...list, ...gvk(kind.listKind) }]];
}
