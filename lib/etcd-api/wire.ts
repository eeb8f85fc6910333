// Protocol Buffers wire format, for messages declared as tables of fields: `message({ key: bytes(1), ... })`.
// Types follow from the table. Written for etcd instead of a general library because of the 64-bit integers: revisions
// and counts are `number`s (fast; they stay below 2^53), ids of leases, members and clusters are `bigint`s (exact).
// Source: protobuf.dev/programming-guides/encoding.

export class WireError extends Error {
  override readonly name = 'WireError';
}

/** Deepest nesting of messages; a Txn may nest Txns. Source: Go protobuf and C++ default limits are in the hundreds. */
const MAX_DEPTH = 100;
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;
const TWO_TO_32 = 2 ** 32;
const NO_BYTES = Buffer.alloc(0);

/** Reads from the front of `buffer`. Byte fields are views of it: copy what outlives the message. */
export class WireReader {
  readonly buffer: Buffer;
  position: number;
  end: number;
  depth = 0;

  constructor(buffer: Buffer) {
    this.buffer = buffer;
    this.position = 0;
    this.end = buffer.length;
  }

  /** The upper 32 bits of the varint read last. */
  private high = 0;

  private varint(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.end) throw new WireError('unexpected end of message');
      const byte = this.buffer[this.position++] ?? 0;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else high |= (bits & 1) << 31;
      if (byte < 0x80) {
        this.high = high >>> 0;
        return low >>> 0;
      }
    }
    throw new WireError('varint is too long');
  }

  uint32(): number {
    return this.varint();
  }

  /** A signed 64-bit integer as a number; exact within ±2^53. */
  int64(): number {
    const low = this.varint();
    if (this.high < 0x80000000) return this.high * TWO_TO_32 + low;
    return (this.high - TWO_TO_32) * TWO_TO_32 + low;
  }

  unsignedId(): bigint {
    const low = this.varint();
    return this.high === 0 ? BigInt(low) : (BigInt(this.high) << 32n) | BigInt(low);
  }

  signedId(): bigint {
    return BigInt.asIntN(64, this.unsignedId());
  }

  /** Reads the length of a delimited field and returns where it ends. */
  delimitedEnd(): number {
    const size = this.varint();
    const end = this.position + size;
    if (end > this.end || this.high !== 0) throw new WireError('unexpected end of message');
    return end;
  }

  bytes(): Buffer {
    const end = this.delimitedEnd();
    const value = this.buffer.subarray(this.position, end);
    this.position = end;
    return value;
  }

  skip(wireType: number): void {
    if (wireType === VARINT) this.varint();
    else if (wireType === DELIMITED) this.position = this.delimitedEnd();
    else if (wireType === FIXED64 || wireType === FIXED32) this.position += wireType === FIXED64 ? 8 : 4;
    else throw new WireError(`wire type ${wireType} is not supported`);
    if (this.position > this.end) throw new WireError('unexpected end of message');
  }
}

/** To take 64 bits apart: arithmetic would make a BigInt for each step. */
const LONG = new DataView(new ArrayBuffer(8));

/** Writes from the back to the front, so that the length of a nested message is known when it is due. */
export class WireWriter {
  private buffer: Buffer;
  private start: number;

  /** `sizeBytes`: what the message is expected to take; it may take more. */
  constructor(sizeBytes = 256) {
    this.buffer = Buffer.allocUnsafe(sizeBytes);
    this.start = sizeBytes;
  }

  get length(): number {
    return this.buffer.length - this.start;
  }

  private reserve(size: number): void {
    if (this.start >= size) return;
    const used = this.length;
    const grown = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, used + size));
    this.buffer.copy(grown, grown.length - used, this.start);
    this.start = grown.length - used;
    this.buffer = grown;
  }

  private varint(low: number, high: number): void {
    this.reserve(10);
    let size = 1;
    for (let l = low >>> 7 | high << 25, h = high >>> 7; l !== 0 || h !== 0; l = l >>> 7 | h << 25, h >>>= 7) size += 1;
    let at = (this.start -= size);
    while (--size > 0) {
      this.buffer[at++] = (low & 0x7f) | 0x80;
      low = (low >>> 7 | high << 25) >>> 0;
      high >>>= 7;
    }
    this.buffer[at] = low & 0x7f;
  }

  uint32(value: number): void {
    this.varint(value >>> 0, 0);
  }

  int64(value: number): void {
    if (!Number.isSafeInteger(value)) throw new WireError(`${value} is not an exact integer`);
    this.varint(value >>> 0, Math.floor(value / TWO_TO_32) >>> 0);
  }

  id(value: bigint): void {
    LONG.setBigUint64(0, value, true);
    this.varint(LONG.getUint32(0, true), LONG.getUint32(4, true));
  }

  bytes(value: string | Uint8Array): void {
    if (typeof value === 'string') {
      const size = Buffer.byteLength(value);
      this.reserve(size);
      this.buffer.write(value, (this.start -= size), 'utf8');
    } else {
      this.reserve(value.length);
      this.buffer.set(value, (this.start -= value.length));
    }
  }

  tag(number: number, wireType: number): void {
    this.varint((number << 3) | wireType, 0);
  }

  finish(): Buffer {
    return this.buffer.subarray(this.start);
  }

  /** Begins anew in the same memory: what `finish` has given is overwritten. */
  reset(): void {
    this.start = this.buffer.length;
  }
}

/** What a field holds, for whoever translates messages to something else than the wire format. */
export type FieldKind =
  | { readonly type: 'int64' | 'uint32' | 'int64Id' | 'uint64Id' | 'boolean' | 'string' | 'bytes' }
  | { readonly type: 'enum'; readonly names: readonly string[] }
  | { readonly type: 'message'; readonly message: () => Message<unknown, never> };

/** What is not written: of a scalar, its zero. */
export function isDefault(kind: FieldKind, value: unknown): boolean {
  if (kind.type === 'bytes' || kind.type === 'string') return (value as string | Uint8Array).length === 0;
  if (kind.type === 'enum') return value === kind.names[0];
  return value === 0 || value === 0n || value === false;
}

/** How one kind of field is written and read. `Decoded` is what reading gives; `Encodable` what writing accepts. */
export interface Field<Decoded, Encodable> {
  readonly number: number;
  readonly wireType: number;
  readonly kind: FieldKind;
  readonly isRepeated: boolean;
  /** A fresh or shared-immutable value for an absent field. */
  readonly absent: () => Decoded;
  /** Returns the new value; repeated fields append to `previous`. Called with the wire type that was found. */
  readonly read: (reader: WireReader, previous: Decoded) => Decoded;
  /** Writes tag and value unless it is the default, which is left out. */
  readonly write: (writer: WireWriter, value: Encodable) => void;
}

interface Scalar<Decoded, Encodable> {
  readonly kind: FieldKind;
  readonly wireType: number;
  readonly zero: Decoded;
  readonly isZero: (value: Encodable) => boolean;
  readonly read: (reader: WireReader) => Decoded;
  readonly write: (writer: WireWriter, value: Encodable) => void;
}

function field<D, E>(number: number, scalar: Scalar<D, E>): Field<D, E> {
  return {
    number, wireType: scalar.wireType, kind: scalar.kind, isRepeated: false, absent: () => scalar.zero, read: scalar.read,
    write: (writer, value) => {
      if (scalar.isZero(value)) return;
      scalar.write(writer, value);
      writer.tag(number, scalar.wireType);
    },
  };
}

const int64Scalar: Scalar<number, number> = {
  kind: { type: 'int64' },
  wireType: VARINT, zero: 0, isZero: (value) => value === 0, read: (reader) => reader.int64(), write: (writer, value) => writer.int64(value),
};
const idScalar = (type: 'int64Id' | 'uint64Id', read: (reader: WireReader) => bigint): Scalar<bigint, bigint> => ({
  kind: { type },
  wireType: VARINT, zero: 0n, isZero: (value) => value === 0n, read, write: (writer, value) => writer.id(value),
});
function writeDelimited(writer: WireWriter, value: string | Uint8Array): void {
  const before = writer.length;
  writer.bytes(value);
  writer.uint32(writer.length - before);
}
const bytesScalar: Scalar<Buffer, string | Uint8Array> = {
  kind: { type: 'bytes' },
  wireType: DELIMITED, zero: NO_BYTES, isZero: (value) => value.length === 0, read: (reader) => reader.bytes(), write: writeDelimited,
};
const stringScalar: Scalar<string, string> = {
  kind: { type: 'string' },
  wireType: DELIMITED, zero: '', isZero: (value) => value === '', read: (reader) => reader.bytes().toString('utf8'), write: writeDelimited,
};

/** int64 and uint64 that count something: revisions, versions, sizes. */
export const int64 = (number: number): Field<number, number> => field(number, int64Scalar);
export const uint32 = (number: number): Field<number, number> =>
  field(number, { ...int64Scalar, kind: { type: 'uint32' }, read: (reader) => reader.uint32(), write: (writer, value) => writer.uint32(value) });
/** int64 that names something: a lease. */
export const int64Id = (number: number): Field<bigint, bigint> => field(number, idScalar('int64Id', (reader) => reader.signedId()));
/** uint64 that names something: a member or a cluster. */
export const uint64Id = (number: number): Field<bigint, bigint> => field(number, idScalar('uint64Id', (reader) => reader.unsignedId()));
export const boolean = (number: number): Field<boolean, boolean> =>
  field(number, { kind: { type: 'boolean' }, wireType: VARINT, zero: false, isZero: (value) => !value, read: (reader) => reader.int64() !== 0, write: (writer) => writer.uint32(1) });
export const string = (number: number): Field<string, string> => field(number, stringScalar);
/** Accepts text too, which is written as UTF-8; reading gives a view of the received message. */
export const bytes = (number: number): Field<Buffer, string | Uint8Array> => field(number, bytesScalar);

function enumScalar<Name extends string>(names: readonly Name[]): Scalar<Name | 'UNRECOGNIZED', Name | 'UNRECOGNIZED'> {
  return {
    kind: { type: 'enum', names }, wireType: VARINT, zero: names[0] ?? 'UNRECOGNIZED', isZero: (value) => value === names[0],
    read: (reader) => names[reader.int64()] ?? 'UNRECOGNIZED',
    write: (writer, value) => writer.int64((names as readonly string[]).indexOf(value)),
  };
}
/** An enum by its names, numbered from 0; a number without a name reads as UNRECOGNIZED, which is written as -1. */
export const enumeration = <const Name extends string>(number: number, names: readonly Name[]): Field<Name | 'UNRECOGNIZED', Name | 'UNRECOGNIZED'> =>
  field(number, enumScalar(names));

function repeatedScalar<D, E>(number: number, scalar: Scalar<D, E>): Field<D[], readonly E[]> {
  const tagged = (writer: WireWriter, value: E): void => {
    scalar.write(writer, value);
    writer.tag(number, scalar.wireType);
  };
  return {
    number, wireType: scalar.wireType, kind: scalar.kind, isRepeated: true, absent: () => [],
    read: (reader, previous) => {
      previous.push(scalar.read(reader));
      return previous;
    },
    write: (writer, values) => values.toReversed().forEach((value) => tagged(writer, value)),
  };
}
export const strings = (number: number): Field<string[], readonly string[]> => repeatedScalar(number, stringScalar);
export const uint64Ids = (number: number): Field<bigint[], readonly bigint[]> => repeatedScalar(number, idScalar('uint64Id', (reader) => reader.unsignedId()));
export const bytesList = (number: number): Field<Buffer[], readonly (string | Uint8Array)[]> => repeatedScalar(number, bytesScalar);
export const enumerations = <const Name extends string>(number: number, names: readonly Name[]): Field<(Name | 'UNRECOGNIZED')[], readonly (Name | 'UNRECOGNIZED')[]> =>
  repeatedScalar(number, enumScalar(names));

/** A message type: `read` fills in every field, `write` takes any subset. */
export interface Message<Decoded, Encodable> {
  readonly read: (reader: WireReader) => Decoded;
  readonly write: (writer: WireWriter, value: Encodable) => void;
  readonly encode: (value: Encodable) => Buffer;
  /** Throws WireError. */
  readonly decode: (buffer: Buffer) => Decoded;
  /** By name, in the order of the declaration. */
  readonly fields: readonly (readonly [name: string, field: Pick<Field<unknown, unknown>, 'kind' | 'isRepeated'>])[];
}

type AnyMessage<D, E> = Message<D, E> | (() => Message<D, E>);
const resolve = <D, E>(type: AnyMessage<D, E>): Message<D, E> => (typeof type === 'function' ? type() : type);

function readNested<D, E>(reader: WireReader, type: Message<D, E>): D {
  const outerEnd = reader.end;
  const end = reader.delimitedEnd();
  if ((reader.depth += 1) > MAX_DEPTH) throw new WireError('messages are nested too deep');
  reader.end = end;
  const value = type.read(reader);
  reader.depth -= 1;
  reader.end = outerEnd;
  return value;
}

function writeNested<D, E>(writer: WireWriter, number: number, type: Message<D, E>, value: E): void {
  const before = writer.length;
  type.write(writer, value);
  writer.uint32(writer.length - before);
  writer.tag(number, DELIMITED);
}

/** A nested message, or a member of a oneof; undefined when absent. A function breaks a cycle of types. */
export const nested = <D, E>(number: number, type: AnyMessage<D, E>): Field<D | undefined, E | undefined> => ({
  number, wireType: DELIMITED, kind: { type: 'message', message: () => resolve(type) as Message<unknown, never> }, isRepeated: false, absent: () => undefined,
  read: (reader) => readNested(reader, resolve(type)),
  write: (writer, value) => {
    if (value !== undefined) writeNested(writer, number, resolve(type), value);
  },
});

export const repeated = <D, E>(number: number, type: AnyMessage<D, E>): Field<D[], readonly E[]> => ({
  number, wireType: DELIMITED, kind: { type: 'message', message: () => resolve(type) as Message<unknown, never> }, isRepeated: true, absent: () => [],
  read: (reader, previous) => {
    previous.push(readNested(reader, resolve(type)));
    return previous;
  },
  write: (writer, values) => {
    for (let index = values.length - 1; index >= 0; index -= 1) writeNested(writer, number, resolve(type), values[index] as E);
  },
});

type DecodedField<F> = F extends { readonly absent: () => infer D } ? D : never;
type EncodableField<F> = F extends { readonly write: (writer: WireWriter, value: infer E) => void } ? E : never;
type DecodedTable<T> = { -readonly [K in keyof T]: DecodedField<T[K]> };
type EncodableTable<T> = { readonly [K in keyof T]?: EncodableField<T[K]> | undefined };

export type Decoded<M> = M extends { readonly decode: (buffer: Buffer) => infer D } ? D : never;
export type Encodable<M> = M extends { readonly encode: (value: infer E) => Buffer } ? E : never;

type AnyField = Field<unknown, unknown>;

export function message<T extends { readonly [name: string]: { readonly number: number; readonly wireType: number } }>(table: T): Message<DecodedTable<T>, EncodableTable<T>> {
  const entries = Object.entries(table) as unknown as [string, AnyField][];
  const byNumber: [string, AnyField][] = [];
  for (const entry of entries) byNumber[entry[1].number] = entry;
  const backwards = entries.toSorted(([, a], [, b]) => b.number - a.number);

  const read = (reader: WireReader): DecodedTable<T> => {
    const value: Record<string, unknown> = {};
    for (const [name, { absent }] of entries) value[name] = absent();
    while (reader.position < reader.end) {
      const tag = reader.uint32();
      const entry = byNumber[tag >>> 3];
      if (entry === undefined || entry[1].wireType !== (tag & 7)) {
        if (entry !== undefined && (tag & 7) === DELIMITED && entry[1].wireType === VARINT) readPacked(reader, entry, value);
        else reader.skip(tag & 7);
      } else value[entry[0]] = entry[1].read(reader, value[entry[0]]);
    }
    return value as DecodedTable<T>;
  };
  const write = (writer: WireWriter, value: EncodableTable<T>): void => {
    for (const [name, { write: writeField }] of backwards) {
      const fieldValue = (value as Record<string, unknown>)[name];
      if (fieldValue !== undefined) writeField(writer, fieldValue);
    }
  };
  return {
    read, write, fields: entries,
    encode: (value) => {
      const writer = new WireWriter();
      write(writer, value);
      return writer.finish();
    },
    decode: (buffer) => read(new WireReader(buffer)),
  };
}

/** proto3 packs repeated numbers and enums into one delimited field. */
function readPacked(reader: WireReader, [name, { read }]: [string, AnyField], value: Record<string, unknown>): void {
  const outerEnd = reader.end;
  reader.end = reader.delimitedEnd();
  while (reader.position < reader.end) value[name] = read(reader, value[name]);
  reader.end = outerEnd;
}
