// Which blocks of addresses belong to nobody any more.
import type { BlockAffinity } from '#lib/kinds/types/calico-v1.ts';

/** Affinities of nodes that do not exist. `type: virtual` ones (load balancers) have no node. */
export function staleAffinities(affinities: readonly BlockAffinity[], nodes: ReadonlySet<string>): BlockAffinity[] {
  return affinities.filter(({ spec }) => spec !== undefined && (spec.type ?? 'host') === 'host' && !nodes.has(spec.node));
}
