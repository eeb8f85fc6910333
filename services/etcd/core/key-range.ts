// Which keys a request speaks of. Inside the core a key is a string with one character per byte ("binary string"), so
// that JavaScript's string order is etcd's byte order and keys can be looked up in a Map.

export interface KeyRange {
  readonly start: string;
  /** undefined: only `start`. '': every key from `start` on. Else exclusive. */
  readonly end: string | undefined;
}

export const keyOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
export const bytesOf = (key: string): Buffer => Buffer.from(key, 'latin1');

/** A range end of one zero byte means "no end", as gRPC cannot tell an empty one from none. Source: etcdserver mkGteRange. */
export function keyRange({ key, rangeEnd }: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array }): KeyRange {
  if (rangeEnd.length === 0) return { start: keyOf(key), end: undefined };
  return { start: keyOf(key), end: rangeEnd.length === 1 && rangeEnd[0] === 0 ? '' : keyOf(rangeEnd) };
}

export function contains({ start, end }: KeyRange, key: string): boolean {
  if (end === undefined) return key === start;
  return key >= start && (end === '' || key < end);
}
