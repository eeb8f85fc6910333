// Deals equal ranges of a larger one to nodes. Source: pkg/controller/nodeipam/ipam/cidrset.

const toNumber = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const toText = (number: number): string => [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');

export interface Range {
  readonly first: number;
  readonly size: number;
}

/** `172.16.0.0/16`; throws for anything that is no IPv4 range. */
export function parseRange(text: string): Range {
  const match = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(text);
  const bits = Number(match?.[2]);
  if (!match?.[1] || bits > 32 || match[1].split('.').some((part) => Number(part) > 255)) throw new Error(`invalid CIDR address: ${text}`);
  const size = 2 ** (32 - bits);
  return { first: Math.floor(toNumber(match[1]) / size) * size, size };
}

const overlaps = (left: Range, right: Range): boolean => left.first < right.first + right.size && right.first < left.first + left.size;

export class NodeRanges {
  readonly #cluster: Range;
  readonly #maskBits: number;
  readonly #size: number;
  readonly #count: number;
  /** Index of a range to the node that has it. */
  readonly #taken = new Map<number, string>();
  #next = 0;

  /** `reserved`: ranges never to be dealt, such as that of Services. */
  constructor(clusterCidr: string, maskBits: number, reserved: readonly string[] = []) {
    this.#cluster = parseRange(clusterCidr);
    this.#maskBits = maskBits;
    this.#size = 2 ** (32 - maskBits);
    this.#count = Math.floor(this.#cluster.size / this.#size);
    if (this.#count < 1) throw new Error(`a /${maskBits} does not fit into ${clusterCidr}`);
    for (const text of reserved.filter((one) => one !== '')) this.occupy(text, `reserved ${text}`);
  }

  /** Notes that a node has this range, whoever gave it. Ranges from elsewhere are no concern of ours. */
  occupy(text: string, node: string): void {
    const range = parseRange(text);
    if (!overlaps(range, this.#cluster)) return;
    const from = Math.max(0, Math.floor((range.first - this.#cluster.first) / this.#size));
    const to = Math.min(this.#count - 1, Math.floor((range.first + range.size - 1 - this.#cluster.first) / this.#size));
    for (let index = from; index <= to; index += 1) this.#taken.set(index, node);
  }

  /** The next free range, first after the last one dealt; undefined when all are taken. The same again for the same node. */
  allocate(node: string): string | undefined {
    for (const [index, owner] of this.#taken) if (owner === node) return this.#text(index);
    for (let step = 0; step < this.#count; step += 1) {
      const index = (this.#next + step) % this.#count;
      if (this.#taken.has(index)) continue;
      this.#taken.set(index, node);
      this.#next = (index + 1) % this.#count;
      return this.#text(index);
    }
    return undefined;
  }

  release(node: string): void {
    for (const [index, owner] of this.#taken) if (owner === node) this.#taken.delete(index);
  }

  #text(index: number): string {
    return `${toText(this.#cluster.first + index * this.#size)}/${this.#maskBits}`;
  }
}
