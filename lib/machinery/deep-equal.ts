// Equality of API objects. Go compares structs: it knows an empty map from an empty struct, JSON does not.

type IsNothing = (value: unknown) => boolean;

const isAbsentOrEmptyList: IsNothing = (value) => value === undefined || value === null || (Array.isArray(value) && value.length === 0);
const isAbsentOrEmpty: IsNothing = (value) =>
  isAbsentOrEmptyList(value) || (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every((item) => item === undefined));

function equal(left: unknown, right: unknown, isNothing: IsNothing): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return isNothing(left) && isNothing(right);
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right)) return isNothing(left) && isNothing(right);
    return left.length === right.length && left.every((item, index) => equal(item, right[index], isNothing));
  }
  const [a, b] = [left as Record<string, unknown>, right as Record<string, unknown>];
  for (const key in a) if (!equal(a[key], b[key], isNothing)) return false;
  for (const key in b) if (!(key in a) && !isNothing(b[key])) return false;
  return true;
}

/** Absent, null, [] and {} are the same, as apimachinery's equality.Semantic sees lists and maps. */
export function semanticEqual(left: unknown, right: unknown): boolean {
  return equal(left, right, isAbsentOrEmpty);
}

/** As above, but {} is something: an empty selector selects everything, an absent one nothing. */
export function sameContent(left: unknown, right: unknown): boolean {
  return equal(left, right, isAbsentOrEmptyList);
}
