// Masquerading of what pods send out of their pool. Own table; nothing of anybody else's is touched.
import type { IPPool } from '#lib/kinds/types/calico-v1.ts';
import { formatIpv4Cidr, type Cidr } from '#lib/machinery/ipv4.ts';
import { usablePool } from './block-claim.ts';

export const NAT_TABLE = 'calico';

/**
 * One nft transaction that makes the whole table anew. Source: Felix's masq-ipam-pools and all-ipam-pools sets.
 * Disabled pools still count as inside the pod network.
 */
export function natRules(pools: readonly IPPool[]): string {
  const elements = (chosen: readonly IPPool[]): string => {
    const cidrs = chosen.flatMap((pool) => usablePool({ ...pool, spec: { ...pool.spec, cidr: pool.spec?.cidr ?? '', disabled: false } })?.cidr ?? []);
    return cidrs.length === 0 ? '' : ` elements = { ${withoutNested(cidrs).map(formatIpv4Cidr).join(', ')} };`;
  };
  return `add table ip ${NAT_TABLE}
delete table ip ${NAT_TABLE}
table ip ${NAT_TABLE} {
  set all-ipam-pools { type ipv4_addr; flags interval;${elements(pools)} }
  set masq-ipam-pools { type ipv4_addr; flags interval;${elements(pools.filter(({ spec }) => spec?.natOutgoing === true))} }
  chain nat-postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr @masq-ipam-pools ip daddr != @all-ipam-pools masquerade fully-random
  }
}
`;
}

/** An interval set refuses intervals that overlap. */
function withoutNested(cidrs: readonly Cidr[]): Cidr[] {
  return cidrs.filter((cidr, index) => !cidrs.some((other, at) =>
    at !== index && other.base <= cidr.base && other.base + other.size >= cidr.base + cidr.size && (other.size > cidr.size || at < index)));
}
