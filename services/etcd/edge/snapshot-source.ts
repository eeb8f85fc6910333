// A snapshot file (bbolt, with etcd's buckets) as a source of state. The reverse of snapshot-file.ts.
import type { FileHandle } from 'node:fs/promises';
import { leaseRecord } from '#lib/etcd-api/lease-record.ts';
import type { Bucket, BucketRecord } from '../core/bucket-record.ts';
import { BboltReader } from './bbolt/reader.ts';
import type { StateSource, StoredLease } from './database.ts';
import { compactedAt } from './finished-compaction.ts';

const RECORD_BUCKETS: readonly Bucket[] = ['alarm', 'auth', 'authRoles', 'authUsers', 'cluster', 'members', 'members_removed'];

/** Throws BboltError when the file is damaged, here or while it is read. */
export async function readSnapshotFile(file: FileHandle): Promise<StateSource> {
  const reader = await BboltReader.open(file);
  const number = async (name: string, at = 0): Promise<number> => {
    const value = await reader.get('meta', name);
    return value === undefined ? 0 : Number(Buffer.from(value).readBigUInt64BE(at));
  };
  /** `etcdutl snapshot restore --bump-revision` puts an entry without a key at the last revision, which it compacts. */
  async function* entries(): AsyncGenerator<readonly [Buffer, Buffer]> {
    for await (const [key, value] of items('key')) if (value.length > 0) yield [key, value];
  }
  async function* items(bucket: string): AsyncGenerator<readonly [Buffer, Buffer]> {
    if (!reader.bucketNames.includes(bucket)) return;
    for await (const [key, value] of reader.items(bucket)) yield [Buffer.from(key), Buffer.from(value)];
  }
  const source: StateSource = {
    entries,
    leases: async () => {
      const leases: StoredLease[] = [];
      for await (const [, value] of items('lease')) {
        const { ID, TTL, remainingTTL } = leaseRecord.decode(value);
        leases.push({ id: ID, grantedTtl: TTL, remainingTtl: remainingTTL });
      }
      return leases;
    },
    records: async () => {
      const records: BucketRecord[] = [];
      for (const bucket of RECORD_BUCKETS) for await (const [key, value] of items(bucket)) records.push({ bucket, key, value });
      return records;
    },
    progress: async () => ({ appliedIndex: await number('consistent_index'), term: await number('term'), revision: 0 }),
    compactRevision: () => number('finishedCompactRev'),
  };
  // Nobody may read what a compaction had begun to remove.
  const [finished, scheduled] = await Promise.all([number('finishedCompactRev'), number('scheduledCompactRev')]);
  return scheduled <= finished ? source : compactedAt(source, scheduled);
}
