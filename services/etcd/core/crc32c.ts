// CRC-32C (Castagnoli), as etcd uses it for the records of its log and for HashKV. Eight bytes a step.
const POLYNOMIAL = 0x82f63b78; // reversed
const STEP = 8;

/** STEP tables of 256 entries: table k gives the effect of a byte that is followed by k others. */
const TABLES = new Int32Array(STEP * 256);
for (let byte = 0; byte < 256; byte += 1) {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  TABLES[byte] = value;
}
for (let at = 256; at < TABLES.length; at += 1) {
  const shorter = TABLES[at - 256] as number;
  TABLES[at] = (shorter >>> 8) ^ (TABLES[shorter & 0xff] as number);
}

/** The checksum of `bytes` after what `previous` is the checksum of. */
export function crc32c(bytes: Uint8Array, previous = 0, start = 0, end = bytes.length): number {
  const t = TABLES;
  let value = ~previous;
  let at = start;
  for (; at + STEP <= end; at += STEP) {
    const low = value ^ ((bytes[at] as number) | (bytes[at + 1] as number) << 8 | (bytes[at + 2] as number) << 16 | (bytes[at + 3] as number) << 24);
    value = (t[1792 + (low & 0xff)] as number) ^ (t[1536 + (low >>> 8 & 0xff)] as number) ^ (t[1280 + (low >>> 16 & 0xff)] as number) ^ (t[1024 + (low >>> 24)] as number)
      ^ (t[768 + (bytes[at + 4] as number)] as number) ^ (t[512 + (bytes[at + 5] as number)] as number) ^ (t[256 + (bytes[at + 6] as number)] as number) ^ (t[bytes[at + 7] as number] as number);
  }
  for (; at < end; at += 1) value = (t[(value ^ (bytes[at] as number)) & 0xff] as number) ^ (value >>> 8);
  return ~value >>> 0;
}
