// The few ASN.1 values that a certificate is made of, in their Distinguished Encoding. Sources: X.690, RFC 5280.

const CLASS_CONTEXT = 0x80;
const CONSTRUCTED = 0x20;

function value(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  const size: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) size.unshift(rest % 256);
  return Buffer.concat([Buffer.from(length < 128 ? [tag, length] : [tag, 0x80 | size.length, ...size]), content]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => value(0x30, Buffer.concat(parts));
export const set = (...parts: readonly Uint8Array[]): Buffer => value(0x31, Buffer.concat(parts));
export const octets = (content: Uint8Array): Buffer => value(0x04, content);
export const yes = value(0x01, Buffer.of(0xff));
export const nothing = value(0x05, Buffer.of());

/** Of a number that is not negative, as big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const content = bytes.subarray(start);
  return value(0x02, (content[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), content]) : content);
}

export const bits = (content: Uint8Array): Buffer => value(0x03, Buffer.concat([Buffer.of(0), content]));

/** Named bits, such as those of a key's usage: without the zeros at the end. At most eight. */
export function flags(numbers: readonly number[]): Buffer {
  const unused = 7 - Math.max(...numbers);
  return value(0x03, Buffer.of(unused, numbers.reduce((all, number) => all | (0x80 >> number), 0)));
}

export function identifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const content = [first * 40 + second, ...rest].flatMap((number) => {
    const groups = [number % 128];
    for (let left = Math.floor(number / 128); left > 0; left = Math.floor(left / 128)) groups.unshift(0x80 | left % 128);
    return groups;
  });
  return value(0x06, Buffer.from(content));
}

/** PrintableString where that can hold it, as Go chooses. */
export const text = (words: string): Buffer => (/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(words) ? value(0x13, Buffer.from(words, 'ascii')) : value(0x0c, Buffer.from(words, 'utf8')));

/** UTCTime to the year 2049, GeneralizedTime after. Source: RFC 5280 §4.1.2.5. */
export function time(atMs: number): Buffer {
  const digits = new Date(atMs).toISOString().replace(/\.\d+Z$/, 'Z').replace(/[-:T]/g, '');
  return Number(digits.slice(0, 4)) < 2050 ? value(0x17, Buffer.from(digits.slice(2), 'ascii')) : value(0x18, Buffer.from(digits, 'ascii'));
}

export const context = (number: number, content: Uint8Array): Buffer => value(CLASS_CONTEXT | CONSTRUCTED | number, content);
/** A context value in place of a primitive one. */
export const implicit = (number: number, content: Uint8Array): Buffer => value(CLASS_CONTEXT | number, content);

export interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** With its tag and length. */
  readonly whole: Buffer;
}

/** The values that follow each other in `bytes`. Throws when they end early. */
export function elements(bytes: Buffer): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length;) {
    const short = bytes.readUInt8(at + 1);
    const sizeBytes = short < 0x80 ? 0 : short & 0x7f;
    const length = sizeBytes === 0 ? short : bytes.readUIntBE(at + 2, sizeBytes);
    const start = at + 2 + sizeBytes;
    if (start + length > bytes.length) throw new Error('the encoding ends before its last value does');
    found.push({ tag: bytes.readUInt8(at), content: bytes.subarray(start, start + length), whole: bytes.subarray(at, start + length) });
    at = start + length;
  }
  return found;
}
