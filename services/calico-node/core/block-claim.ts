// Who owns a block. A node makes a pending BlockAffinity, looks at all affinities of that block as the server has them
// now, and confirms or gives way. A confirmed one always wins; among pending ones the one that was made first, which its
// resourceVersion tells: it is only changed once more, by being confirmed. Two nodes can therefore never both win:
// whoever was made later sees the earlier one, pending or confirmed.
import { parseIpv4Cidr, type Cidr } from '#lib/machinery/ipv4.ts';
import type { BlockAffinity, BlockAffinitySpec, IPPool } from '#lib/kinds/types/calico-v1.ts';
import { candidateBlocks } from './block-order.ts';

export const DEFAULT_BLOCK_SIZE = 26;

/** `w2-k8s-172-16-103-128-26`. Source: libcalico-go backend/k8s/resources blockaffinity.go. */
export function affinityName(node: string, cidr: string): string {
  return `${node}-${cidr.replaceAll(/[./]/g, '-')}`;
}

export function affinitySpec(node: string, cidr: string, state: 'pending' | 'confirmed'): BlockAffinitySpec {
  return { cidr, deleted: 'false', node, state, type: 'host' };
}

const isHeld = ({ spec }: BlockAffinity): boolean => spec !== undefined && spec.deleted !== 'true' && spec.state !== 'pendingDeletion';

/** The blocks of the node that it may use, by age. */
export function confirmedBlocks(affinities: readonly BlockAffinity[], node: string): string[] {
  return affinities
    .filter((affinity) => isHeld(affinity) && affinity.spec?.node === node && affinity.spec.state === 'confirmed')
    .sort((a, b) => ageOrder(a, b))
    .flatMap(({ spec }) => spec?.cidr ?? []);
}

const ageOrder = (a: BlockAffinity, b: BlockAffinity): number =>
  (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? '') || a.metadata.name.localeCompare(b.metadata.name);

/** Whether the affinity `own` wins its block among `affinities`, which were read after it was made. */
export function winsBlock(own: BlockAffinity, affinities: readonly BlockAffinity[]): boolean {
  return !affinities.some((other) => {
    if (other.metadata.name === own.metadata.name || other.spec?.cidr !== own.spec?.cidr || !isHeld(other)) return false;
    if (other.spec?.state === 'confirmed') return true;
    return revision(other) < revision(own);
  });
}

const revision = ({ metadata }: BlockAffinity): bigint => BigInt(metadata.resourceVersion ?? '0');

/** Of several states of one affinity the newest; of equally new ones the last. */
export function newestOf(affinities: readonly BlockAffinity[]): BlockAffinity[] {
  const newest = new Map<string, BlockAffinity>();
  for (const affinity of affinities) {
    const known = newest.get(affinity.metadata.name);
    if (!known || revision(known) <= revision(affinity)) newest.set(affinity.metadata.name, affinity);
  }
  return [...newest.values()];
}

export interface Candidate {
  readonly cidr: string;
  /** A pending affinity of this node, left from an attempt that was cut short. */
  readonly pending: BlockAffinity | undefined;
}

/** What the node should try to claim next; undefined when all pools are used up. `tried`: lost to others just now. */
export function nextCandidate(
  pools: readonly IPPool[], affinities: readonly BlockAffinity[], { node, tried }: { node: string; tried: ReadonlySet<string> },
): Candidate | undefined {
  const usable = pools.flatMap((pool) => usablePool(pool) ?? []);
  const pending = affinities.find((affinity) => isHeld(affinity) && affinity.spec?.node === node && affinity.spec.state === 'pending' && !tried.has(affinity.spec.cidr));
  if (pending?.spec) return { cidr: pending.spec.cidr, pending };
  const taken = new Set(affinities.flatMap(({ spec }) => spec?.cidr ?? []));
  for (const { cidr, blockSize } of usable) {
    for (const block of candidateBlocks(cidr, blockSize, node)) {
      if (!taken.has(block) && !tried.has(block)) return { cidr: block, pending: undefined };
    }
  }
  return undefined;
}

export interface UsablePool {
  readonly cidr: Cidr;
  readonly blockSize: number;
}

/** Pods get their addresses from it, or did before it was disabled. */
export const isForWorkloads = ({ spec }: IPPool): boolean => spec?.allowedUses === undefined || spec.allowedUses.includes('Workload');

/** Undefined for a pool that is disabled, not for IPv4 workloads, or malformed. */
export function usablePool(pool: IPPool): UsablePool | undefined {
  const { spec } = pool;
  if (!spec || spec.disabled === true || !isForWorkloads(pool)) return undefined;
  const cidr = parseIpv4Cidr(spec.cidr);
  const blockSize = spec.blockSize ?? DEFAULT_BLOCK_SIZE;
  return cidr && blockSize >= cidr.prefixLength && blockSize <= 32 ? { cidr, blockSize } : undefined;
}
