// Strategic merge patch: merges lists by key where the types say so, and obeys the $patch directives.
// Source: apimachinery pkg/util/strategicpatch/patch.go.
import { structOf, type SchemaField, type SchemaType, type Struct } from '../schema.ts';
import { isRecord, jsonEqual, ownField, setOwn } from './json-value.ts';

/** The patch is malformed. */
export class StrategicPatchError extends Error {
  override readonly name = 'StrategicPatchError';
}

const DIRECTIVE = '$patch';
const RETAIN_KEYS = '$retainKeys';
const ORDER_PREFIX = '$setElementOrder/';
const DELETE_PREFIX = '$deleteFromPrimitiveList/';

type Json = Record<string, unknown>;

/** Returns the patched copy of `original`, an object of the given definition. */
export function applyStrategicMergePatch(original: unknown, patch: unknown, definition: string): unknown {
  if (!isRecord(patch)) throw new StrategicPatchError('Invalid JSON document');
  return mergeMap(isRecord(original) ? original : {}, patch, { is: 'struct', definition });
}

function fieldOf(type: SchemaType | undefined, key: string): Partial<SchemaField> {
  if (type?.is === 'map') return { type: type.value };
  const struct: Struct | undefined = type?.is === 'struct' ? structOf(type.definition) : undefined;
  return struct?.fields.get(key) ?? {};
}

function withoutDirectives(value: Json): Json {
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== DIRECTIVE && key !== RETAIN_KEYS && !key.startsWith(ORDER_PREFIX) && !key.startsWith(DELETE_PREFIX)));
}

function retain(original: Json, patch: Json): Json {
  const keys = patch[RETAIN_KEYS];
  if (keys === undefined) return original;
  if (!Array.isArray(keys)) throw new StrategicPatchError('invalid patch format of retainKeys');
  for (const key of Object.keys(withoutDirectives(patch))) {
    if (patch[key] !== null && !keys.includes(key)) throw new StrategicPatchError('invalid patch format of retainKeys');
  }
  return Object.fromEntries(Object.entries(original).filter(([key]) => keys.includes(key)));
}

function mergeMap(original: Json, patch: Json, type: SchemaType | undefined): Json {
  const directive = patch[DIRECTIVE];
  if (directive === 'replace') return withoutDirectives(patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') throw new StrategicPatchError(`unknown patch type found: ${String(directive)}`);
  const result: Json = { ...retain(original, patch) };
  const lists = new Set<string>();
  for (const key of Object.keys(patch)) {
    if (key.startsWith(ORDER_PREFIX)) lists.add(key.slice(ORDER_PREFIX.length));
    if (key.startsWith(DELETE_PREFIX)) lists.add(key.slice(DELETE_PREFIX.length));
  }
  for (const [key, value] of Object.entries(withoutDirectives(patch))) {
    if (value === null) {
      delete result[key];
      lists.delete(key);
      continue;
    }
    const { type: fieldType, keys } = fieldOf(type, key);
    const strategies = keys?.patchStrategy?.split(',') ?? [];
    const current = ownField(result, key);
    if (isRecord(value)) {
      setOwn(result, key, strategies.includes('replace') ? value : mergeMap(isRecord(current) ? current : {}, value, fieldType));
    } else if (Array.isArray(value)) {
      if (strategies.includes('merge')) lists.add(key);
      else setOwn(result, key, value);
    } else {
      setOwn(result, key, value);
    }
  }
  for (const key of lists) mergeListField(result, patch, key, type);
  return result;
}

function mergeListField(result: Json, patch: Json, key: string, type: SchemaType | undefined): void {
  const { type: fieldType, keys } = fieldOf(type, key);
  const itemType = fieldType?.is === 'list' ? fieldType.item : undefined;
  const original = Array.isArray(result[key]) ? (result[key] as unknown[]) : [];
  const items = patch[key] === undefined ? [] : patch[key];
  const order = patch[ORDER_PREFIX + key];
  const deleted = patch[DELETE_PREFIX + key];
  if (order !== undefined && !Array.isArray(order)) throw new StrategicPatchError('invalid patch format of setElementOrder list');
  if (deleted !== undefined && !Array.isArray(deleted)) throw new StrategicPatchError('invalid patch format of primitive list');
  if (!Array.isArray(items)) throw new StrategicPatchError('Invalid JSON document');
  const mergeKey = keys?.patchMergeKey;
  const merged = mergeKey === undefined
    ? mergePrimitives(original, items, deleted ?? [])
    : mergeObjects(original, items, { mergeKey, itemType });
  const sorted = inOrder(merged, { original, order: order ?? items, mergeKey });
  if (sorted.length === 0 && result[key] === undefined && items.length === 0) return;
  result[key] = sorted;
}

function mergePrimitives(original: readonly unknown[], added: readonly unknown[], deleted: readonly unknown[]): unknown[] {
  const kept = original.filter((item) => !deleted.some((gone) => jsonEqual(gone, item)));
  for (const item of added) if (!kept.some((one) => jsonEqual(one, item))) kept.push(item);
  return kept;
}

interface ListRules {
  readonly mergeKey: string;
  readonly itemType: SchemaType | undefined;
}

function mergeObjects(original: readonly unknown[], patch: readonly unknown[], { mergeKey, itemType }: ListRules): unknown[] {
  const items = patch.map((item) => {
    if (!isRecord(item)) throw new StrategicPatchError('list element types do not match: expected map');
    return item;
  });
  if (items.some((item) => item[DIRECTIVE] === 'replace')) {
    return items.filter((item) => item[DIRECTIVE] === undefined || Object.keys(withoutDirectives(item)).length > 0).map(withoutDirectives);
  }
  let result = [...original];
  for (const item of items) {
    const value = item[mergeKey];
    if (value === undefined) throw new StrategicPatchError(`map: ${goMap(item)} does not contain declared merge key: ${mergeKey}`);
    const matches = (one: unknown): boolean => isRecord(one) && jsonEqual(one[mergeKey], value);
    if (item[DIRECTIVE] === 'delete') {
      result = result.filter((one) => !matches(one));
      continue;
    }
    const at = result.findIndex(matches);
    if (at < 0) result.push(mergeMap({}, item, itemType));
    else result[at] = mergeMap(result[at] as Json, item, itemType);
  }
  return result;
}

const goMap = (value: Json): string => `map[${Object.keys(value).sort().map((key) => `${key}:${isRecord(value[key]) ? goMap(value[key]) : String(value[key])}`).join(' ')}]`;

interface OrderRules {
  readonly original: readonly unknown[];
  readonly order: readonly unknown[];
  readonly mergeKey: string | undefined;
}

/** The order that the patch states, or that of its items, wins; items only the server has keep their place relative to the ones both have. */
function inOrder(merged: readonly unknown[], { original, order, mergeKey }: OrderRules): unknown[] {
  const identity = (item: unknown): unknown => (mergeKey !== undefined && isRecord(item) ? item[mergeKey] : item);
  const placeIn = (list: readonly unknown[], item: unknown): number => list.findIndex((one) => jsonEqual(identity(one), identity(item)));
  const ours = merged.filter((item) => placeIn(order, item) >= 0).sort((a, b) => placeIn(order, a) - placeIn(order, b));
  const serverOnly = merged.filter((item) => placeIn(order, item) < 0);
  const result: unknown[] = [];
  while (ours.length > 0 || serverOnly.length > 0) {
    if (ours.length === 0) result.push(serverOnly.shift());
    else if (serverOnly.length === 0) result.push(ours.shift());
    else {
      const left = placeIn(original, serverOnly[0]);
      const right = placeIn(original, ours[0]);
      result.push(left >= 0 && right >= 0 && left < right ? serverOnly.shift() : ours.shift());
    }
  }
  return result;
}
