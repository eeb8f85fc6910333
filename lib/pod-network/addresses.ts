// Dealing pod addresses out of the node's blocks: always the next after the last, so that a pod that is made again is seen
// to have a new address.

export interface Block {
  /** First address as a number. */
  readonly first: number;
  /** Last address, included. */
  readonly last: number;
}

export function parseAddress(text: string): number {
  const parts = text.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) throw new Error(`invalid IPv4 address "${text}"`);
  return parts.reduce((address, part) => address * 256 + part, 0);
}

export const formatAddress = (address: number): string => [24, 16, 8, 0].map((bits) => Math.floor(address / 2 ** bits) % 256).join('.');

/** Throws when the text is no IPv4 network. */
export function parseBlock(cidr: string): Block {
  const [address = '', prefix = ''] = cidr.split('/');
  const bits = Number(prefix);
  if (!/^\d+$/.test(prefix) || bits > 32) throw new Error(`invalid address block "${cidr}"`);
  const size = 2 ** (32 - bits);
  const first = Math.floor(parseAddress(address) / size) * size;
  return { first, last: first + size - 1 };
}

/** The next address after `last` that is not taken, around and around through all blocks; undefined when none is left.
 *  The first address of a block is left to the node itself, as Calico does for its tunnel. */
export function nextAddress(blocks: readonly Block[], last: number | undefined, taken: ReadonlySet<number>): number | undefined {
  const all = blocks.flatMap(({ first, last: end }) => Array.from({ length: end - first }, (_, index) => first + 1 + index));
  const after = last === undefined ? -1 : all.indexOf(last);
  for (let step = 1; step <= all.length; step += 1) {
    const candidate = all[(after + step) % all.length];
    if (candidate !== undefined && !taken.has(candidate)) return candidate;
  }
  return undefined;
}
