// HPACK, RFC 7541: a full decoder, and an encoder that uses the static table only, so that what it writes does not depend
// on the connection and can be prepared once.
import { decodeHuffman } from './huffman.ts';

export class HpackError extends Error {
  override readonly name = 'HpackError';
}

/** RFC 7541, appendix A: names, with a value where the entry has one. Index 1 is the first. */
const STATIC_TABLE: readonly (readonly [name: string, value?: string])[] = [
  [':authority'], [':method', 'GET'], [':method', 'POST'], [':path', '/'], [':path', '/index.html'], [':scheme', 'http'], [':scheme', 'https'],
  [':status', '200'], [':status', '204'], [':status', '206'], [':status', '304'], [':status', '400'], [':status', '404'], [':status', '500'],
  ['accept-charset'], ['accept-encoding', 'gzip, deflate'], ['accept-language'], ['accept-ranges'], ['accept'], ['access-control-allow-origin'], ['age'],
  ['allow'], ['authorization'], ['cache-control'], ['content-disposition'], ['content-encoding'], ['content-language'], ['content-length'],
  ['content-location'], ['content-range'], ['content-type'], ['cookie'], ['date'], ['etag'], ['expect'], ['expires'], ['from'], ['host'], ['if-match'],
  ['if-modified-since'], ['if-none-match'], ['if-range'], ['if-unmodified-since'], ['last-modified'], ['link'], ['location'], ['max-forwards'],
  ['proxy-authenticate'], ['proxy-authorization'], ['range'], ['referer'], ['refresh'], ['retry-after'], ['server'], ['set-cookie'],
  ['strict-transport-security'], ['transfer-encoding'], ['user-agent'], ['vary'], ['via'], ['www-authenticate'],
];
const STATIC_NAMES = STATIC_TABLE.map(([name]) => name);
const STATIC_VALUES = STATIC_TABLE.map(([, value = '']) => value);
const STATIC_SIZE = STATIC_TABLE.length;

/** What SETTINGS_HEADER_TABLE_SIZE is unless it is set, and this server does not set it. Bytes. */
const TABLE_BYTES = 4096;
/** What an entry counts on top of its name and value. RFC 7541, 4.1. */
const ENTRY_OVERHEAD = 32;

const NOTHING: Buffer = Buffer.alloc(0);

/** The fields of a block, flat: name, value, name, value ... undefined when they are more than the limit. */
export type HeaderList = readonly string[];

/** One per connection. After an HpackError the connection is beyond repair. */
export class HpackDecoder {
  private readonly maxListBytes: number;
  /** Oldest first, from `head` on. */
  private names: string[] = [];
  private values: string[] = [];
  private head = 0;
  private tableBytes = 0;
  private maxTableBytes = TABLE_BYTES;
  private block = NOTHING;
  private at = 0;
  private end = 0;

  /** `maxListBytes`: of names and values, each field counted with 32 bytes more, as SETTINGS_MAX_HEADER_LIST_SIZE counts. */
  constructor(maxListBytes: number) {
    this.maxListBytes = maxListBytes;
  }

  /** Decodes a whole block. undefined when the list is larger than allowed: the table is up to date all the same. */
  decode(block: Buffer): HeaderList | undefined {
    this.block = block;
    this.at = 0;
    this.end = block.length;
    const list: string[] = [];
    let listBytes = 0;
    let mayResize = true;
    while (this.at < this.end) {
      const first = block[this.at] ?? 0;
      if (first >= 0x20 && first < 0x40) {
        if (!mayResize) throw new HpackError('a change of the table size after the first field');
        this.resize(this.integer(5));
        continue;
      }
      mayResize = false;
      let name: string;
      let value: string;
      if (first >= 0x80) {
        const index = this.integer(7);
        name = this.nameAt(index);
        value = this.valueAt(index);
      } else {
        const isIndexed = first >= 0x40;
        const index = this.integer(isIndexed ? 6 : 4);
        name = index === 0 ? this.string() : this.nameAt(index);
        value = this.string();
        if (isIndexed) this.add(name, value);
      }
      listBytes += name.length + value.length + ENTRY_OVERHEAD;
      if (listBytes <= this.maxListBytes) list.push(name, value);
    }
    this.block = NOTHING; // it is a view of all that came with it
    return listBytes <= this.maxListBytes ? list : undefined;
  }

  private integer(prefixBits: number): number {
    const max = (1 << prefixBits) - 1;
    let value = (this.block[this.at++] ?? 0) & max;
    if (value < max) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.at >= this.end) throw new HpackError('the block ends within an integer');
      const byte = this.block[this.at++] ?? 0;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new HpackError('an integer is too large');
  }

  private string(): string {
    if (this.at >= this.end) throw new HpackError('the block ends before a string');
    const isHuffman = (this.block[this.at] ?? 0) >= 0x80;
    const length = this.integer(7);
    const start = this.at;
    if (length > this.end - start) throw new HpackError('the block ends within a string');
    this.at = start + length;
    if (!isHuffman) return this.block.toString('latin1', start, this.at);
    const text = decodeHuffman(this.block, start, this.at);
    if (text === undefined) throw new HpackError('a string is not in the Huffman code');
    return text;
  }

  private dynamicIndex(index: number): number {
    const at = this.names.length - (index - STATIC_SIZE);
    if (index === 0 || at < this.head) throw new HpackError(`no entry ${index}`);
    return at;
  }

  private nameAt(index: number): string {
    return (index > 0 && index <= STATIC_SIZE ? STATIC_NAMES[index - 1] : this.names[this.dynamicIndex(index)]) ?? '';
  }

  private valueAt(index: number): string {
    return (index > 0 && index <= STATIC_SIZE ? STATIC_VALUES[index - 1] : this.values[this.dynamicIndex(index)]) ?? '';
  }

  private add(name: string, value: string): void {
    this.tableBytes += name.length + value.length + ENTRY_OVERHEAD;
    this.names.push(name);
    this.values.push(value);
    this.evict();
  }

  private resize(bytes: number): void {
    if (bytes > TABLE_BYTES) throw new HpackError(`a table of ${bytes} bytes was not offered`);
    this.maxTableBytes = bytes;
    this.evict();
  }

  private evict(): void {
    while (this.tableBytes > this.maxTableBytes) {
      this.tableBytes -= (this.names[this.head]?.length ?? 0) + (this.values[this.head]?.length ?? 0) + ENTRY_OVERHEAD;
      this.names[this.head] = '';
      this.values[this.head] = '';
      this.head += 1;
    }
    if (this.head < 64 || this.head * 2 < this.names.length) return;
    this.names = this.names.slice(this.head);
    this.values = this.values.slice(this.head);
    this.head = 0;
  }
}

function encodeInteger(first: number, prefixBits: number, value: number): number[] {
  const max = (1 << prefixBits) - 1;
  if (value < max) return [first | value];
  const bytes = [first | max];
  let rest = value - max;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

/** A block of the fields as they are given: indexed where the static table has them whole, else literal and not indexed. */
export function encodeHeaders(fields: HeaderList): Buffer {
  const parts: Buffer[] = [];
  const text = (value: string): void => {
    const bytes = Buffer.from(value, 'latin1');
    parts.push(Buffer.from(encodeInteger(0, 7, bytes.length)), bytes);
  };
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? '';
    const value = fields[at + 1] ?? '';
    const whole = STATIC_TABLE.findIndex((entry) => entry[0] === name && entry[1] === value);
    if (whole >= 0) {
      parts.push(Buffer.from(encodeInteger(0x80, 7, whole + 1)));
      continue;
    }
    const index = STATIC_NAMES.indexOf(name) + 1;
    parts.push(Buffer.from(encodeInteger(0, 4, index)));
    if (index === 0) text(name);
    text(value);
  }
  return Buffer.concat(parts);
}
