// The records of the write-ahead log, byte for byte as etcd writes them: frames of a length (8 bytes, little endian; the top byte
// tells the padding to a multiple of 8) and a walpb.Record, whose checksum goes on from the record before.
// Source: etcd v3.6, server/storage/wal/{encoder,decoder}.go and walpb/record.proto.
import { confState, type Entry, type HardState } from '#lib/etcd-api/raft-messages.ts';
import { bytes, int64, message, nested, uint32, uint64Id, WireError, type Decoded } from '#lib/etcd-api/wire.ts';
import { crc32c } from '../core/crc32c.ts';

export const RECORD_TYPE = { metadata: 1, entry: 2, state: 3, crc: 4, snapshot: 5 } as const;

const walRecord = message({ type: int64(1), crc: uint32(2), data: bytes(3) });
export const walMetadata = message({ nodeId: uint64Id(1), clusterId: uint64Id(2) });
export const walSnapshot = message({ index: int64(1), term: int64(2), confState: nested(3, confState) });
export type WalSnapshot = Decoded<typeof walSnapshot>;

export const FRAME_BYTES = 8;
const SECTOR_BYTES = 512;
/** Tag and type, tag and checksum, tag and length; the latter two are written as varints of a fixed five bytes. */
const RECORD_HEADER_BYTES = 2 + 6 + 6;
/** Of an entry: three tags with a type and two varints of up to eight bytes, a tag and a length. */
const ENTRY_HEADER_BYTES = 2 + 9 + 9 + 6;
const HARD_STATE_BYTES = 9 + 11 + 9;
const FIRST_BUFFER_BYTES = 4096;
const NOTHING = Buffer.alloc(0);

/** Collects records to be written together. */
export class RecordWriter {
  /** Of the record written last. */
  crc: number;
  private buffer: Buffer;
  /** For what comes while the other one is on its way. */
  private spare: Buffer | undefined;
  private end = 0;

  constructor(crc: number) {
    this.crc = crc;
    this.buffer = Buffer.allocUnsafeSlow(FIRST_BUFFER_BYTES);
  }

  get length(): number {
    return this.end;
  }

  /** What was collected. It stays as it is until it is given back. */
  take(): Buffer {
    if (this.end === 0) return NOTHING;
    const bytes = this.buffer.subarray(0, this.end);
    this.buffer = this.spare ?? Buffer.allocUnsafeSlow(FIRST_BUFFER_BYTES);
    this.spare = undefined;
    this.end = 0;
    return bytes;
  }

  /** Takes back what was taken, unless it is large. */
  reuse(taken: Buffer, maxBytes: number): void {
    if (taken.buffer.byteLength <= maxBytes) this.spare = Buffer.from(taken.buffer);
  }

  record(type: number, data: Uint8Array): void {
    const start = this.begin(data.length);
    this.buffer.set(data, start);
    this.finish(type, start, start + data.length);
  }

  /**
   * The checksum that the next record goes on from: the first record of each segment, and of each write. The latter is ours (etcd
   * reads over it): it shows that all before it was durable when it was written, which tells damage from a write that was cut short.
   */
  crcRecord(previous: number): void {
    this.crc = previous;
    const start = this.begin(0);
    this.finish(RECORD_TYPE.crc, start, start);
  }

  entry({ type, term, index, data }: Entry): void {
    const start = this.begin(ENTRY_HEADER_BYTES + data.length);
    const { buffer } = this;
    let at = start;
    if (type !== 'EntryNormal') {
      buffer[at++] = 0x08;
      buffer[at++] = type === 'EntryConfChange' ? 1 : 2;
    }
    buffer[at++] = 0x10;
    at = writeVarint(buffer, at, term);
    buffer[at++] = 0x18;
    at = writeVarint(buffer, at, index);
    if (data.length > 0) {
      buffer[at++] = 0x22;
      at = writeVarint(buffer, at, data.length);
      buffer.set(data, at);
      at += data.length;
    }
    this.finish(RECORD_TYPE.entry, start, at);
  }

  hardState({ term, vote, commit }: HardState): void {
    const start = this.begin(HARD_STATE_BYTES);
    const { buffer } = this;
    let at = start;
    buffer[at++] = 0x08;
    at = writeVarint(buffer, at, term);
    buffer[at++] = 0x10;
    at = writeId(buffer, at, vote);
    buffer[at++] = 0x18;
    at = writeVarint(buffer, at, commit);
    this.finish(RECORD_TYPE.state, start, at);
  }

  /** Makes room and returns where the data go. */
  private begin(dataBytes: number): number {
    const needed = this.end + FRAME_BYTES + RECORD_HEADER_BYTES + dataBytes + 7;
    if (needed > this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
      this.buffer.copy(grown, 0, 0, this.end);
      this.buffer = grown;
    }
    return this.end + FRAME_BYTES + RECORD_HEADER_BYTES;
  }

  private finish(type: number, dataStart: number, dataEnd: number): void {
    const { buffer } = this;
    if (type !== RECORD_TYPE.crc) this.crc = crc32c(buffer, this.crc, dataStart, dataEnd);
    const frame = this.end;
    let at = frame + FRAME_BYTES;
    buffer[at++] = 0x08;
    buffer[at++] = type;
    buffer[at++] = 0x10;
    at = writeFixedVarint(buffer, at, this.crc);
    buffer[at++] = 0x1a;
    writeFixedVarint(buffer, at, dataEnd - dataStart);
    const size = dataEnd - frame - FRAME_BYTES;
    const padding = -size & 7;
    buffer.fill(0, dataEnd, dataEnd + padding);
    buffer.writeUInt32LE(size, frame);
    buffer.writeUInt32LE(padding === 0 ? 0 : (0x80 | padding) << 24 >>> 0, frame + 4);
    this.end = dataEnd + padding;
  }
}

function writeVarint(buffer: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    buffer[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  buffer[at++] = rest;
  return at;
}

function writeId(buffer: Buffer, start: number, id: bigint): number {
  let at = start;
  let rest = id;
  while (rest >= 0x80n) {
    buffer[at++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  buffer[at++] = Number(rest);
  return at;
}

/** Five bytes whatever the value. */
function writeFixedVarint(buffer: Buffer, start: number, value: number): number {
  for (let shift = 0; shift < 28; shift += 7) buffer[start + shift / 7] = (value >>> shift & 0x7f) | 0x80;
  buffer[start + 4] = value >>> 28;
  return start + 5;
}

/** The log was changed behind etcd's back, or the disk is failing: nothing of it can be trusted. */
export class WalCorrupt extends Error {
  override readonly name = 'WalCorrupt';
}

export interface ReadRecord {
  readonly type: number;
  /** A view of the file. */
  readonly data: Buffer;
  /** Where the next one starts. */
  readonly end: number;
}

/**
 * Reads one segment. `next()` gives 'end' where what was written ends, and 'torn' where a write was cut short by a crash, which is only
 * possible in the last segment; both leave `position` at the end of the last whole record. It throws WalCorrupt for everything else.
 */
export class SegmentReader {
  position = 0;
  crc: number;
  private readonly file: Buffer;
  private readonly name: string;
  private readonly isLast: boolean;

  constructor(file: Buffer, options: { readonly name: string; readonly crc: number; readonly isLast: boolean }) {
    this.file = file;
    this.name = options.name;
    this.crc = options.crc;
    this.isLast = options.isLast;
  }

  next(): ReadRecord | 'end' | 'torn' {
    const { file, position } = this;
    if (position >= file.length) return 'end';
    const frame = readFrame(file, position);
    if (frame === undefined) return this.cutShort();
    if (frame.size === 0) return this.endOfWritten();
    if (frame.end % FRAME_BYTES !== 0) throw new WalCorrupt(this.mismatch()); // a length is never cut short, as no sector ends within it
    if (frame.end > file.length && frame.start + frame.size <= file.length) return 'torn'; // nothing but the padding is missing
    if (frame.end > file.length) return this.cutShort(`wal: max entry size limit exceeded when reading "${this.name}", recBytes: ${frame.size}, fileSize(${file.length}) - offset(${position})`);
    const record = decodeRecord(file.subarray(frame.start, frame.start + frame.size));
    if (record === undefined || record.crc !== this.crcAfter(record)) {
      if (this.isLast && hasBlankSector(file, frame.start, frame.end)) return this.cutShort();
      throw new WalCorrupt(record === undefined ? `wal: unexpected record in file '${this.name}' at position: ${position}` : this.mismatch());
    }
    this.crc = record.crc;
    this.position = frame.end;
    return { type: record.type, data: record.data, end: frame.end };
  }

  private crcAfter({ type, data, crc }: Record): number {
    // The first segment that is left tells where its checksums start; the others must go on from the one before.
    if (type === RECORD_TYPE.crc) return this.crc === 0 ? crc : this.crc;
    return crc32c(data, this.crc);
  }

  private mismatch(): string {
    return `walpb: crc mismatch in file '${this.name}' at position: ${this.position}`;
  }

  /** A length of zero: the rest was set aside, or never reached the disk. Unless a record stands there: then its length was damaged. */
  private endOfWritten(): 'end' {
    const start = this.position + FRAME_BYTES;
    const lengthSharesSector = start % SECTOR_BYTES !== 0;
    if ((lengthSharesSector && this.hasRecordAt(start)) || this.hasLaterWrite()) throw new WalCorrupt(this.mismatch());
    return 'end';
  }

  /** The last write did not reach the disk as a whole, unless what stands there shows that it did. */
  private cutShort(problem = this.mismatch()): 'torn' {
    if (!this.isLast || this.hasRecordAt(this.position + FRAME_BYTES) || this.hasLaterWrite()) throw new WalCorrupt(problem);
    return 'torn';
  }

  /** A record with the right checksum stands at `start`, whatever its frame says. */
  private hasRecordAt(start: number): boolean {
    const record = decodeUnframed(this.file, start);
    return record !== undefined && record.crc === this.crcAfter(record);
  }

  /** A write follows, which was only begun when everything here was durable. */
  private hasLaterWrite(): boolean {
    const { file } = this;
    for (let at = this.position + FRAME_BYTES; at + FRAME_BYTES <= file.length; at += FRAME_BYTES) {
      const mark = recordIn(file, at);
      if (mark?.record.type !== RECORD_TYPE.crc) continue;
      const follower = recordIn(file, mark.end)?.record;
      if (follower !== undefined && follower.crc === crc32c(follower.data, mark.record.crc)) return true;
    }
    return false;
  }
}

function recordIn(file: Buffer, at: number): { readonly record: Record; readonly end: number } | undefined {
  const frame = readFrame(file, at);
  if (frame === undefined || frame.size === 0 || frame.end > file.length) return undefined;
  const record = decodeRecord(file.subarray(frame.start, frame.start + frame.size));
  return record && { record, end: frame.end };
}

type Record = Decoded<typeof walRecord>;
const isKnownType = (type: number): boolean => type >= RECORD_TYPE.metadata && type <= RECORD_TYPE.snapshot;

interface Frame {
  readonly start: number;
  readonly size: number;
  /** Padding included. */
  readonly end: number;
}

function readFrame(file: Buffer, at: number): Frame | undefined {
  if (at + FRAME_BYTES > file.length) return undefined;
  const top = file[at + 7] as number;
  // 56 bits; sizes beyond 2^48 only come from damage.
  const size = file.readUIntLE(at, 6) + (file[at + 6] as number) * 2 ** 48;
  const start = at + FRAME_BYTES;
  return { start, size, end: start + size + (top >= 0x80 ? top & 0x7 : 0) };
}

function decodeRecord(bytes: Buffer): Record | undefined {
  try {
    const record = walRecord.decode(bytes);
    return isKnownType(record.type) ? record : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** Reads type, checksum and data one after another, as both we and etcd write them. */
function decodeUnframed(file: Buffer, start: number): Record | undefined {
  let at = start;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = file[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    return Number.NaN;
  };
  const tagged = (tag: number): number => (file[at++] === tag ? varint() : Number.NaN);
  const type = tagged(0x08);
  const crc = tagged(0x10);
  const size = tagged(0x1a);
  if (Number.isNaN(type + crc + size) || !isKnownType(type) || at + size > file.length) return undefined;
  return { type, crc, data: file.subarray(at, at + size) };
}

const isBlank = (file: Buffer, start: number, end: number): boolean => {
  for (let at = start; at < end; at += 1) if (file[at] !== 0) return false;
  return true;
};

/** A sector that was never written reads as zeroes. */
function hasBlankSector(file: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end;) {
    const next = Math.min(end, at + SECTOR_BYTES - at % SECTOR_BYTES);
    if (isBlank(file, at, next)) return true;
    at = next;
  }
  return false;
}
