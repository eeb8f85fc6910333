// Writes ASN.1 DER, as much of it as an X.509 certificate needs. Source: ITU-T X.690.

export type Der = Buffer;

/** One element: tag, length, contents. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Der {
  const body = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), lengthOf(body.length), body]);
}

function lengthOf(size: number): Buffer {
  if (size < 0x80) return Buffer.from([size]);
  const bytes: number[] = [];
  for (let rest = size; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

export const sequence = (...items: readonly Uint8Array[]): Der => element(0x30, ...items);
export const set = (...items: readonly Uint8Array[]): Der => element(0x31, ...items);
export const octetString = (contents: Uint8Array): Der => element(0x04, contents);
export const utf8String = (text: string): Der => element(0x0c, Buffer.from(text, 'utf8'));
export const trueValue: Der = Buffer.from([0x01, 0x01, 0xff]);
/** `[n]` around other elements. */
export const explicit = (number: number, ...items: readonly Uint8Array[]): Der => element(0xa0 | number, ...items);
/** `[n]` in place of the tag of a primitive. */
export const implicit = (number: number, contents: Uint8Array): Der => element(0x80 | number, contents);
export const bitString = (contents: Uint8Array, unusedBits = 0): Der => element(0x03, Buffer.from([unusedBits]), contents);

/** A non-negative integer, big-endian. */
export function integer(bytes: Uint8Array): Der {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const trimmed = bytes.subarray(start);
  return (trimmed[0] ?? 0) >= 0x80 ? element(0x02, Buffer.from([0]), trimmed) : element(0x02, trimmed);
}

export function objectIdentifier(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const digits = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) digits.unshift((left % 128) | 0x80);
    bytes.push(...digits);
  }
  return element(0x06, Buffer.from(bytes));
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 §4.1.2.5). */
export function time(timeMs: number): Der {
  const digits = new Date(timeMs).toISOString().replace(/\.\d+Z$/, 'Z').replace(/[-:T]/g, '');
  return new Date(timeMs).getUTCFullYear() < 2050 ? element(0x17, Buffer.from(digits.slice(2))) : element(0x18, Buffer.from(digits));
}
