// The state as a file that etcd's own tools take: a bbolt database with etcd's buckets.
// Source: etcd v3.6, server/storage/schema and server/etcdserver/api/membership.
import { mkdir, open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Member } from '#lib/etcd-api/messages.ts';
import { leaseRecord } from '#lib/etcd-api/lease-record.ts';
import type { Bucket, BucketRecord } from '../core/bucket-record.ts';
import { ClusterMembers } from '../core/cluster-members.ts';
import { compareVersions, storageVersionOf } from '../core/versions.ts';
import { writeBbolt, type BucketSource, type KeyAndValue } from './bbolt/writer.ts';
import type { DatabaseView } from './database.ts';

export interface SnapshotSource {
  /** Closed by the one who opened it. */
  readonly view: DatabaseView;
  readonly term: number;
  readonly members: readonly Member[];
}

/** A file without a name: it is gone with its handle, or with the process. */
export async function openUnnamedFile(dataDir: string): Promise<FileHandle> {
  const folder = join(dataDir, 'member', 'snap');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `${process.pid}-${performance.now()}.db.part`);
  const file = await open(path, 'wx+', 0o600);
  await rm(path);
  return file;
}

/** Returns the size of the file in bytes. */
export async function writeSnapshot(file: FileHandle, { view, term, members }: SnapshotSource): Promise<number> {
  const [progress, compactRevision, records, leases] = await Promise.all([view.progress(), view.compactRevision(), view.records(), view.leases()]);
  const ofBucket = (bucket: Bucket): BucketSource => ({ name: bucket, items: inOrder(records.filter((record) => record.bucket === bucket).map(pairOf)) });
  return writeBbolt(file, [
    ofBucket('alarm'), ofBucket('auth'), ofBucket('authRoles'), ofBucket('authUsers'),
    ofBucket('cluster'),
    { name: 'key', items: view.entries() },
    { name: 'lease', items: inOrder(leases.map((lease) => [idKey(lease.id), leaseRecord.encode({ ID: lease.id, TTL: lease.grantedTtl, remainingTTL: lease.remainingTtl })])) },
    ofBucket('members'), ofBucket('members_removed'),
    { name: 'meta', items: inOrder(metaRecords({ ...progress, compactRevision, term, members, storageVersion: storageVersionIn(records) })) },
  ]);
}

const pairOf = ({ key, value }: BucketRecord): KeyAndValue => [key, value];
const inOrder = (items: KeyAndValue[]): KeyAndValue[] => items.sort(([a], [b]) => Buffer.compare(a, b));

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function idKey(id: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(id);
  return bytes;
}

/** Versions before 3.6 know no such field. */
function storageVersionIn(records: readonly BucketRecord[]): string {
  const cluster = new ClusterMembers();
  cluster.restore(records);
  const version = storageVersionOf(cluster.clusterVersion);
  return version === '' || compareVersions(version, '3.6.0') < 0 ? '' : version;
}

interface MetaSource { readonly appliedIndex: number; readonly compactRevision: number; readonly term: number; readonly members: readonly Member[]; readonly storageVersion: string }

function metaRecords({ appliedIndex, compactRevision, term, members, storageVersion }: MetaSource): KeyAndValue[] {
  const text = (name: string, value: string): KeyAndValue => [Buffer.from(name), Buffer.from(value)];
  // Ids are numbers beyond what JSON.stringify can write.
  const ids = (isLearner: boolean): string => members.filter((member) => member.isLearner === isLearner).map(({ ID }) => ID.toString()).join(',');
  const learners = ids(true) === '' ? '' : `"learners":[${ids(true)}],`;
  const compacted = Buffer.concat([uint64(compactRevision), Buffer.from('_'), uint64(0)]);
  return [
    [Buffer.from('consistent_index'), uint64(appliedIndex)], [Buffer.from('term'), uint64(term)],
    text('confState', `{"voters":[${ids(false)}],${learners}"auto_leave":false}`),
    ...(storageVersion === '' ? [] : [text('storageVersion', storageVersion)]),
    ...(compactRevision === 0 ? [] : [[Buffer.from('finishedCompactRev'), compacted], [Buffer.from('scheduledCompactRev'), compacted]] as KeyAndValue[]),
  ];
}
