// Reads the fields of a protobuf message. Source: protobuf.dev, encoding.

export class WireError extends Error {
  override readonly name = 'WireError';
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** One field as it stands on the wire; reading it as the wrong type throws. */
export class WireField {
  readonly number: number;
  readonly #type: number;
  readonly #value: number | Uint8Array;

  constructor(number: number, type: number, value: number | Uint8Array) {
    this.number = number;
    this.#type = type;
    this.#value = value;
  }

  get isLengthDelimited(): boolean {
    return this.#type === LENGTH_DELIMITED;
  }

  bytes(): Uint8Array {
    if (this.#type !== LENGTH_DELIMITED || typeof this.#value === 'number') throw new WireError(`field ${this.number} has wire type ${this.#type}, expected bytes`);
    return this.#value;
  }

  text(): string {
    const bytes = this.bytes();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  }

  /** Signed; exact up to 2^53. */
  integer(): number {
    if (typeof this.#value !== 'number') throw new WireError(`field ${this.number} has wire type ${this.#type}, expected a number`);
    return this.#value;
  }

  double(): number {
    if (this.#type !== FIXED64 || typeof this.#value === 'number') throw new WireError(`field ${this.number} has wire type ${this.#type}, expected a double`);
    return new DataView(this.#value.buffer, this.#value.byteOffset, 8).getFloat64(0, true);
  }

  *packedVarints(): Generator<number> {
    const bytes = this.bytes();
    for (let at = 0; at < bytes.length;) {
      const { value, next } = varint(bytes, at);
      yield value;
      at = next;
    }
  }
}

export class Reader implements Iterable<WireField> {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  *[Symbol.iterator](): Generator<WireField> {
    const bytes = this.#bytes;
    for (let at = 0; at < bytes.length;) {
      const tag = varint(bytes, at);
      const number = Math.floor(tag.value / 8);
      const type = tag.value % 8;
      if (number < 1) throw new WireError('illegal tag 0');
      if (type === VARINT) {
        const { value, next } = varint(bytes, tag.next);
        at = next;
        yield new WireField(number, type, value);
        continue;
      }
      const { start, end } = extent(bytes, tag.next, type);
      if (end > bytes.length) throw new WireError('unexpected EOF');
      at = end;
      yield new WireField(number, type, bytes.subarray(start, end));
    }
  }
}

function extent(bytes: Uint8Array, at: number, type: number): { readonly start: number; readonly end: number } {
  switch (type) {
    case LENGTH_DELIMITED: {
      const { value, next } = varint(bytes, at);
      if (value < 0) throw new WireError('invalid length');
      return { start: next, end: next + value };
    }
    case FIXED64: return { start: at, end: at + 8 };
    case FIXED32: return { start: at, end: at + 4 };
    default: throw new WireError(`illegal wire type ${type}`);
  }
}

/** As a signed 64-bit number. */
function varint(bytes: Uint8Array, at: number): { readonly value: number; readonly next: number } {
  let low = 0; // 28 bits
  let middle = 0; // 28 bits
  let high = 0; // 8 bits
  for (let index = 0; index < 10; index++) {
    const byte = bytes[at + index];
    if (byte === undefined) throw new WireError('unexpected EOF');
    const bits = byte & 0x7f;
    if (index < 4) low |= bits << (7 * index);
    else if (index < 8) middle |= bits << (7 * (index - 4));
    else high |= bits << (7 * (index - 8));
    if (byte >= 0x80) continue;
    const next = at + index + 1;
    const isNegative = (high & 0x80) !== 0;
    if (!isNegative) return { value: low + middle * 2 ** 28 + (high & 0xff) * 2 ** 56, next };
    const complement = (0xfffffff - low) + (0xfffffff - middle) * 2 ** 28 + (0xff - (high & 0xff)) * 2 ** 56;
    return { value: -complement - 1, next };
  }
  throw new WireError('integer overflow');
}
