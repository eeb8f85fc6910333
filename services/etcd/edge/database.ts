// The store on disk: one LevelDB with a record for every change, every lease, and a few facts about the member.
// Keys of changes are etcd's own (8 bytes main revision, '_', 8 bytes sub revision, 't' for a deletion) and values are
// mvccpb.KeyValue, so that HashKV gives what etcd would give for the same history.
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { keyValue } from '#lib/etcd-api/messages.ts';
import { WireWriter } from '#lib/etcd-api/wire.ts';
import type { Entry } from '../core/key-index.ts';
import { bytesOf, keyOf } from '../core/key-range.ts';
import type { Bucket, BucketRecord } from '../core/bucket-record.ts';
import type { StoredState, Write } from '../core/store.ts';
import { heldValue } from '../core/value-memory.ts';
import { Breather } from './breather.ts';
import { failPoint } from './fail-points.ts';

/** Facts that change with every batch. */
export interface Progress {
  readonly appliedIndex: number;
  /** Of the entry at `appliedIndex`. */
  readonly term?: number;
  readonly revision: number;
}

/** What versions without a write-ahead log kept here about the member. */
export interface FormerIdentity {
  readonly clusterId: string;
  readonly memberId: string;
  readonly term: number;
}

export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError';
}

type Operation = { type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer };

const ENTRY_PREFIX = 0x6b; // 'k'
const LEASE_PREFIX = 0x6c; // 'l'
const RECORD_PREFIX = 0x62; // 'b'
const ENTRY_PREFIX_BYTES = Buffer.from([ENTRY_PREFIX]);
const TOMBSTONE = 0x74; // 't'
const UNDERSCORE = 0x5f;
const META_IDENTITY = Buffer.from('midentity');
const META_PROGRESS = Buffer.from('mprogress');
const META_COMPACTED = Buffer.from('mcompacted');

const LEVEL_OPTIONS = {
  keyEncoding: 'buffer', valueEncoding: 'buffer',
  // The values in use are in memory already: LevelDB's own caches are kept small.
  cacheSize: 1024 * 1024, writeBufferSize: 2 * 1024 * 1024, maxOpenFiles: 64,
} as const;

/** Between two looks at the time, and how long others may wait for a batch in the making: it takes a millisecond for some 300 changes. */
const WRITES_AT_ONCE = 20;
const WRITES_TURN_MS = 0.3;

/** Of a batch with more bytes than this, changes of keys go ahead in pieces. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** Bytes of a piece: LevelDB's copy of one goes with the object that stands for it, which is to be short-lived for the collector. */
const PIECE_BYTES = 512 * 1024;

type ReadFrom = { readonly snapshot?: ReturnType<Level['snapshot']> };
export interface StoredLease { readonly id: bigint; readonly grantedTtl: number; readonly remainingTtl: number }
const NO_PROGRESS: Progress = { appliedIndex: 0, revision: 0 };

/** Records that are read at once at the start, and their bytes. */
const LOADED_AT_ONCE = 1000;
const LOADED_BYTES_AT_ONCE = 512 * 1024;

/** Bytes of records that are written at once when the state is replaced. */
const REPLACE_BATCH_BYTES = 1024 * 1024;

/** Where a state comes from: a database, or a snapshot of one. */
export type StateSource = Omit<DatabaseView, 'close' | 'values'>;

export interface DatabaseView {
  /** Key and value as in etcd's bucket, in order; up to a revision when one is given, and never beyond the progress. */
  readonly entries: (upTo?: number) => AsyncIterable<readonly [key: Buffer, value: Buffer]>;
  /** What is stored of the changes, in their order. */
  readonly values: (entries: readonly Entry[]) => Promise<Uint8Array[]>;
  readonly leases: () => Promise<readonly StoredLease[]>;
  readonly records: () => Promise<readonly BucketRecord[]>;
  readonly progress: () => Promise<Progress>;
  readonly compactRevision: () => Promise<number>;
  readonly close: () => Promise<void>;
}

export class Database {
  private readonly level: Level<Buffer, Buffer>;
  private readonly folder: string;
  /** What the database says it holds; 0 until that is known. */
  private writtenRevision = 0;

  private constructor(level: Level<Buffer, Buffer>, folder: string) {
    this.level = level;
    this.folder = folder;
  }

  /** Creates what is missing. Throws DataDirectoryError when the folder cannot be used or another process uses it. */
  static async open(dataDir: string): Promise<Database> {
    const folder = join(dataDir, 'member', 'db');
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new DataDirectoryError(`cannot access data directory ${dataDir}: ${describe(error)}`, { cause: error });
    }
    const level = new Level<Buffer, Buffer>(folder, LEVEL_OPTIONS);
    try {
      await level.open();
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined;
      const isLocked = cause instanceof Error && 'code' in cause && cause.code === 'LEVEL_LOCKED';
      throw new DataDirectoryError(isLocked
        ? `data directory ${dataDir} is locked: another etcd process is using it`
        : `cannot open data directory ${dataDir}: ${describe(cause ?? error)}`, { cause: error });
    }
    return new Database(level, folder);
  }

  /**
   * Appends the batch durably: resolves after fsync. All of it or nothing counts after a crash: of a large one, changes of keys
   * go ahead in pieces, so that not all of it is held in memory twice, and mean nothing until `progress` reaches their revision.
   */
  async write(writes: readonly Write[], progress?: Progress): Promise<void> {
    // Chained: an array of operations would cost the main thread several times as much.
    let batch = this.level.batch();
    const breather = new Breather(WRITES_TURN_MS);
    const mayGoAhead = progress !== undefined && this.writtenRevision > 0 && bytesOfChanges(writes) > MAX_BATCH_BYTES;
    let bytes = 0;
    const rest: Write[] = [];
    for (let at = 0; at < writes.length; at += 1) {
      if (at % WRITES_AT_ONCE === WRITES_AT_ONCE - 1) await breather.breathe();
      const write = writes[at] as Write;
      if (bytes >= PIECE_BYTES && mayGoAhead) {
        await failPoint('beforeCommit');
        await batch.write({ sync: true });
        batch = this.level.batch();
        bytes = 0;
      }
      if (mayGoAhead && write.type !== 'put-entry') rest.push(write);
      else bytes += addTo(batch, write);
    }
    for (const write of rest) addTo(batch, write);
    if (progress !== undefined) batch.put(META_PROGRESS, Buffer.from(JSON.stringify(progress)));
    await failPoint('beforeCommit');
    await batch.write({ sync: true });
    if (progress !== undefined) this.writtenRevision = progress.revision;
    await failPoint('afterCommit');
  }

  async readFormerIdentity(): Promise<FormerIdentity | undefined> {
    return this.readMeta<FormerIdentity>(META_IDENTITY);
  }

  async readProgress(): Promise<Progress> {
    return (await this.readMeta<Progress>(META_PROGRESS)) ?? NO_PROGRESS;
  }

  async readRecords(): Promise<BucketRecord[]> {
    return this.loadRecords();
  }

  /** Puts another state in place of this one. Until all of it is there the database counts as empty, so that after a crash it is done again. */
  async replace(source: StateSource): Promise<Progress> {
    this.writtenRevision = 0;
    await this.level.batch([{ type: 'del', key: META_PROGRESS }], { sync: true });
    await this.level.clear();
    let operations: Operation[] = [];
    let bytes = 0;
    for await (const [key, value] of source.entries()) {
      operations.push({ type: 'put', key: Buffer.concat([ENTRY_PREFIX_BYTES, key]), value: Buffer.from(value) });
      bytes += key.length + value.length;
      if (bytes < REPLACE_BATCH_BYTES) continue;
      await this.level.batch(operations, { sync: true });
      operations = [];
      bytes = 0;
    }
    for (const { id, grantedTtl, remainingTtl } of await source.leases()) operations.push({ type: 'put', key: leaseKey(id), value: leaseValue(grantedTtl, remainingTtl) });
    for (const { bucket, key, value } of await source.records()) operations.push({ type: 'put', key: recordKey(bucket, key), value });
    const compactRevision = await source.compactRevision();
    if (compactRevision > 0) operations.push({ type: 'put', key: META_COMPACTED, value: Buffer.from(String(compactRevision)) });
    const progress = await source.progress();
    operations.push({ type: 'put', key: META_PROGRESS, value: Buffer.from(JSON.stringify(progress)) });
    await this.level.batch(operations, { sync: true });
    return progress;
  }

  /** Values are kept in memory up to `maxValueBytes`, the newest ones. */
  async load(maxValueBytes: number): Promise<StoredState & Progress> {
    const progress = await this.readProgress();
    // What a crash left of a batch whose end is not there.
    if (progress.revision > 0) await this.level.clear({ gte: revisionKey(progress.revision + 1), lt: Buffer.from([ENTRY_PREFIX + 1]) });
    this.writtenRevision = progress.revision;
    const compactRevision = (await this.readMeta<number>(META_COMPACTED)) ?? 0;
    return { ...await this.loadEntries(maxValueBytes), leases: await this.loadLeases(), records: await this.loadRecords(), compactRevision, ...progress };
  }

  private async loadEntries(maxValueBytes: number): Promise<Pick<StoredState, 'entries' | 'newestValues'>> {
    const entries: Entry[] = [];
    const values: Uint8Array[] = [];
    let bytes = 0;
    // Under Node.js `level` is classic-level, whose options it does not pass on: more than 16 KiB between two calls of LevelDB.
    const options = { ...prefixRange(ENTRY_PREFIX), reverse: true, fillCache: false, highWaterMarkBytes: LOADED_BYTES_AT_ONCE };
    const iterator = this.level.iterator(options);
    try {
      for (;;) {
        const records = await iterator.nextv(LOADED_AT_ONCE);
        if (records.length === 0) return { entries: entries.reverse(), newestValues: values.reverse() };
        for (const [key, record] of records) {
          const { entry, value } = entryFrom(key, record);
          entries.push(entry);
          bytes += value.length;
          if (bytes <= maxValueBytes) values.push(value);
        }
      }
    } finally {
      await iterator.close();
    }
  }

  private async loadLeases(from: ReadFrom = {}): Promise<StoredLease[]> {
    const leases = [];
    for await (const [key, value] of this.level.iterator({ ...prefixRange(LEASE_PREFIX), ...from })) {
      leases.push({ id: key.readBigInt64BE(1), ...(JSON.parse(value.toString()) as { grantedTtl: number; remainingTtl: number }) });
    }
    return leases;
  }

  private async loadRecords(from: ReadFrom = {}): Promise<BucketRecord[]> {
    const records: BucketRecord[] = [];
    for await (const [key, value] of this.level.iterator({ ...prefixRange(RECORD_PREFIX), ...from })) {
      const split = key.indexOf(0);
      records.push({ bucket: key.toString('latin1', 1, split) as Bucket, key: key.subarray(split + 1), value });
    }
    return records;
  }

  /** Synchronous, as the store cannot wait in the middle of a command. LevelDB answers from its cache or with one read. */
  readValue(entry: Entry): Uint8Array {
    return valueIn(this.level.getSync(entryKey(entry)), entry);
  }

  /** All that is stored at this moment; later writes do not change it. To be closed. */
  view(): DatabaseView {
    const snapshot = this.level.snapshot();
    const { level } = this;
    const read = async <T>(key: Buffer): Promise<T | undefined> => {
      const value = await level.get(key, { snapshot });
      return value === undefined ? undefined : (JSON.parse(value.toString()) as T);
    };
    return {
      entries: async function* (upTo) {
        const last = Math.min(upTo ?? Infinity, (await read<Progress>(META_PROGRESS))?.revision || Infinity);
        const range = last === Infinity ? prefixRange(ENTRY_PREFIX) : { gte: ENTRY_PREFIX_BYTES, lt: revisionKey(last + 1) };
        for await (const [key, value] of level.iterator({ ...range, snapshot })) yield [key.subarray(1), value];
      },
      values: async (entries) => (await level.getMany(entries.map(entryKey), { snapshot })).map((record, at) => valueIn(record, entries[at] as Entry)),
      leases: () => this.loadLeases({ snapshot }),
      records: () => this.loadRecords({ snapshot }),
      progress: async () => (await read<Progress>(META_PROGRESS)) ?? NO_PROGRESS,
      compactRevision: async () => (await read<number>(META_COMPACTED)) ?? 0,
      close: () => snapshot.close(),
    };
  }

  /** Rewrites all tables, dropping what was deleted. */
  async defragment(): Promise<void> {
    // Under Node.js `level` is classic-level, whose types it does not pass on.
    const level = this.level as Level<Buffer, Buffer> & { compactRange(start: Buffer, end: Buffer): Promise<void> };
    await failPoint('defragOpenFileError');
    await failPoint('defragBeforeCopy');
    await failPoint('defragdbFail');
    await level.compactRange(Buffer.from([0]), Buffer.from([0xff]));
    await failPoint('defragBeforeRename');
  }

  async sizeOnDisk(): Promise<number> {
    const names = await readdir(this.folder);
    const sizes = await Promise.all(names.map((name) => stat(join(this.folder, name)).then(({ size }) => size, gone)));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  async close(): Promise<void> {
    await this.level.close();
  }

  private async readMeta<T>(key: Buffer): Promise<T | undefined> {
    const value = await this.level.get(key);
    return value === undefined ? undefined : (JSON.parse(value.toString()) as T);
  }
}

function valueIn(record: Buffer | undefined, { modRevision }: Entry): Uint8Array {
  if (record === undefined) throw new Error(`revision ${modRevision} of a key is missing on disk`);
  return keyValue.decode(record).value;
}

/** LevelDB may delete a file between the listing and the look at it. */
function gone(error: unknown): number {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0;
  throw error;
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const prefixRange = (prefix: number): { gte: Buffer; lt: Buffer } => ({ gte: Buffer.from([prefix]), lt: Buffer.from([prefix + 1]) });

type Batch = ReturnType<Level<Buffer, Buffer>['batch']>;

function bytesOfChanges(writes: readonly Write[]): number {
  let bytes = 0;
  for (const write of writes) if (write.type === 'put-entry') bytes += write.entry.sizeBytes;
  return bytes;
}

/** Returns how many bytes it takes. */
function addTo(batch: Batch, write: Write): number {
  const operation = operationFor(write);
  if (operation.type === 'put') batch.put(operation.key, operation.value);
  else batch.del(operation.key);
  return operation.key.length + (operation.type === 'put' ? operation.value.length : 0);
}

function operationFor(write: Write): Operation {
  switch (write.type) {
    case 'put-entry': return { type: 'put', key: entryKey(write.entry), value: recordOf(write.entry) };
    case 'delete-entry': return { type: 'del', key: entryKey(write.entry) };
    case 'put-lease': {
      const { id, grantedTtl, remainingTtl } = write.lease;
      return { type: 'put', key: leaseKey(id), value: leaseValue(grantedTtl, remainingTtl) };
    }
    case 'delete-lease': return { type: 'del', key: leaseKey(write.id) };
    case 'put-record': return { type: 'put', key: recordKey(write.record.bucket, write.record.key), value: write.record.value };
    case 'delete-record': return { type: 'del', key: recordKey(write.bucket, write.key) };
    case 'compacted': return { type: 'put', key: META_COMPACTED, value: Buffer.from(String(write.revision)) };
  }
}

/** The key of a change without its prefix is the key in etcd's bucket. */
function entryKey({ modRevision, subRevision, deleted }: Entry): Buffer {
  const key = Buffer.allocUnsafe(deleted ? 19 : 18);
  key[0] = ENTRY_PREFIX;
  writeUint64(key, modRevision, 1);
  key[9] = UNDERSCORE;
  writeUint64(key, subRevision, 10);
  if (deleted) key[18] = TOMBSTONE;
  return key;
}

/** Without a BigInt, which would have to be made first. */
function writeUint64(buffer: Buffer, value: number, at: number): void {
  buffer.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  buffer.writeUInt32BE(value % 2 ** 32, at + 4);
}

/** Where records are put together: LevelDB copies what it is given, so that one place does for all that are not large. */
const RECORD_WRITER = new WireWriter(4096);
/** Tags, lengths and numbers of a record. */
const MAX_RECORD_OVERHEAD_BYTES = 80;
const LARGE_RECORD_BYTES = 64 * 1024;

/** As it is stored; good until the next one is made. */
function recordOf(entry: Entry): Buffer {
  const { deleted, createRevision, modRevision, version, lease } = entry;
  const key = bytesOf(entry.key);
  const value = heldValue(entry);
  if (value === undefined) throw new Error(`the value of revision ${modRevision} left memory before it was on disk`);
  const sizeBytes = entry.sizeBytes + MAX_RECORD_OVERHEAD_BYTES;
  const writer = sizeBytes > LARGE_RECORD_BYTES ? new WireWriter(sizeBytes) : RECORD_WRITER;
  writer.reset();
  keyValue.write(writer, deleted ? { key } : { key, createRevision, modRevision, version, lease, value });
  return writer.finish();
}

function entryFrom(key: Buffer, record: Buffer): { entry: Entry; value: Buffer } {
  const kv = keyValue.decode(record);
  const deleted = key.length === 19;
  const text = keyOf(kv.key);
  const entry: Entry = {
    key: text, modRevision: Number(key.readBigUInt64BE(1)), subRevision: Number(key.readBigUInt64BE(10)), deleted,
    createRevision: kv.createRevision, version: kv.version, lease: kv.lease, sizeBytes: text.length + kv.value.length, block: undefined, offset: 0,
  };
  return { entry, value: kv.value };
}

/** Before all changes of the revision. */
function revisionKey(revision: number): Buffer {
  const key = Buffer.allocUnsafe(9);
  key[0] = ENTRY_PREFIX;
  key.writeBigUInt64BE(BigInt(revision), 1);
  return key;
}

const recordKey = (bucket: Bucket, key: Buffer): Buffer => Buffer.concat([Buffer.from(`b${bucket}\0`), key]);

const leaseValue = (grantedTtl: number, remainingTtl: number): Buffer => Buffer.from(JSON.stringify({ grantedTtl, remainingTtl }));

function leaseKey(id: bigint): Buffer {
  const key = Buffer.allocUnsafe(9);
  key[0] = LEASE_PREFIX;
  key.writeBigInt64BE(id, 1);
  return key;
}
