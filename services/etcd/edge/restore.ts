// Makes the data directory of a member of a new cluster from a snapshot, as `etcdutl snapshot restore` does: the keys are
// those of the snapshot, the members are those that are named now. Every member of the new cluster restores the same one.
// Source: etcd v3.6, etcdutl/snapshot/v3_snapshot.go.
import { createHash } from 'node:crypto';
import { open, readdir, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeMember } from '../core/cluster-members.ts';
import type { BucketRecord } from '../core/bucket-record.ts';
import { initialMembers, type InitialClusterOptions } from './bootstrap.ts';
import { Database, type StateSource } from './database.ts';
import { compactedAt, revisionOf } from './finished-compaction.ts';
import { clusterIdOf } from './membership.ts';
import { hexId } from './peers/identity.ts';
import { readSnapshotFile } from './snapshot-source.ts';
import { Wal, type WalOptions } from './wal.ts';

export interface RestoreOptions extends InitialClusterOptions {
  readonly snapshotPath: string;
  /** For a file that was copied from a data directory, which has no hash. */
  readonly skipHashCheck: boolean;
  /** The revision goes on that much higher, and everything before is compacted: who watched the former cluster has to read anew. */
  readonly bumpRevision: number;
  readonly dataDir: string;
  /** Empty: within the data directory. */
  readonly walDir: string;
  readonly walOptions: WalOptions;
}

export class RestoreError extends Error {
  override readonly name = 'RestoreError';
}

const HASH_BYTES = 32;
/** A file whose size leaves that much over a sector has a hash at its end. */
const SECTOR_BYTES = 512;
const FIRST_TERM = 1;
const READ_BYTES = 1024 * 1024;

/** Rejects with RestoreError, BboltError, BootstrapError or DataDirectoryError, before anything is written unless the disk fails. */
export async function restoreSnapshot(options: RestoreOptions): Promise<void> {
  const { snapshotPath, skipHashCheck, bumpRevision, dataDir, name } = options;
  const members = initialMembers(options);
  const self = members.find((member) => member.name === name);
  if (self === undefined) throw new RestoreError(`couldn't find local name "${name}" in the initial cluster configuration`);
  await refuseWhatIsThere(options);
  const file = await open(snapshotPath, 'r').catch((error: unknown) => {
    throw new RestoreError(`cannot open ${snapshotPath}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  });
  try {
    await checkHash(file, skipHashCheck);
    const source = await readSnapshotFile(file);
    const database = await Database.open(dataDir);
    const snapshot = { index: members.length, term: FIRST_TERM, confState: { voters: members.map(({ id }) => id), learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false } };
    try {
      const others = (await source.records()).filter(({ bucket }) => bucket !== 'members' && bucket !== 'members_removed');
      const own = members.map((member): BucketRecord => ({ bucket: 'members', key: Buffer.from(hexId(member.id)), value: encodeMember(member) }));
      const state = bumpRevision > 0 ? await bumped(source, bumpRevision) : source;
      await database.replace({ ...state, records: async () => [...others, ...own], progress: async () => ({ appliedIndex: snapshot.index, term: FIRST_TERM, revision: 0 }) });
    } finally {
      await database.close();
    }
    // The log comes last: without it there is no member.
    const wal = await Wal.create(walFolderOf(options), {
      nodeId: self.id, clusterId: clusterIdOf(members.map(({ id }) => id)), snapshot, hardState: { term: FIRST_TERM, vote: 0n, commit: snapshot.index }, entries: [],
    }, options.walOptions);
    await wal.close();
  } finally {
    await file.close();
  }
}

const walFolderOf = ({ dataDir, walDir }: RestoreOptions): string => walDir || join(dataDir, 'member', 'wal');

async function refuseWhatIsThere({ dataDir, walDir }: RestoreOptions): Promise<void> {
  const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw new RestoreError(`data-dir "${folder}" not empty or could not be read`, { cause: error });
  });
  if ((await namesIn(dataDir)).length > 0) throw new RestoreError(`data-dir "${dataDir}" not empty or could not be read`);
  if (walDir !== '' && (await namesIn(walDir)).length > 0) throw new RestoreError(`wal-dir "${walDir}" exists`);
}

async function checkHash(file: FileHandle, skip: boolean): Promise<void> {
  if (skip) return;
  const { size } = await file.stat();
  if (size % SECTOR_BYTES !== HASH_BYTES) throw new RestoreError('snapshot missing hash but --skip-hash-check=false');
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(READ_BYTES);
  for (let position = 0; position < size - HASH_BYTES;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(READ_BYTES, size - HASH_BYTES - position), position);
    if (bytesRead === 0) throw new RestoreError('unexpected end of the snapshot');
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  const expected = Buffer.alloc(HASH_BYTES);
  await file.read(expected, 0, HASH_BYTES, size - HASH_BYTES);
  const actual = hash.digest();
  if (!actual.equals(expected)) throw new RestoreError(`expected sha256 [${[...expected].join(' ')}], got [${[...actual].join(' ')}]`);
}

/** Source: etcdutl snapshot restore --bump-revision --mark-compacted. */
async function bumped(source: StateSource, amount: number): Promise<StateSource> {
  let latest = await source.compactRevision();
  for await (const [key] of source.entries()) latest = Math.max(latest, revisionOf(key));
  return compactedAt(source, latest + amount);
}
