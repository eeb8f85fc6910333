// The hash by which members (and people) compare their data: CRC-32C over the changes up to a revision.
// Source: etcd v3.6, server/storage/mvcc/hash.go.
import type { Store } from '../core/store.ts';
import { encodeEntry, entryKey } from './database.ts';

/** Castagnoli's polynomial, reversed. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});

export function crc32c(bytes: Uint8Array, previous = 0): number {
  let value = ~previous >>> 0;
  for (const byte of bytes) value = (TABLE[(value ^ byte) & 0xff] as number) ^ (value >>> 8);
  return ~value >>> 0;
}

export function hashOf(store: Store, revision: number): number {
  let hash = crc32c(Buffer.from('key')); // the name of etcd's bucket
  for (const entry of store.hashedEntries(revision)) {
    hash = crc32c(entryKey(entry).subarray(1), hash);
    hash = crc32c(encodeEntry(entry, store.storedValueOf(entry)), hash);
  }
  return hash;
}
