// Sets of field paths, in the shape in which managedFields holds them: { "f:spec": { "f:replicas": {} } }.
// Source: structured-merge-diff v6 fieldpath (set.go, serialize.go, element.go).

/**
 * Keys are path elements: `f:` a field, `k:` a list item by its keys, `v:` by its value, `i:` by its index. A node is a
 * member of the set when it has no keys, or has the key `.`; the root is never one. Sets are shared: never changed once made.
 */
export interface FieldSet {
  readonly [element: string]: FieldSet;
}

export type MutableFieldSet = { [element: string]: MutableFieldSet };

export const EMPTY_SET: FieldSet = Object.freeze({});
const LEAF: FieldSet = EMPTY_SET;
const SELF = '.';

export function isEmptySet(set: FieldSet): boolean {
  for (const _ in set) return false;
  return true;
}

const isMember = (node: FieldSet | undefined): boolean => node !== undefined && (SELF in node || isEmptySet(node));

/** A node of a set under construction: `children` are not empty ones. */
function node(member: boolean, children: MutableFieldSet): FieldSet | undefined {
  if (isEmptySet(children)) return member ? LEAF : undefined;
  if (member) children[SELF] = {};
  return children;
}

/** Adds a path; parents are not added with it. `set` is still private to the caller. */
export function insertPath(set: MutableFieldSet, path: readonly string[]): void {
  const last = path.length - 1;
  if (last < 0) return; // nobody owns the whole object
  let at = set;
  let isRoot = true;
  for (let index = 0; index <= last; index += 1) {
    const element = path[index] as string;
    // a leaf that is to have children must not lose its membership
    if (!isRoot && isEmptySet(at)) at[SELF] = {};
    isRoot = false;
    const next = at[element];
    if (index < last) {
      if (next) at = next;
      else {
        // straight down: what is below is new
        let below: MutableFieldSet = {};
        for (let deeper = last; deeper > index; deeper -= 1) below = { [path[deeper] as string]: below };
        at[element] = below;
        return;
      }
    } else if (!next) at[element] = {};
    else if (!isMember(next)) next[SELF] = {};
  }
}

type NodeRule = (left: FieldSet, right: FieldSet) => FieldSet | undefined;

function unionNode(left: FieldSet, right: FieldSet): FieldSet {
  if (left === right) return left;
  const children = unionChildren(left, right);
  // what adds nothing leaves the very same set: most updates touch what their manager owns already
  if (children === left && (isMember(left) || !isMember(right))) return left;
  const { [SELF]: _self, ...rest } = children as MutableFieldSet;
  return node(isMember(left) || isMember(right), rest) ?? LEAF;
}
/** `left` itself when `right` has nothing new. */
function unionChildren(left: FieldSet, right: FieldSet): FieldSet {
  let result: MutableFieldSet | undefined;
  for (const key in right) {
    if (key === SELF) continue;
    const ours = left[key];
    const both = ours ? unionNode(ours, right[key] as FieldSet) : (right[key] as FieldSet);
    if (both === ours) continue;
    result ??= { ...left } as MutableFieldSet;
    result[key] = both as MutableFieldSet;
  }
  return result ?? left;
}
/** `left` itself when `right` has nothing new. */
export const union = (left: FieldSet, right: FieldSet): FieldSet => (isEmptySet(left) && !isEmptySet(right) ? right : unionChildren(left, right));

const intersectNode: NodeRule = (left, right) => node(isMember(left) && isMember(right), intersectChildren(left, right));
function intersectChildren(left: FieldSet, right: FieldSet): MutableFieldSet {
  const result: MutableFieldSet = {};
  for (const key in right) {
    const ours = key === SELF ? undefined : left[key];
    const both = ours && intersectNode(ours, right[key] as FieldSet);
    if (both) result[key] = both as MutableFieldSet;
  }
  return result;
}
export const intersection = (left: FieldSet, right: FieldSet): FieldSet => intersectChildren(left, right);

const subtractNode: NodeRule = (left, right) => node(isMember(left) && !isMember(right), subtractChildren(left, right, subtractNode));
const subtractWholeNode: NodeRule = (left, right) => (isMember(right) ? undefined : node(isMember(left), subtractChildren(left, right, subtractWholeNode)));
function subtractChildren(left: FieldSet, right: FieldSet, rule: NodeRule): MutableFieldSet {
  const result: MutableFieldSet = {};
  for (const key in left) {
    if (key === SELF) continue;
    const ours = left[key] as FieldSet;
    const theirs = right[key];
    const rest = theirs ? rule(ours, theirs) : ours;
    if (rest) result[key] = rest as MutableFieldSet;
  }
  return result;
}
/** The paths of `left` that are not in `right`. A child stays when only its parent is in `right`. */
export const difference = (left: FieldSet, right: FieldSet): FieldSet => (isEmptySet(right) ? left : subtractChildren(left, right, subtractNode));
/** As above, but with a path goes everything below it. */
export const recursiveDifference = (left: FieldSet, right: FieldSet): FieldSet => (isEmptySet(right) ? left : subtractChildren(left, right, subtractWholeNode));

export function hasPath(set: FieldSet, path: readonly string[]): boolean {
  let at: FieldSet | undefined = set;
  for (const element of path) at = at?.[element];
  return path.length > 0 && isMember(at);
}

/** Whether the element itself is a member. */
export const hasElement = (set: FieldSet, element: string): boolean => isMember(set[element]);
/** What lies below an element; empty when nothing does. */
export function below(set: FieldSet, element: string): FieldSet {
  const child = set[element];
  if (!child || isEmptySet(child)) return EMPTY_SET;
  if (!(SELF in child)) return child;
  const { [SELF]: _self, ...rest } = child;
  return rest;
}

export function equalSets(left: FieldSet, right: FieldSet): boolean {
  if (left === right) return true;
  let count = 0;
  for (const key in left) {
    const other = right[key];
    if (!other || !equalSets(left[key] as FieldSet, other)) return false;
    count += 1;
  }
  for (const _ in right) count -= 1;
  return count === 0;
}

const RANKS = 'fkvi';
const rankOfValue = (value: unknown): number => ['number', 'string', 'boolean'].indexOf(typeof value) + 1 || 4;

function compareValues(left: unknown, right: unknown): number {
  const rank = rankOfValue(left) - rankOfValue(right);
  if (rank !== 0) return rank;
  if (left === right) return 0;
  return (left as number) < (right as number) ? -1 : 1;
}

/** Fields, then keys, values and indices, each in order. */
export function compareElements(left: string, right: string): number {
  if (left === right) return 0;
  const rank = RANKS.indexOf(left[0] ?? '') - RANKS.indexOf(right[0] ?? '');
  if (rank !== 0) return rank;
  switch (left[0]) {
    case 'k': {
      const [a, b] = [left, right].map((text) => Object.entries(JSON.parse(text.slice(2)) as Record<string, unknown>)) as [[string, unknown][], [string, unknown][]];
      for (const [index, [name, value]] of a.entries()) {
        const other = b[index];
        if (!other) return 1;
        if (name !== other[0]) return name < other[0] ? -1 : 1;
        const order = compareValues(value, other[1]);
        if (order !== 0) return order;
      }
      return a.length - b.length;
    }
    case 'v': return compareValues(JSON.parse(left.slice(2)), JSON.parse(right.slice(2)));
    case 'i': return Number(left.slice(2)) - Number(right.slice(2));
    default: return left < right ? -1 : 1;
  }
}

/** With keys in the order in which upstream writes them. */
export function inOrder(set: FieldSet): FieldSet {
  const keys = Object.keys(set);
  if (keys.length === 0) return set;
  const result: MutableFieldSet = {};
  if (SELF in set) result[SELF] = {};
  for (const key of keys.filter((one) => one !== SELF).sort(compareElements)) result[key] = inOrder(set[key] as FieldSet) as MutableFieldSet;
  return result;
}

/** A path element as in error messages: `.spec`, `[name="web"]`, `[="x"]`, `[0]`. */
export function formatElement(element: string): string {
  const content = element.slice(2);
  switch (element[0]) {
    case 'f': return `.${content}`;
    case 'k': return `[${Object.entries(JSON.parse(content) as Record<string, unknown>).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]`;
    case 'v': return `[=${content}]`;
    default: return `[${content}]`;
  }
}
export const formatPath = (path: readonly string[]): string => path.map(formatElement).join('');

/** All members: those of a level before what lies deeper. */
export function pathsOf(set: FieldSet, prefix: readonly string[] = []): string[][] {
  const keys = Object.keys(set).filter((key) => key !== SELF).sort(compareElements);
  return [
    ...keys.filter((key) => isMember(set[key])).map((key) => [...prefix, key]),
    ...keys.flatMap((key) => (isEmptySet(set[key] as FieldSet) ? [] : pathsOf(set[key] as FieldSet, [...prefix, key]))),
  ];
}

export function setOf(...paths: readonly (readonly string[])[]): FieldSet {
  const set: MutableFieldSet = {};
  for (const path of paths) insertPath(set, path);
  return set;
}

/** Written by JSON.stringify and by Go as it is. */
const PLAIN = /^[\w./:-]*$/;

/** A key or value as Go writes it into a path element. */
export const keyElement = (keys: Readonly<Record<string, unknown>>): string => `k:${goJson(keys)}`;
/** As above, for a single key. */
export const singleKeyElement = (name: string, value: unknown): string =>
  (typeof value === 'string' && PLAIN.test(value) ? `k:{"${name}":"${value}"}` : keyElement({ [name]: value }));
export const valueElement = (value: unknown): string => `v:${goJson(value)}`;
const goJson = (value: unknown): string =>
  JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/**
 * A set that a client has sent, as our own would be written. Throws SyntaxError for what is no set; elements of a type
 * that is not known are left out.
 */
export function parseSet(value: unknown): FieldSet {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new SyntaxError('a set of fields must be an object');
  const result: MutableFieldSet = {};
  for (const [key, content] of Object.entries(value)) {
    if (key === SELF) {
      result[SELF] = {};
      continue;
    }
    if (key.length < 2) throw new SyntaxError('key must be 2 characters long:');
    if (key[1] !== ':') throw new SyntaxError(`missing colon: ${key}`);
    const child = parseSet(content) as MutableFieldSet;
    switch (key[0]) {
      case 'f': case 'i': result[key] = child; break;
      case 'v': result[valueElement(JSON.parse(key.slice(2)))] = child; break;
      case 'k': {
        const keys = JSON.parse(key.slice(2)) as Record<string, unknown>;
        result[keyElement(Object.fromEntries(Object.entries(keys).sort(([a], [b]) => (a < b ? -1 : 1))))] = child;
        break;
      }
      default: break;
    }
  }
  return result;
}
