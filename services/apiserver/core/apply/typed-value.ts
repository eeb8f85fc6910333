// Small questions about values in the light of their types: items of associative lists, types of fields.
// Source: structured-merge-diff v6 typed/helpers.go, typed/validate.go.
import { formatElement, formatPath, isEmptySet, keyElement, singleKeyElement, valueElement, type FieldSet, type MutableFieldSet } from './field-set.ts';
import { deduce, type ListType, type MapType, type MergeField, type MergeType, type ScalarType } from './merge-schema.ts';

export type Json = Record<string, unknown>;

export const isMap = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
export const ownValue = (map: Readonly<Json>, key: string): unknown => (Object.hasOwn(map, key) ? map[key] : undefined);

/** A value that does not fit its schema; the message starts with the path. */
export class TypedError extends Error {
  override readonly name = 'TypedError';
}

/** The element of a field and the type of what it holds; undefined: the schema has no such field. */
export function fieldOf(type: MapType, key: string): MergeField | undefined {
  const field = type.fields?.get(key);
  if (field) return field;
  return type.element && { element: `f:${key}`, type: type.element, zero: undefined };
}

/** Throws TypedError. */
export function itemElement(type: ListType, item: unknown): string {
  if (type.relation === 'set') {
    if (isMap(item)) throw new TypedError("associative list without keys has an element that's a map type");
    if (Array.isArray(item)) throw new TypedError('not supported: associative list with lists as elements');
    if (item === null || item === undefined) throw new TypedError("associative list without keys has an element that's an explicit null");
    return valueElement(item);
  }
  if (item === null || item === undefined) throw new TypedError('associative list with keys may not have a null element');
  if (!isMap(item)) throw new TypedError('associative list with keys may not have non-map elements');
  const [only, another] = type.keys;
  if (only && !another) {
    const value = ownValue(item, only.name) ?? only.default;
    if (value !== undefined) return singleKeyElement(only.name, value);
  }
  const keys: Json = {};
  for (const { name, default: byDefault } of type.keys) {
    const value = ownValue(item, name) ?? byDefault;
    if (value !== undefined) keys[name] = value;
  }
  if (isEmptySet(keys as MutableFieldSet)) {
    throw new TypedError(`associative list with keys has an element that omits all key fields [${type.keys.map(({ name }) => JSON.stringify(name)).join(' ')}] (and doesn't have default values for any key fields)`);
  }
  return keyElement(keys);
}

export function equalValues(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left)) return Array.isArray(right) && left.length === right.length && left.every((item, index) => equalValues(item, right[index]));
  if (Array.isArray(right)) return false;
  for (const key in left) {
    const value = (left as Json)[key];
    if (value !== undefined && !equalValues(value, ownValue(right as Json, key))) return false;
  }
  for (const key in right) if ((right as Json)[key] !== undefined && ownValue(left as Json, key) === undefined) return false;
  return true;
}

/** Go's %v and %#v of an unstructured value, as far as messages show it. */
function goValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(goValue).join(' ')}]`;
  if (isMap(value)) return `map[${Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => `${key}:${goValue(item)}`).join(' ')}]`;
  return value === null ? '<nil>' : String(value);
}
const goSyntax = (value: unknown): string => {
  if (Array.isArray(value)) return `[]interface {}{${value.map(goSyntax).join(', ')}}`;
  if (isMap(value)) return `map[string]interface {}{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${goSyntax(item)}`).join(', ')}}`;
  return value === null ? 'interface {}(nil)' : JSON.stringify(value);
};
const goTypeName = (value: unknown): string => {
  if (Array.isArray(value)) return '[]interface {}';
  if (isMap(value)) return 'map[string]interface {}';
  return typeof value === 'boolean' ? 'bool' : typeof value;
};

/** Everything in `value` that its type does not allow, as lines for an error. */
export function validateTyped(value: unknown, type: MergeType, options: { readonly allowDuplicates: boolean }): string[] {
  const problems: string[] = [];
  const tell = (path: readonly string[], text: string): void => void problems.push(path.length === 0 ? text : `${formatPath(path)}: ${text}`);
  const visit = (item: unknown, itemType: MergeType, path: readonly string[]): void => {
    if (item === null || item === undefined) return;
    const known = deduce(itemType, item);
    switch (known.is) {
      case 'scalar': return validateScalar(item, known, (text) => tell(path, text));
      case 'map': {
        if (!isMap(item)) return tell(path, `expected map, got &{${goValue(item)}}`);
        for (const key of Object.keys(item).sort()) {
          const field = fieldOf(known, key);
          if (!field) return tell([...path, `f:${key}`], 'field not declared in schema');
          visit(item[key], field.type, [...path, field.element]);
        }
        return;
      }
      case 'list': {
        if (!Array.isArray(item)) return tell(path, `expected list, got &{${goValue(item)}}`);
        const seen = new Set<string>();
        for (const [index, one] of item.entries()) {
          let element = `i:${index}`;
          if (known.relation !== 'atomic') {
            try {
              element = itemElement(known, one);
            } catch (error) {
              if (!(error instanceof TypedError)) throw error;
              return tell(path, `element ${index}: ${error.message}`);
            }
            if (seen.has(element) && !options.allowDuplicates) tell(path, `duplicate entries for key ${formatElement(element)}`);
            seen.add(element);
          }
          visit(one, known.item, [...path, element]);
        }
      }
    }
  };
  visit(value, type, []);
  return problems;
}

function validateScalar(value: unknown, { scalar }: ScalarType, tell: (text: string) => void): void {
  const isScalar = typeof value !== 'object';
  if (scalar === 'numeric' && typeof value !== 'number') tell(`expected numeric (int or float), got ${goTypeName(value)}`);
  else if (scalar === 'string' && typeof value !== 'string') tell(`expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`);
  else if (scalar === 'boolean' && typeof value !== 'boolean') tell(`expected boolean, got &{${goValue(value)}}`);
  else if (scalar === 'untyped' && !isScalar) tell(`expected any scalar, got &{${goValue(value)}}`);
}

/** Every leaf and every item that is mentioned in `value`. Source: typed/tofieldset.go. */
export function fieldSetOf(value: unknown, type: MergeType): FieldSet {
  const children: MutableFieldSet = {};
  addFields(value, type, children);
  return children;
}

/** Adds what lies below `value` to `into`; returns whether the value itself is a leaf. */
function addFields(value: unknown, type: MergeType, into: MutableFieldSet): boolean {
  const known = deduce(type, value);
  if (known.is === 'scalar') return true;
  if (known.is === 'map') {
    if (known.isAtomic) return true;
    if (!isMap(value)) return false;
    for (const key in value) {
      const item = value[key];
      const field = item === undefined ? undefined : fieldOf(known, key);
      if (!field) continue;
      const isField = known.fields?.has(key) ?? false;
      addChild(into, field.element, item, field.type, !isField || item === null || (isMap(item) && isEmptySet(item as MutableFieldSet)));
    }
    return false;
  }
  if (known.relation === 'atomic') return true;
  if (!Array.isArray(value)) return false;
  const items = new Map<string, unknown[]>();
  for (const item of value) {
    const element = itemElement(known, item);
    items.set(element, [...(items.get(element) ?? []), item]);
  }
  for (const [element, [first, ...others]] of items) {
    if (others.length > 0) into[element] = {}; // of duplicates only the item itself
    else addChild(into, element, first, known.item, true);
  }
  return false;
}

function addChild(into: MutableFieldSet, element: string, value: unknown, type: MergeType, isMember: boolean): void {
  const below: MutableFieldSet = {};
  const isLeaf = addFields(value, type, below);
  if (isEmptySet(below)) {
    if (isLeaf || isMember) into[element] = below;
    return;
  }
  if (isLeaf || isMember) below['.'] = {};
  into[element] = below;
}

/** The set, and with it every field of a struct that has members below. Source: EnsureNamedFieldsAreMembers of fieldpath/set.go. */
export function withNamedFields(set: FieldSet, type: MergeType | undefined): FieldSet {
  const result: MutableFieldSet = {};
  for (const element in set) {
    const child = set[element] as FieldSet;
    if (isEmptySet(child) || element === '.') {
      result[element] = {};
      continue;
    }
    const name = element.slice(2);
    let childType: MergeType | undefined;
    let isNamed = false;
    const known = type?.is === 'deduced' ? deduce(type, element[0] === 'f' ? {} : []) : type;
    if (element[0] === 'f' && known?.is === 'map') {
      isNamed = known.fields?.has(name) ?? false;
      childType = fieldOf(known, name)?.type;
    } else if (element[0] === 'k' && known?.is === 'list') {
      childType = known.item;
    }
    const below = withNamedFields(child, childType) as MutableFieldSet;
    result[element] = isNamed ? { ...below, '.': {} } : below;
  }
  return result;
}

