// In which order a node looks for a free block of its pool: from an index that depends on its name, upwards and around.
// Source: libcalico-go ipam randomBlockGenerator, so that a node gets the block here that it gets under Calico.
import { formatIpv4, type Cidr } from '#lib/machinery/ipv4.ts';
import { firstDraws, fnv1 } from './go-random.ts';

/** `blockSize` is a prefix length, larger than the pool's. */
export function* candidateBlocks(pool: Cidr, blockSize: number, hostName: string): Generator<string> {
  const blocks = 2 ** (blockSize - pool.prefixLength);
  const start = startIndex(hostName, blocks);
  const addresses = 2 ** (32 - blockSize);
  for (let step = 0; step < blocks; step += 1) {
    yield `${formatIpv4(pool.base + ((start + step) % blocks) * addresses)}/${blockSize}`;
  }
}

/**
 * math/big's Int.Rand: takes as many low bits of each 64-bit word (two draws) as `blocks` has, until the number is below
 * `blocks`. Since that is a power of two, half of the words are refused; should all known ones be, the hash itself decides.
 */
function startIndex(hostName: string, blocks: number): number {
  if (blocks === 1) return 0; // every word's low bit is 1 or 0: the only index there is
  const hash = fnv1(hostName);
  const draws = firstDraws(hash);
  for (let word = 0; word < draws.length; word += 2) {
    const index = (draws[word] ?? 0) % (blocks * 2);
    if (index < blocks) return index;
  }
  return hash % blocks;
}
