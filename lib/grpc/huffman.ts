// HPACK's Huffman code, for reading only: what this server sends is short and goes as it is.
// The code is canonical, so it follows from the lengths alone. Source: RFC 7541, appendix B.

/** Bits of the code of each byte, then of the end-of-string mark. */
const CODE_LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const END_OF_STRING = 256;
/** Padding is shorter than a byte. */
const MAX_PADDING_BITS = 7;

/** Children of the inner nodes: at 2 * node + bit, an inner node (> 0) or a symbol (-1 - symbol). Node 0 is the root. */
const tree = buildTree();

function buildTree(): Int16Array {
  const nodes = new Int16Array(2 * CODE_LENGTHS.length);
  const symbols = CODE_LENGTHS.map((_, symbol) => symbol).sort((a, b) => (CODE_LENGTHS[a] ?? 0) - (CODE_LENGTHS[b] ?? 0) || a - b);
  let inner = 1;
  let code = 0;
  let length = CODE_LENGTHS[symbols[0] ?? 0] ?? 0;
  for (const symbol of symbols) {
    const symbolLength = CODE_LENGTHS[symbol] ?? 0;
    code <<= symbolLength - length;
    length = symbolLength;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit -= 1) {
      const at = 2 * node + ((code >>> bit) & 1);
      if (nodes[at] === 0) nodes[at] = inner++;
      node = nodes[at] ?? 0;
    }
    nodes[2 * node + (code & 1)] = -1 - symbol;
    code += 1;
  }
  return nodes;
}

/** Decodes the bytes from `start` to `end`; undefined when they are no such code. */
export function decodeHuffman(buffer: Buffer, start: number, end: number): string | undefined {
  let text = '';
  let node = 0;
  let pendingBits = 0;
  let pendingAreOnes = true;
  for (let at = start; at < end; at += 1) {
    const byte = buffer[at] ?? 0;
    for (let shift = 7; shift >= 0; shift -= 1) {
      const bit = (byte >>> shift) & 1;
      const next = tree[2 * node + bit] ?? 0;
      if (next < 0) {
        const symbol = -1 - next;
        if (symbol === END_OF_STRING) return undefined;
        text += String.fromCharCode(symbol);
        node = 0;
        pendingBits = 0;
        pendingAreOnes = true;
      } else {
        node = next;
        pendingBits += 1;
        if (bit === 0) pendingAreOnes = false;
      }
    }
  }
  return pendingBits <= MAX_PADDING_BITS && pendingAreOnes ? text : undefined;
}
