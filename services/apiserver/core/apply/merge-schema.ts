// How values of each type are merged and owned: compiled once from the published definitions, when first needed.
// Source: kube-openapi pkg/schemaconv; structured-merge-diff v6 schema.
import { alwaysPresent, definitions, listKeys, type ListKeys } from '#lib/kinds/openapi/schemas.ts';

export type ScalarKind = 'numeric' | 'string' | 'boolean' | 'untyped';

export interface ScalarType {
  readonly is: 'scalar';
  readonly scalar: ScalarKind;
}
export interface ListType {
  readonly is: 'list';
  readonly relation: 'atomic' | 'set' | 'map';
  readonly item: MergeType;
  /** In alphabetical order, with what counts when an item leaves the key out. */
  readonly keys: readonly { readonly name: string; readonly default: unknown }[];
}
export interface MapType {
  readonly is: 'map';
  readonly isAtomic: boolean;
  /** Of a struct; undefined: any key is as good as another. */
  readonly fields: ReadonlyMap<string, MergeField> | undefined;
  /** Of what is no field of `fields`; undefined: there is nothing else. */
  readonly element: MergeType | undefined;
}
/** No schema: maps merge key by key, lists as a whole. `isAtomic`: maps as a whole, too. */
export interface DeducedType {
  readonly is: 'deduced';
  readonly isAtomic: boolean;
}
export type MergeType = ScalarType | ListType | MapType | DeducedType;

export interface MergeField {
  /** As in a set of fields: `f:spec`. */
  readonly element: string;
  readonly type: MergeType;
  /** What Go has in its place when nothing is given: a struct held by value, or a list or map that is not left out. */
  readonly zero: object | undefined;
}

export const DEDUCED: DeducedType = { is: 'deduced', isAtomic: false };
const UNTYPED_ATOMIC: DeducedType = { is: 'deduced', isAtomic: true };
const DEDUCED_LIST: ListType = { is: 'list', relation: 'atomic', item: UNTYPED_ATOMIC, keys: [] };
const DEDUCED_MAP: MapType = { is: 'map', isAtomic: false, fields: undefined, element: DEDUCED };
const ATOMIC_MAP: MapType = { is: 'map', isAtomic: true, fields: undefined, element: UNTYPED_ATOMIC };
const UNTYPED: ScalarType = { is: 'scalar', scalar: 'untyped' };

/** What a value without schema is. */
export function deduce(type: MergeType, value: unknown): ScalarType | ListType | MapType {
  if (type.is !== 'deduced') return type;
  if (Array.isArray(value)) return DEDUCED_LIST;
  if (typeof value === 'object' && value !== null) return type.isAtomic ? ATOMIC_MAP : DEDUCED_MAP;
  return UNTYPED;
}

const SCALARS: Readonly<Record<string, ScalarKind>> = {
  string: 'string', bytes: 'string', bool: 'boolean', int: 'numeric', int32: 'numeric', int64: 'numeric', double: 'numeric', number: 'numeric',
};

/** Custom resources are no structs: nothing is there that is not given. */
const isGoStruct = (definition: string): boolean => definition.startsWith('io.k8s.');

const ZEROS: Readonly<Record<string, object>> = { map: Object.freeze({}), list: Object.freeze([]) };

const ofDefinition = new Map<string, MergeType>();

/** A definition that is not known has no schema. */
export function mergeTypeOf(definition: string): MergeType {
  const known = ofDefinition.get(definition);
  if (known) return known;
  const raw = definitions[definition];
  const scalar = raw?.type ?? (raw as { readonly scalar?: string } | undefined)?.scalar;
  if (!raw?.fields) {
    const type = scalar === undefined ? DEDUCED : parseType(scalar, undefined);
    ofDefinition.set(definition, type);
    return type;
  }
  const keys = listKeys[definition];
  const fields = new Map<string, MergeField>();
  const type: MapType = { is: 'map', isAtomic: keys?.['$self']?.mapType === 'atomic', fields, element: undefined };
  ofDefinition.set(definition, type); // before its fields: JSONSchemaProps holds itself
  for (const [name, text] of Object.entries(raw.fields)) {
    const fieldType = parseType(text.replace(/!$/, ''), keys?.[name]);
    const isPresent = (isGoStruct(definition) && text.endsWith('!')) || (alwaysPresent[definition]?.includes(name) ?? false);
    fields.set(name, { element: `f:${name}`, type: fieldType, zero: isPresent ? ZEROS[fieldType.is] : undefined });
  }
  return type;
}

function parseType(text: string, keys: ListKeys | undefined): MergeType {
  if (text.startsWith('[]')) {
    const item = parseType(text.slice(2), undefined);
    if (keys?.listType === 'set') return { is: 'list', relation: 'set', item, keys: [] };
    if (keys?.listType === 'map') return { is: 'list', relation: 'map', item, keys: [...(keys.listMapKeys ?? [])].sort().map((name) => ({ name, default: keyDefault(text.slice(2), name) })) };
    return { is: 'list', relation: 'atomic', item, keys: [] };
  }
  if (text.startsWith('map:')) return { is: 'map', isAtomic: keys?.mapType === 'atomic', fields: undefined, element: parseType(text.slice(4), undefined) };
  if (text.startsWith('ref:')) {
    const type = mergeTypeOf(text.slice(4));
    return type.is === 'map' && keys?.mapType !== undefined ? { ...type, isAtomic: keys.mapType === 'atomic' } : type;
  }
  if (text === 'raw-object' || text === 'object') return keys?.mapType === 'atomic' ? ATOMIC_MAP : DEDUCED_MAP;
  if (text === 'any') return UNTYPED_ATOMIC;
  return { is: 'scalar', scalar: SCALARS[text] ?? 'untyped' };
}

/** The default of the schema, or Go's zero value of a field that is always there. */
function keyDefault(itemType: string, name: string): unknown {
  if (!itemType.startsWith('ref:')) return undefined;
  const definition = itemType.slice(4);
  const stated = listKeys[definition]?.[name]?.default;
  if (stated !== undefined) return stated;
  if (!isGoStruct(definition)) return undefined;
  const field = definitions[definition]?.fields?.[name];
  if (field === 'string!') return '';
  return field === 'int32!' || field === 'int64!' ? 0 : undefined;
}
