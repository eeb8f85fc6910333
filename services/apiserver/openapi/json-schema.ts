// The published structure of objects as JSON schemas, in the dialects of OpenAPI v2 and v3.
import type { DefinitionTexts } from './descriptions.ts';
import { definitions, listKeys, type ListKeys, type SchemaDefinition } from '#lib/kinds/openapi/schemas.ts';

export type Dialect = 'v2' | 'v3';

/** A JSON value that is an object, as it will stand in the document. */
export interface JsonSchema {
  [key: string]: unknown;
}

const MACHINERY = 'io.k8s.apimachinery.pkg';
/** Types that are definitions of their own in the documents. */
const NAMED: Readonly<Record<string, string>> = {
  quantity: `${MACHINERY}.api.resource.Quantity`,
  'int-or-string': `${MACHINERY}.util.intstr.IntOrString`,
  'date-time': `${MACHINERY}.apis.meta.v1.Time`,
  'date-time-micro': `${MACHINERY}.apis.meta.v1.MicroTime`,
  'raw-object': `${MACHINERY}.runtime.RawExtension`,
};
export const DELETE_OPTIONS = `${MACHINERY}.apis.meta.v1.DeleteOptions`;
export const STATUS = `${MACHINERY}.apis.meta.v1.Status`;
export const RESOURCE_LIST = `${MACHINERY}.apis.meta.v1.APIResourceList`;
export const PATCH = `${MACHINERY}.apis.meta.v1.Patch`;

const scalarOf = (definition: SchemaDefinition): string | undefined => definition.type ?? (definition as { readonly scalar?: string }).scalar;

export const reference = (definition: string, dialect: Dialect): JsonSchema =>
  ({ $ref: `#/${dialect === 'v2' ? 'definitions' : 'components/schemas'}/${definition}` });

/** Every definition that the given ones lead to, themselves included, in order of name. */
export function reachable(roots: Iterable<string>): string[] {
  const found = new Set<string>();
  const pending = [...roots];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const definition = definitions[name];
    if (found.has(name) || !definition) continue;
    found.add(name);
    for (const type of Object.values(definition.fields ?? {})) {
      const base = type.replace(/!$/, '').replace(/^(?:\[\]|map:)+/, '');
      const target = base.startsWith('ref:') ? base.slice('ref:'.length) : NAMED[base];
      if (target !== undefined) pending.push(target);
    }
  }
  return [...found].sort();
}

function typeSchema(type: string, dialect: Dialect): JsonSchema {
  if (type.startsWith('[]')) return { items: typeSchema(type.slice(2), dialect), type: 'array' };
  if (type.startsWith('map:')) return { additionalProperties: typeSchema(type.slice(4), dialect), type: 'object' };
  if (type.startsWith('ref:')) return reference(type.slice(4), dialect);
  const named = NAMED[type];
  return named === undefined ? scalarSchema(type, dialect) : reference(named, dialect);
}

function scalarSchema(type: string, dialect: Dialect): JsonSchema {
  switch (type) {
    case 'string': return { type: 'string' };
    case 'bool': return { type: 'boolean' };
    case 'int32':
    case 'int64': return { format: type, type: 'integer' };
    case 'int': return { type: 'integer' };
    case 'double': return { format: 'double', type: 'number' };
    case 'bytes': return { format: 'byte', type: 'string' };
    case 'date-time': return { format: 'date-time', type: 'string' };
    case 'int-or-string': return dialect === 'v2' ? { format: 'int-or-string', type: 'string' } : { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] };
    case 'object': return { type: 'object' };
    case 'any': return {};
    default: throw new Error(`no schema for the type ${type}`);
  }
}

function mergeExtensions(keys: ListKeys | undefined): JsonSchema {
  if (!keys) return {};
  return {
    ...(keys.listMapKeys === undefined ? {} : { 'x-kubernetes-list-map-keys': keys.listMapKeys }),
    ...(keys.listType === undefined ? {} : { 'x-kubernetes-list-type': keys.listType }),
    ...(keys.mapType === undefined ? {} : { 'x-kubernetes-map-type': keys.mapType }),
    ...(keys.patchMergeKey === undefined ? {} : { 'x-kubernetes-patch-merge-key': keys.patchMergeKey }),
    ...(keys.patchStrategy === undefined ? {} : { 'x-kubernetes-patch-strategy': keys.patchStrategy }),
    ...(keys.unions === undefined ? {} : { 'x-kubernetes-unions': keys.unions }),
  };
}

interface FieldTexts {
  readonly description: string | undefined;
  readonly values: readonly string[] | undefined;
}

function fieldSchema(type: string, keys: ListKeys | undefined, { description, values }: FieldTexts, dialect: Dialect): JsonSchema {
  const base = typeSchema(type, dialect);
  const schema = values === undefined ? base : withEnum(base, values);
  const rest = { ...(keys?.default === undefined ? {} : { default: keys.default }), ...mergeExtensions(keys) };
  const texts = description === undefined ? {} : { description };
  if (Object.keys(rest).length === 0 && description === undefined) return schema;
  // In v3 a reference has no neighbours.
  return dialect === 'v3' && '$ref' in schema ? { allOf: [schema], ...texts, ...rest } : { ...texts, ...schema, ...rest };
}

/** Of a string, or of the items of a list. */
function withEnum(schema: JsonSchema, values: readonly string[]): JsonSchema {
  if (schema['type'] === 'string') return { ...schema, enum: values };
  const items = schema['items'] as JsonSchema | undefined;
  return items?.['type'] === 'string' ? { ...schema, items: { ...items, enum: values } } : schema;
}

export interface GroupVersionKind {
  readonly group: string;
  readonly kind: string;
  readonly version: string;
}

/** `apps/v1/Deployment` or `v1/Pod`, as types.json writes it. */
export function parseGvk(text: string): GroupVersionKind {
  const parts = text.split('/');
  const [group = '', version = '', kind = ''] = parts.length === 2 ? ['', ...parts] : parts;
  return { group, kind, version };
}

/** `groupVersions`: those served; DeleteOptions belongs to all of them. */
export function definitionSchema(
  name: string, dialect: Dialect, { groupVersions, texts }: { readonly groupVersions: readonly Omit<GroupVersionKind, 'kind'>[]; readonly texts: DefinitionTexts | undefined },
): JsonSchema {
  const definition = definitions[name];
  if (!definition) throw new Error(`no definition of ${name}`);
  const about = texts?.texts['']; // empty for a type that upstream does not describe either
  const description = about === undefined || about === '' ? {} : { description: about };
  if (dialect === 'v3' && name === NAMED['quantity']) return { ...description, oneOf: [{ type: 'string' }, { type: 'number' }] };
  const scalar = scalarOf(definition);
  if (scalar !== undefined) return { ...description, ...scalarSchema(scalar, dialect) };
  const fields = Object.entries(definition.fields ?? {});
  const keys = listKeys[name];
  const needed = fields.filter(([, type]) => type.endsWith('!')).map(([field]) => field);
  const gvks = name === DELETE_OPTIONS
    ? groupVersions.map(({ group, version }) => ({ group, kind: 'DeleteOptions', version }))
    : Array.isArray(definition.gvk) ? definition.gvk.map((text: string) => parseGvk(text)) : [];
  const property = (field: string, type: string): JsonSchema =>
    fieldSchema(type.replace(/!$/, ''), keys?.[field], { description: texts?.texts[field], values: texts?.enums?.[field] }, dialect);
  return {
    ...description,
    ...(fields.length === 0 ? {} : { properties: Object.fromEntries(fields.map(([field, type]) => [field, property(field, type)])) }),
    ...(needed.length === 0 ? {} : { required: needed }),
    type: 'object',
    ...(gvks.length === 0 ? {} : { 'x-kubernetes-group-version-kind': gvks }),
    ...mergeExtensions(keys?.['$self']),
  };
}

let byGvk: ReadonlyMap<string, string> | undefined;

/** Name of the definition of `apps/v1/Deployment` or `v1/Pod`. */
export function definitionOfKind(gvk: string): string | undefined {
  byGvk ??= new Map(Object.entries(definitions).flatMap(([name, { gvk: texts }]) => (Array.isArray(texts) ? texts.map((text: string) => [text, name] as const) : [])));
  return byGvk.get(gvk);
}
