// When a node's blocks run short of addresses for pods.
import { cidrContains, parseIpv4, parseIpv4Cidr } from '#lib/machinery/ipv4.ts';

/** Free addresses at which another block is claimed, so that it is there before a pod goes without. */
const RESERVE = 8;

/** `inUse`: addresses of pods; those outside of the blocks do not count. */
export function needsAnotherBlock(blocks: readonly string[], inUse: readonly string[]): boolean {
  const cidrs = blocks.flatMap((block) => parseIpv4Cidr(block) ?? []);
  const capacity = cidrs.reduce((sum, { size }) => sum + size, 0);
  const used = inUse.filter((address) => {
    const value = parseIpv4(address);
    return value !== undefined && cidrs.some((cidr) => cidrContains(cidr, value));
  }).length;
  // A block smaller than the reserve still holds pods.
  return capacity - used <= Math.min(RESERVE, Math.floor(capacity / 4));
}
