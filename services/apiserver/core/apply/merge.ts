// An object with an applied configuration merged in, and an object without or with nothing but certain fields.
// Results share what they have not changed with their sources. Source: structured-merge-diff v6 typed/merge.go, typed/remove.go.
import { below, hasElement, isEmptySet, type FieldSet } from './field-set.ts';
import { deduce, type ListType, type MapType, type MergeType } from './merge-schema.ts';
import { fieldOf, isMap, itemElement, ownValue, type Json } from './typed-value.ts';

/** Undefined is nothing; null is a value. Nothing is ever taken away. Throws TypedError. */
export function mergeTyped(left: unknown, right: unknown, type: MergeType): unknown {
  if (right === undefined) return left;
  const known = deduce(type, right ?? left);
  switch (known.is) {
    case 'scalar': return right;
    case 'map': {
      const [a, b] = [isMap(left) ? left : undefined, isMap(right) ? right : undefined];
      if (known.isAtomic || (isEmpty(a) && isEmpty(b))) return right;
      return mergeMaps(a ?? {}, b ?? {}, known);
    }
    case 'list': {
      const [a, b] = [Array.isArray(left) ? (left as unknown[]) : [], Array.isArray(right) ? (right as unknown[]) : []];
      if (known.relation === 'atomic' || (a.length === 0 && b.length === 0)) return right;
      return mergeLists(a, b, known);
    }
  }
}

const isEmpty = (map: Json | undefined): boolean => map === undefined || Object.keys(map).length === 0;

function mergeMaps(left: Json, right: Json, type: MapType): Json {
  const result: Json = { ...left };
  for (const key of Object.keys(right)) {
    const field = fieldOf(type, key);
    if (field) Object.defineProperty(result, key, { value: mergeTyped(ownValue(left, key), right[key], field.type), enumerable: true, configurable: true, writable: true });
  }
  return result;
}

/** In the order of `right` where both have the items; what only `left` has stays where it was between them. */
function mergeLists(left: readonly unknown[], right: readonly unknown[], type: ListType): unknown[] {
  const ofLeft = left.map((item) => itemElement(type, item));
  const ofRight = right.map((item) => itemElement(type, item));
  const leftItems = new Map<string, unknown>();
  // which of several duplicates is meant cannot be told: none is merged
  ofLeft.forEach((element, index) => leftItems.set(element, leftItems.has(element) ? null : left[index]));
  const rightItems = new Map(ofRight.map((element, index) => [element, right[index]]));
  const shared = ofRight.filter((element) => leftItems.has(element));
  const merged = new Set<string>();
  const result: unknown[] = [];
  const take = (element: string): void => {
    merged.add(element);
    result.push(mergeTyped(leftItems.get(element), rightItems.get(element), type.item));
  };
  let nextShared = shared.shift();
  let [l, r] = [0, 0];
  while (l < left.length || r < right.length) {
    const ours = ofLeft[l];
    const theirs = ofRight[r];
    if (ours !== undefined && theirs !== undefined) {
      if (ours === theirs) {
        take(ours);
        l += 1;
        r += 1;
        nextShared = shared.shift();
        continue;
      }
      if (rightItems.has(ours) && nextShared !== undefined && nextShared !== ours) {
        l += 1; // shared, but not the one whose turn it is
        continue;
      }
    }
    if (ours !== undefined) {
      if (!rightItems.has(ours)) {
        result.push(left[l]);
        l += 1;
        continue;
      }
      if (merged.has(ours)) l += 1;
    }
    if (theirs !== undefined) {
      take(theirs);
      r += 1;
      if (nextShared === theirs) nextShared = shared.shift();
    }
  }
  return result;
}

/** Without the items and fields of `set`; undefined when nothing is left. */
export function removeItems(value: unknown, set: FieldSet, type: MergeType): unknown {
  return select(value, set, type, false);
}
/** Nothing but the items and fields of `set`. */
export function extractItems(value: unknown, set: FieldSet, type: MergeType): unknown {
  return select(value, set, type, true);
}

function select(value: unknown, set: FieldSet, type: MergeType, isExtraction: boolean): unknown {
  const known = deduce(type, value);
  if (known.is === 'scalar') return value;
  if (known.is === 'map' ? known.isAtomic : known.relation === 'atomic') return isExtraction ? value : undefined;
  if (known.is === 'list') {
    if (!Array.isArray(value) || value.length === 0) return isExtraction ? value : undefined;
    const items = value.flatMap((item: unknown) => {
      const element = itemElement(known, item);
      const isMember = hasElement(set, element);
      const inside = below(set, element);
      const chosen = isEmptySet(inside) ? item : select(item, inside, known.item, isExtraction);
      if (isExtraction) return isMember || !isEmptySet(inside) ? [chosen] : [];
      return isMember ? [] : [chosen];
    });
    return items.length > 0 ? items : undefined;
  }
  if (!isMap(value) || Object.keys(value).length === 0) return isExtraction ? value : undefined;
  const result: Json = {};
  for (const key of Object.keys(value)) {
    const field = fieldOf(known, key);
    if (!field) continue;
    const isMember = hasElement(set, field.element);
    const inside = below(set, field.element);
    if (isMember && !isExtraction) continue;
    let chosen = value[key];
    if (!isEmptySet(inside)) chosen = select(chosen, inside, field.type, isExtraction);
    else if (isExtraction && !isMember) continue;
    if (chosen !== undefined) Object.defineProperty(result, key, { value: chosen, enumerable: true, configurable: true, writable: true });
  }
  return Object.keys(result).length > 0 ? result : undefined;
}
