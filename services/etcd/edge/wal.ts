// The write-ahead log: what a member has promised is on disk here before anybody hears of it. Files and records are etcd's own:
// segments <sequence>-<index of the first entry>.wal, each starting with the checksum so far, who the member is, and the hard state.
// Source: etcd v3.6, server/storage/wal/wal.go.
import { close, constants, fsync, openSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import { beforeSync, beforeWrite, diskFaultIn } from '#lib/service/disk-fault.ts';
import { entry as entryMessage, hardState as hardStateMessage, type Entry, type HardState } from '#lib/etcd-api/raft-messages.ts';
import { failingDisk, failPoint } from './fail-points.ts';
import { goDuration } from './go-text.ts';
import { LARGE_WRITE_BYTES, systemDisk, WalFile, type WalDisk } from './wal-file.ts';
import { RECORD_TYPE, RecordWriter, SegmentReader, WalCorrupt, walMetadata, walSnapshot, type WalSnapshot } from './wal-record.ts';

/** Source: etcd, wal.SegmentSizeBytes. */
const SEGMENT_BYTES = 64_000_000;
/** Once a snapshot makes what is before it superfluous, a segment this large is ended, so that the next start has little to read. */
const CUT_AT_SNAPSHOT_BYTES = 4 * 1024 * 1024;
/** How often a look is taken whether `kubreak disk` has made the disk fail: a twentieth of what a small write costs, if before each one. */
const LOOK_FOR_FAULTS_MS = 20;
/** Source: etcd, wal.warnSyncDuration. */
const SLOW_SYNC_MS = 1_000;
/** The buffer of records may keep this size between writes. */
const MAX_IDLE_BUFFER_BYTES = 64 * 1024;

/** Checksums cover what a record contains, not its type: these tell one from the other. Three tags and three varints. */
const MAX_HARD_STATE_BYTES = 3 + 3 * 10;
const MAX_TERM = 2 ** 48;

export interface WalIdentity {
  readonly nodeId: bigint;
  readonly clusterId: bigint;
}

/** What a new log starts with. */
export interface WalStart extends WalIdentity {
  /** Of the state that is there already; { index: 0, term: 0 } when there is none. */
  readonly snapshot: Pick<WalSnapshot, 'index' | 'term'> & Partial<WalSnapshot>;
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
}

export interface WalContents extends WalIdentity {
  /** The newest one that counts. */
  readonly snapshot: WalSnapshot;
  readonly hardState: HardState;
  /** Those after the snapshot, without gaps. */
  readonly entries: Entry[];
}

export interface WalOptions {
  readonly log: Logger;
  readonly onSync?: (seconds: number) => void;
  readonly segmentBytes?: number;
  /** Where the disk may be told to fail. */
  readonly dataDir?: string;
  readonly disk?: WalDisk;
  /** Writes are not waited for until they are durable. */
  readonly unsafeNoFsync?: boolean;
  /** Segments that are kept though a snapshot covers them, together with the others; 0: all. Default: none. */
  readonly maxWals?: number;
}

export class WalError extends Error {
  override readonly name = 'WalError';
}

interface Segment {
  readonly name: string;
  readonly sequence: number;
  /** Its first entry has this index; all entries of the segment before are below it. */
  readonly index: number;
}

const { O_CREAT, O_EXCL, O_RDWR, O_TRUNC } = constants;
const syncFlag = ({ unsafeNoFsync = false }: WalOptions): number => (unsafeNoFsync ? 0 : constants.O_DSYNC);

const diskOf = ({ disk, dataDir }: WalOptions): WalDisk => disk ?? failingDisk() ?? (dataDir === undefined ? systemDisk : diskBelow(dataDir));

/** As the disk below this folder is made to be by `kubreak disk`. */
function diskBelow(folder: string): WalDisk {
  let lookedMs = -Infinity;
  let isFaulty = false;
  return {
    append: async (fd, bytes, position) => {
      const nowMs = performance.now();
      if (nowMs - lookedMs > LOOK_FOR_FAULTS_MS) {
        lookedMs = nowMs;
        isFaulty = diskFaultIn(folder) !== undefined;
      }
      if (isFaulty) {
        beforeWrite(folder);
        await beforeSync(folder);
      }
      await systemDisk.append(fd, bytes, position);
    },
  };
}
// While there is traffic, by other threads: the file system may keep any of these waiting for its journal.
const syncFolder = promisify(fsync);
const closeFile = promisify(close);

export class Wal {
  readonly folder: string;
  private readonly options: WalOptions;
  private readonly disk: WalDisk;
  private readonly segmentBytes: number;
  private readonly metadata: Buffer;
  private readonly writer: RecordWriter;
  /** Oldest first; the last one is written to. */
  private readonly segments: Segment[];
  private hardState: HardState;
  private lastIndex: number;
  private file: WalFile;
  private position: number;
  /** Takes the next segment's name once its head is durable. Made ready while there is time for it; undefined when that has failed: the cut tries again. */
  private prepared: Promise<WalFile | undefined> | undefined;
  private preparedCount = 0;
  /** The segment before is brought to its size. */
  private ending: Promise<void> = Promise.resolve();
  /** Writes happen one after the other. */
  private queue: Promise<void> = Promise.resolve();
  private writesUnderWay = 0;
  private cutAtNextWrite = false;
  private written = 0;

  private constructor(folder: string, options: WalOptions, state: { disk: WalDisk; metadata: Buffer; crc: number; segments: Segment[]; hardState: HardState; lastIndex: number; file: WalFile; position: number }) {
    this.folder = folder;
    this.options = options;
    this.disk = state.disk;
    this.segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.metadata = state.metadata;
    this.writer = new RecordWriter(state.crc);
    this.segments = state.segments;
    this.hardState = state.hardState;
    this.lastIndex = state.lastIndex;
    this.file = state.file;
    this.position = state.position;
  }

  static async exists(folder: string): Promise<boolean> {
    const names = await readdir(folder).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    return names.some((name) => parseName(name) !== undefined);
  }

  /** It is there as a whole, on the disk, or not at all. */
  static async create(folder: string, start: WalStart, options: WalOptions): Promise<Wal> {
    const temporary = `${folder}.tmp`;
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary, { recursive: true, mode: 0o700 });
    const segment = segmentOf(0, 0);
    const metadata = walMetadata.encode({ nodeId: start.nodeId, clusterId: start.clusterId });
    const disk = diskOf(options);
    const wal = new Wal(folder, options, {
      metadata, crc: 0, segments: [segment], hardState: start.hardState, lastIndex: start.entries.at(-1)?.index ?? start.snapshot.index,
      disk, file: await WalFile.open(disk, { path: join(temporary, segment.name), flags: O_RDWR | O_CREAT | O_EXCL | syncFlag(options) }), position: 0,
    });
    wal.writer.crcRecord(0);
    wal.writer.record(RECORD_TYPE.metadata, metadata);
    wal.writer.record(RECORD_TYPE.snapshot, walSnapshot.encode(start.snapshot));
    for (const entry of start.entries) wal.writer.entry(entry);
    wal.writer.hardState(start.hardState);
    await wal.flush();
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder);
    await syncPath(folder);
    await syncPath(dirname(folder));
    return wal;
  }

  /** Reads what there is no snapshot of, and cuts off a last write that was not completed. Throws WalCorrupt when anything else is damaged. */
  static async open(folder: string, options: WalOptions): Promise<{ wal: Wal; contents: WalContents }> {
    const { contents, metadata, crc, position, segments } = await readAll(folder, options.log);
    const disk = diskOf(options);
    // Zeroes go, too: a part of what was not completed may lie beyond them.
    const file = await WalFile.open(disk, { path: join(folder, (segments.at(-1) as Segment).name), flags: O_RDWR | syncFlag(options), usedBytes: position });
    const wal = new Wal(folder, options, {
      metadata, crc, segments, hardState: contents.hardState, lastIndex: contents.entries.at(-1)?.index ?? contents.snapshot.index, disk, file, position,
    });
    return { wal, contents };
  }

  /** Keeps them in order after what was kept before. With `sync` it resolves when all of it is durable; a rejection means that nothing may be relied on any more. */
  save(entries: readonly Entry[], hardState: HardState | undefined, sync: boolean): Promise<void> {
    if (this.writer.length === 0 && (entries.length > 0 || hardState !== undefined)) this.writer.crcRecord(this.writer.crc);
    for (const entry of entries) this.writer.entry(entry);
    const last = entries.at(-1);
    if (last !== undefined) this.lastIndex = last.index;
    if (hardState !== undefined) {
      this.hardState = hardState;
      this.writer.hardState(hardState);
    }
    if (this.position > Math.min(this.segmentBytes, CUT_AT_SNAPSHOT_BYTES) / 2) this.prepared ??= this.prepare();
    // What needs no sync can wait for what does: it is only lost together with the process, and then known from elsewhere.
    return sync || this.writer.length > MAX_IDLE_BUFFER_BYTES ? this.flush() : Promise.resolve();
  }

  /** Notes that the state as of this index is durable elsewhere. */
  async saveSnapshot(snapshot: WalSnapshot, hardState?: HardState): Promise<void> {
    if (this.position > CUT_AT_SNAPSHOT_BYTES) {
      this.cutAtNextWrite = true;
      await this.flush();
    }
    if (this.writer.length === 0) this.writer.crcRecord(this.writer.crc);
    this.writer.record(RECORD_TYPE.snapshot, walSnapshot.encode(snapshot));
    this.lastIndex = Math.max(this.lastIndex, snapshot.index);
    await this.save([], hardState, true);
  }

  /** Removes the segments that hold nothing after `index`, for which there must be a snapshot, but for the last `maxWals`. */
  async release(index: number): Promise<void> {
    const { maxWals = 1 } = this.options;
    while (maxWals > 0 && this.segments.length > maxWals && (this.segments[1]?.index ?? Infinity) <= index + 1) {
      const [oldest] = this.segments.splice(0, 1) as [Segment];
      await rm(join(this.folder, oldest.name), { force: true });
    }
  }

  /** Of the segment that is written to. */
  get sizeBytes(): number {
    return this.position;
  }

  /** Since the start. */
  get writtenBytes(): number {
    return this.written;
  }

  async close(): Promise<void> {
    await this.flush();
    const prepared = await this.prepared;
    if (prepared !== undefined) {
      await prepared.close();
      await rm(prepared.path, { force: true });
    }
    await this.ending;
    await this.file.end(this.position);
  }

  private flush(): Promise<void> {
    // After a failure nobody knows what is on the disk, so every later write fails with it.
    const done = this.writesUnderWay === 0 ? this.write() : this.queue.then(() => this.write());
    this.writesUnderWay += 1;
    this.queue = done.then(() => { this.writesUnderWay -= 1; });
    this.queue.catch(() => undefined); // told to those who wait for it
    return done;
  }

  private async write(): Promise<void> {
    const bytes = this.writer.take();
    const start = this.position;
    this.position += bytes.length;
    this.written += bytes.length;
    const isFull = this.cutAtNextWrite || this.position >= this.segmentBytes;
    this.cutAtNextWrite = false;
    // What is kept from here on belongs to the next segment: its head goes first.
    if (isFull) this.writeHead();
    const nextIndex = this.lastIndex + 1;
    await this.append(bytes, start);
    if (isFull) await this.cut(nextIndex);
  }

  private async append(bytes: Buffer, start: number): Promise<void> {
    if (bytes.length === 0) return;
    const end = start + bytes.length;
    await this.file.reached(end);
    const startMs = performance.now();
    const appended = this.file.append(bytes, start);
    if (bytes.length < LARGE_WRITE_BYTES && this.file.lacksRoom(end)) {
      this.file.makeRoom().catch((error: unknown) => this.options.log.warn({ err: error }, 'failed to set space aside in the WAL'));
    }
    await appended;
    this.writer.reuse(bytes, MAX_IDLE_BUFFER_BYTES);
    const tookMs = performance.now() - startMs;
    this.options.onSync?.(tookMs / 1000);
    if (tookMs > SLOW_SYNC_MS) this.options.log.warn({ took: goDuration(tookMs), 'expected-duration': goDuration(SLOW_SYNC_MS) }, 'slow fdatasync');
  }

  /** Two names take turns, as in etcd's file pipeline: one may be prepared while the other is put in its place. */
  private async prepareFile(): Promise<WalFile> {
    const path = join(this.folder, `${this.preparedCount++ % 2}.tmp`);
    const file = await WalFile.open(this.disk, { path, flags: O_RDWR | O_CREAT | O_TRUNC | syncFlag(this.options) });
    try {
      await file.makeRoom();
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  }

  private prepare(): Promise<WalFile | undefined> {
    return this.prepareFile().catch((error: unknown) => {
      this.options.log.warn({ err: error }, 'failed to prepare the file of the next WAL segment');
      return undefined;
    });
  }

  private writeHead(): void {
    this.writer.crcRecord(this.writer.crc);
    this.writer.record(RECORD_TYPE.metadata, this.metadata);
    this.writer.hardState(this.hardState);
  }

  private async cut(nextIndex: number): Promise<void> {
    const segment = segmentOf((this.segments.at(-1)?.sequence ?? 0) + 1, nextIndex);
    const path = join(this.folder, segment.name);
    await failPoint('walBeforeCut');
    await this.ending;
    const prepared = await this.prepared ?? await this.prepareFile();
    this.prepared = undefined;
    // A start takes no harm from what is set aside behind the records, so nobody waits until that is cut off.
    this.ending = this.file.end(this.position);
    this.ending.catch(() => undefined); // told to the next cut
    const head = this.writer.take();
    this.file = prepared;
    this.position = head.length;
    this.written += head.length;
    await this.append(head, 0);
    await rename(prepared.path, path);
    await syncPath(this.folder);
    await failPoint('walAfterCut');
    this.segments.push(segment);
    this.options.log.info({ path }, 'created a new WAL segment');
  }
}

/** What the log holds, without a change to it. */
export const readWal = async (folder: string, log: Logger): Promise<WalContents> => (await readAll(folder, log)).contents;

async function readAll(folder: string, log: Logger): Promise<{ contents: WalContents; metadata: Buffer; crc: number; position: number; segments: Segment[] }> {
  const segments = await listSegments(folder);
  // The newest segments mostly say all that counts: what is in those before is covered by a snapshot that they know of.
  for (let from = segments.length - 1; from > 0; from -= 1) {
    const read = await readFrom(segments.slice(from), folder, log).catch((error: unknown) => {
      if (error instanceof WalCorrupt) return undefined; // it may be whole with what is before
      throw error;
    });
    if (read !== undefined && read.contents.snapshot.index + 1 >= (segments[from] as Segment).index) return { ...read, segments };
  }
  return { ...await readFrom(segments, folder, log), segments };
}

async function readFrom(segments: readonly Segment[], folder: string, log: Logger): Promise<{ contents: WalContents; metadata: Buffer; crc: number; position: number }> {
  const reading = new Contents();
  let crc = 0;
  let position = 0;
  for (const [at, { name }] of segments.entries()) {
    const file = await readFile(join(folder, name));
    const reader = new SegmentReader(file, { name, crc, isLast: at === segments.length - 1 });
    let record = reader.next();
    for (; typeof record === 'object'; record = reader.next()) reading.add(record.type, record.data);
    ({ crc, position } = reader);
    if (record === 'torn') log.warn({ segment: name, position, size: file.length }, 'the last write to the WAL was not completed: it is cut off');
  }
  return { contents: reading.finish(), metadata: reading.metadata, crc, position };
}

/** Puts together what the records tell. */
class Contents {
  metadata: Buffer = Buffer.alloc(0);
  private hardState: HardState = { term: 0, vote: 0n, commit: 0 };
  private snapshots: WalSnapshot[] = [];
  /** Without gaps; later ones replace earlier ones from their index on. */
  private entries: Entry[] = [];
  /** What was there before a snapshot from another member took its place; that counts only once it is committed. */
  private replaced: Entry[] = [];

  add(type: number, data: Buffer): void {
    switch (type) {
      case RECORD_TYPE.entry: return this.addEntry(entryMessage.decode(data));
      case RECORD_TYPE.state:
        this.hardState = hardStateMessage.decode(data);
        if (data.length > MAX_HARD_STATE_BYTES || this.hardState.term > MAX_TERM) throw new WalCorrupt('wal: a record is not the hard state that it says it is');
        return;
      case RECORD_TYPE.crc:
        if (data.length > 0) throw new WalCorrupt('wal: a record of a checksum has other content');
        return;
      case RECORD_TYPE.metadata:
        if (this.metadata.length > 0 && !this.metadata.equals(data)) throw new WalCorrupt('wal: conflicting metadata found');
        this.metadata = Buffer.from(data);
        return;
      case RECORD_TYPE.snapshot: return this.addSnapshot(walSnapshot.decode(data));
    }
  }

  private addEntry(entry: Entry): void {
    const isMeaningful = entry.term > 0 && entry.term <= MAX_TERM && (entry.type === 'EntryNormal' || (entry.type === 'EntryConfChange' && entry.data.length > 0));
    if (!isMeaningful) throw new WalCorrupt(`wal: a record is not the entry that it says it is, current entry[Index: ${entry.index}, Term: ${entry.term}]`);
    const first = this.entries[0]?.index ?? entry.index;
    const at = Math.max(entry.index - first, 0);
    if (at > this.entries.length) throw new WalCorrupt(`wal: slice bounds out of range, current entry[Index: ${entry.index}, Term: ${entry.term}], len(ents): ${this.entries.length}, first: ${first}`);
    this.entries.length = at;
    // A copy: a view would keep the whole segment in memory.
    this.entries.push({ ...entry, data: Buffer.from(entry.data) });
  }

  private addSnapshot(snapshot: WalSnapshot): void {
    this.snapshots.push(snapshot);
    const last = this.entries.at(-1)?.index ?? 0;
    if (snapshot.index <= last || this.entries.length === 0) return this.forgetUpTo(snapshot.index);
    this.replaced = this.entries;
    this.entries = [];
  }

  /** Entries before a snapshot are not needed; keeping them until the end would only take memory. */
  private forgetUpTo(index: number): void {
    if (index > this.hardState.commit) return;
    const first = this.entries[0]?.index ?? 0;
    if (index >= first) this.entries.splice(0, index - first + 1);
  }

  finish(): WalContents {
    if (this.metadata.length === 0) throw new WalCorrupt('wal: metadata not found');
    const byIndex = this.snapshots.toSorted((a, b) => a.index - b.index);
    const snapshot = byIndex.findLast(({ index }) => index <= this.hardState.commit);
    if (snapshot === undefined) throw new WalCorrupt('wal: snapshot not found');
    const isNewestValid = byIndex.at(-1) === snapshot;
    const all = isNewestValid || this.entries.length > 0 ? this.entries : this.replaced;
    const entries = all.filter(({ index }) => index > snapshot.index);
    const first = entries[0];
    if (first !== undefined && first.index !== snapshot.index + 1) throw new WalCorrupt(`wal: entries start at ${first.index}, but the snapshot is of ${snapshot.index}`);
    return { ...walMetadata.decode(this.metadata), snapshot, hardState: this.hardState, entries };
  }
}

const hex = (value: number): string => value.toString(16).padStart(16, '0');
const segmentOf = (sequence: number, index: number): Segment => ({ name: `${hex(sequence)}-${hex(index)}.wal`, sequence, index });

function parseName(name: string): Segment | undefined {
  const match = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/.exec(name);
  return match === null ? undefined : { name, sequence: Number.parseInt(match[1] as string, 16), index: Number.parseInt(match[2] as string, 16) };
}

async function listSegments(folder: string): Promise<Segment[]> {
  const names = (await readdir(folder)).sort();
  for (const name of names) if (name.endsWith('.tmp')) await rm(join(folder, name), { force: true });
  const segments = names.flatMap((name) => parseName(name) ?? []);
  const [first] = segments;
  if (first === undefined) throw new WalError('wal: file not found');
  segments.forEach(({ sequence }, at) => {
    if (sequence !== first.sequence + at) throw new WalCorrupt(`wal: file sequence numbers (starting from ${first.sequence}) do not increase continuously`);
  });
  return segments;
}

async function syncPath(path: string): Promise<void> {
  const fd = openSync(path, 'r');
  try {
    await syncFolder(fd);
  } finally {
    await closeFile(fd);
  }
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

/** Bytes of all segments on disk. */
export async function walSizeOnDisk(folder: string): Promise<number> {
  const sizes = await Promise.all((await readdir(folder)).map((name) => stat(join(folder, name)).then(({ size }) => size, (error: unknown) => {
    if (isMissing(error)) return 0;
    throw error;
  })));
  return sizes.reduce((sum, size) => sum + size, 0);
}
