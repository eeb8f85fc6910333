// Claims blocks for this node in the API; the protocol is in core/block-claim.ts.
import type { Logger } from 'pino';
import type { ApiClient } from '#lib/api-client/client.ts';
import { blockAffinityKind } from '#lib/kinds/calico/block-affinity.ts';
import type { BlockAffinity, IPPool } from '#lib/kinds/types/calico-v1.ts';
import { isAlreadyExists, isNotFound } from '#lib/machinery/status-error.ts';
import { affinityName, affinitySpec, nextCandidate, winsBlock } from '../core/block-claim.ts';

/** Blocks tried in one go; each loss means that another node is claiming at the same time. */
const ATTEMPTS = 100;

export interface ClaimOptions {
  readonly api: ApiClient;
  readonly node: string;
  readonly pools: readonly IPPool[];
  /** As last seen; the server's word decides. */
  readonly affinities: readonly BlockAffinity[];
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Resolves with the confirmed affinity. Throws when no pool has a free block. */
export async function claimBlock({ api, node, pools, affinities, log, signal }: ClaimOptions): Promise<BlockAffinity> {
  const tried = new Set<string>();
  let known = affinities;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const candidate = nextCandidate(pools, known, { node, tried });
    if (!candidate) break;
    const { cidr } = candidate;
    const own = candidate.pending ?? await pendingAffinity(api, node, cidr, signal);
    // Without a resourceVersion the list is the newest there is, not what a cache remembers.
    known = (await api.list(blockAffinityKind, {}, { signal })).items;
    const current = known.find(({ metadata }) => metadata.name === own.metadata.name);
    if (current && winsBlock(current, known)) {
      if (current.spec?.state === 'confirmed') return current;
      const confirmed = await api.update(blockAffinityKind, { ...current, spec: affinitySpec(node, cidr, 'confirmed') }, { signal });
      log.info({ node, cidr }, 'claimed a block of addresses');
      return confirmed;
    }
    log.info({ node, cidr }, 'another node claimed this block first');
    tried.add(cidr);
    await api.delete(blockAffinityKind, undefined, own.metadata.name, {}, { signal }).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
  throw new Error(`no free block of addresses for node ${node}: ${pools.length === 0 ? 'there is no pool' : 'all pools are used up'}`);
}

async function pendingAffinity(api: ApiClient, node: string, cidr: string, signal: AbortSignal): Promise<BlockAffinity> {
  const name = affinityName(node, cidr);
  try {
    return await api.create(blockAffinityKind, { metadata: { name }, spec: affinitySpec(node, cidr, 'pending') }, { signal });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return api.get(blockAffinityKind, undefined, name, { signal });
  }
}
