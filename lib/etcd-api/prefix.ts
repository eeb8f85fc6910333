// Ranges of keys that start alike.

/** The end of the range of all keys that start with `prefix`. */
export function prefixEnd(prefix: string | Uint8Array): Buffer {
  const end = Buffer.from(prefix as string);
  for (let index = end.length - 1; index >= 0; index -= 1) {
    const byte = end[index] ?? 0;
    if (byte < 0xff) {
      end[index] = byte + 1;
      return end.subarray(0, index + 1);
    }
  }
  return Buffer.from([0]); // nothing but 0xff: to the end of all keys
}
