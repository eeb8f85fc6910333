// A state as it is once what a compaction makes obsolete is gone.
import { keyValue } from '#lib/etcd-api/messages.ts';
import type { StateSource } from './database.ts';

/** Reads the entries twice, and holds all keys meanwhile. */
export async function compactedAt(source: StateSource, compactRevision: number): Promise<StateSource> {
  const newest = new Map<string, string>();
  for await (const [key, value] of source.entries()) if (revisionOf(key) <= compactRevision) newest.set(keyValue.decode(value).key.toString('latin1'), key.toString('latin1'));
  async function* kept(): AsyncGenerator<readonly [Buffer, Buffer]> {
    for await (const [key, value] of source.entries()) {
      const isNewest = newest.get(keyValue.decode(value).key.toString('latin1')) === key.toString('latin1');
      const isObsoleteDeletion = isDeletion(key) && revisionOf(key) < compactRevision;
      if (revisionOf(key) > compactRevision || (isNewest && !isObsoleteDeletion)) yield [key, value];
    }
  }
  return { ...source, entries: kept, compactRevision: async () => compactRevision };
}

/** Of a key in etcd's bucket. */
export const revisionOf = (key: Buffer): number => Number(key.readBigUInt64BE());
const isDeletion = (key: Buffer): boolean => key.length > 17;
