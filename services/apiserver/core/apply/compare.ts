// What differs between two objects, as sets of paths. Source: structured-merge-diff v6 typed/compare.go.
import { EMPTY_SET, insertPath, recursiveDifference, type FieldSet, type MutableFieldSet } from './field-set.ts';
import { deduce, type ListType, type MapType, type MergeType } from './merge-schema.ts';
import { equalValues, fieldOf, isMap, itemElement, ownValue, type Json } from './typed-value.ts';

/** No path is in more than one of them. */
export interface Comparison {
  readonly removed: FieldSet;
  readonly modified: FieldSet;
  readonly added: FieldSet;
}

export const NO_DIFFERENCE: Comparison = Object.freeze({ removed: EMPTY_SET, modified: EMPTY_SET, added: EMPTY_SET });

/** Runs for every write: allocates nothing for what is the same. */
class Comparer {
  removed: MutableFieldSet | undefined;
  modified: MutableFieldSet | undefined;
  added: MutableFieldSet | undefined;
  readonly #path: string[] = [];

  /** Undefined is nothing; null is a value. */
  visit(left: unknown, right: unknown, type: MergeType): void {
    if (left === right) return;
    const ofLeft = left === undefined ? undefined : deduce(type, left);
    const ofRight = right === undefined ? undefined : deduce(type, right);
    const known = ofRight ?? ofLeft;
    if (!known) return;
    // Of two shapes each counts for itself: the one that goes, then the one that comes.
    let isLeaf = false;
    if (ofLeft && ofRight && ofLeft !== ofRight && left !== null && right !== null) isLeaf = this.#visitAs(ofLeft, left, right);
    if (!isLeaf) isLeaf = this.#visitAs(known, left, right);
    if (isLeaf) return;
    if (left === undefined) insertPath((this.added ??= {}), this.#path);
    else if (right === undefined) insertPath((this.removed ??= {}), this.#path);
  }

  /** Returns whether the value counts as a whole. */
  #visitAs(type: Exclude<MergeType, { is: 'deduced' }>, left: unknown, right: unknown): boolean {
    switch (type.is) {
      case 'scalar':
        this.#leaf(left, right);
        return true;
      case 'map': {
        const [a, b] = [isMap(left) ? left : undefined, isMap(right) ? right : undefined];
        if (type.isAtomic || (isEmptyMap(a) && isEmptyMap(b))) {
          this.#leaf(left, right);
          return true;
        }
        this.#fields(type, a, b);
        return false;
      }
      case 'list': {
        const [a, b] = [Array.isArray(left) ? (left as unknown[]) : undefined, Array.isArray(right) ? (right as unknown[]) : undefined];
        if (type.relation === 'atomic' || ((a?.length ?? 0) === 0 && (b?.length ?? 0) === 0)) {
          this.#leaf(left, right);
          return true;
        }
        this.#items(type, a ?? [], b ?? []);
        return false;
      }
    }
  }

  #leaf(left: unknown, right: unknown): void {
    if (left === undefined) insertPath((this.added ??= {}), this.#path);
    else if (right === undefined) insertPath((this.removed ??= {}), this.#path);
    else if (!equalValues(left, right)) insertPath((this.modified ??= {}), this.#path);
  }

  #fields(type: MapType, left: Json | undefined, right: Json | undefined): void {
    if (left) {
      for (const key in left) {
        const value = left[key];
        if (value !== undefined) this.#field(type, key, value, right && ownValue(right, key), { hasLeft: true, hasRight: right !== undefined });
      }
    }
    if (!right) return;
    for (const key in right) {
      const value = right[key];
      if (value !== undefined && (!left || ownValue(left, key) === undefined)) this.#field(type, key, undefined, value, { hasLeft: left !== undefined, hasRight: true });
    }
  }

  /** `hasLeft`: there is a struct that could hold the field. */
  #field(type: MapType, key: string, left: unknown, right: unknown, { hasLeft, hasRight }: { readonly hasLeft: boolean; readonly hasRight: boolean }): void {
    if (left === right) return;
    const field = fieldOf(type, key);
    if (!field) return;
    this.#path.push(field.element);
    this.visit(left ?? (hasLeft ? field.zero : undefined), right ?? (hasRight ? field.zero : undefined), field.type);
    this.#path.pop();
  }

  #items(type: ListType, left: readonly unknown[], right: readonly unknown[]): void {
    if (equalValues(left, right)) return;
    const ofLeft = byElement(type, left);
    const ofRight = byElement(type, right);
    for (const element of new Set([...ofLeft.keys(), ...ofRight.keys()])) this.#item(type, element, ofLeft.get(element) ?? [], ofRight.get(element) ?? []);
  }

  /** Duplicates, which an older server may have let in, count as a whole. */
  #item(type: ListType, element: string, left: readonly unknown[], right: readonly unknown[]): void {
    this.#path.push(element);
    if (left.length <= 1 && right.length <= 1) this.visit(left[0], right[0], type.item);
    else if (left.length >= 2 && right.length >= 2) {
      if (!equalValues(left, right)) insertPath((this.modified ??= {}), this.#path);
    } else if (left.length >= 2) {
      if (right.length > 0) this.visit(undefined, right[0], type.item);
      insertPath((this.removed ??= {}), this.#path);
    } else {
      if (left.length > 0) this.visit(left[0], undefined, type.item);
      insertPath((this.added ??= {}), this.#path);
    }
    this.#path.pop();
  }
}

function isEmptyMap(map: Json | undefined): boolean {
  for (const key in map) if (map[key] !== undefined) return false;
  return true;
}

function byElement(type: ListType, items: readonly unknown[]): Map<string, unknown[]> {
  const result = new Map<string, unknown[]>();
  for (const item of items) {
    const element = itemElement(type, item);
    const same = result.get(element);
    if (same) same.push(item);
    else result.set(element, [item]);
  }
  return result;
}

/** Throws TypedError when an item of an associative list has no keys. */
export function compareTyped(left: unknown, right: unknown, type: MergeType): Comparison {
  const comparer = new Comparer();
  comparer.visit(left, right, type);
  const { removed = EMPTY_SET, modified = EMPTY_SET, added = EMPTY_SET } = comparer;
  return removed === EMPTY_SET && modified === EMPTY_SET && added === EMPTY_SET ? NO_DIFFERENCE : { removed, modified, added };
}

/** Without what lies in `ignored`. */
export function withoutFields(comparison: Comparison, ignored: FieldSet): Comparison {
  if (comparison === NO_DIFFERENCE || ignored === EMPTY_SET) return comparison;
  return {
    removed: recursiveDifference(comparison.removed, ignored), modified: recursiveDifference(comparison.modified, ignored), added: recursiveDifference(comparison.added, ignored),
  };
}
