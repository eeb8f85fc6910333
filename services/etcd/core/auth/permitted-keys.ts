// The keys that a user may read, or write: ranges of all roles, merged, as a request may span several of them.
// Source: etcd v3.6, server/auth/range_perm_cache.go.
import { keyOf } from '../key-range.ts';

interface Interval {
  readonly begin: string;
  /** Exclusive; undefined: none. */
  readonly end: string | undefined;
}

const isBeyond = (a: string, end: string | undefined): boolean => end !== undefined && a > end;

function intervalOf(key: Uint8Array, rangeEnd: Uint8Array): Interval {
  const begin = keyOf(key);
  if (rangeEnd.length === 0) return { begin, end: `${begin}\0` };
  return { begin, end: rangeEnd.length === 1 && rangeEnd[0] === 0 ? undefined : keyOf(rangeEnd) };
}

export class PermittedKeys {
  /** In order, and none touches the next. */
  private readonly intervals: Interval[] = [];

  constructor(ranges: readonly { readonly key: Uint8Array; readonly rangeEnd: Uint8Array }[]) {
    const sorted = ranges.map(({ key, rangeEnd }) => intervalOf(key, rangeEnd)).sort((a, b) => (a.begin < b.begin ? -1 : a.begin > b.begin ? 1 : 0));
    for (const next of sorted) {
      const last = this.intervals.at(-1);
      if (last === undefined || isBeyond(next.begin, last.end)) this.intervals.push(next);
      else if (last.end !== undefined && (next.end === undefined || next.end > last.end)) this.intervals[this.intervals.length - 1] = { begin: last.begin, end: next.end };
    }
  }

  covers(key: Uint8Array, rangeEnd: Uint8Array): boolean {
    const { begin, end } = intervalOf(key, rangeEnd);
    return this.intervals.some((own) => own.begin <= begin && (own.end === undefined || (end !== undefined && end <= own.end)));
  }
}

/** One key, every key from one on (end "\0"), or a range that is not empty. Source: etcd, isValidPermissionRange. */
export function isPermissionRange(key: Uint8Array, rangeEnd: Uint8Array): boolean {
  if (key.length === 0) return false;
  return rangeEnd.length === 0 || (rangeEnd.length === 1 && rangeEnd[0] === 0) || keyOf(key) < keyOf(rangeEnd);
}
