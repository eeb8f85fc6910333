// The fixed part of the nft table: base chains on their hooks, and the sets and maps that the rules look into.
// Source: kubernetes pkg/proxy/nftables/proxier.go. Priorities are numbers: nft before 1.0.7 refuses the name dstnat in
// the output hook.
import { markForMasquerade } from './service-rules.ts';

export const TABLE = 'kube-proxy';

export interface FrameOptions {
  readonly clusterCidr: string | undefined;
  /** Every connection to a cluster IP gets the node's address as source. */
  readonly masqueradeAll: boolean;
  readonly masqueradeMark: string;
  /** Undefined: node ports answer on every address of the node but loopback. */
  readonly nodePortIps: readonly string[] | undefined;
}

export interface Frame {
  /** Name and hook of each base chain. */
  readonly baseChains: readonly (readonly [name: string, hook: string])[];
  /** Name and declaration of each set and map. */
  readonly sets: readonly (readonly [kind: 'set' | 'map', name: string, declaration: string])[];
  /** Rules of base chains and of the regular chains that are always there. */
  readonly rules: ReadonlyMap<string, readonly string[]>;
  readonly nodePortIps: readonly string[];
}

export function tableFrame({ clusterCidr, masqueradeAll, masqueradeMark, nodePortIps }: FrameOptions): Frame {
  const nodePortMatch = nodePortIps === undefined ? 'fib daddr type local ip daddr != 127.0.0.0/8' : 'ip daddr @nodeport-ips';
  const address = 'ipv4_addr . inet_proto . inet_service';
  const toPort = 'ip daddr . meta l4proto . th dport';
  const mark = markForMasquerade(masqueradeMark);
  const masqueradeClusterIps = masqueradeAll ? [`ip daddr @cluster-ips ${mark}`]
    : clusterCidr === undefined ? [] : [`ip daddr @cluster-ips ip saddr != ${clusterCidr} ${mark}`];
  return {
    baseChains: [
      ['filter-prerouting-pre-dnat', 'type filter hook prerouting priority -110;'],
      ['filter-output-pre-dnat', 'type filter hook output priority -110;'],
      ['filter-input', 'type filter hook input priority 0;'],
      ['filter-forward', 'type filter hook forward priority 0;'],
      ['filter-output', 'type filter hook output priority 0;'],
      ['nat-prerouting', 'type nat hook prerouting priority -100;'],
      ['nat-output', 'type nat hook output priority -100;'],
      ['nat-postrouting', 'type nat hook postrouting priority 100;'],
    ],
    sets: [
      ['set', 'cluster-ips', 'type ipv4_addr; comment "Active ClusterIPs";'],
      ['set', 'nodeport-ips', 'type ipv4_addr; comment "IPs that accept NodePort traffic";'],
      ['set', 'hairpin-connections', `type ipv4_addr . ${address}; comment "local endpoints that may connect to themselves";`],
      ['map', 'service-ips', `type ${address} : verdict; comment "ClusterIP, ExternalIP and LoadBalancer IP traffic";`],
      ['map', 'service-nodeports', 'type inet_proto . inet_service : verdict; comment "NodePort traffic";'],
      ['map', 'no-endpoint-services', `type ${address} : verdict; comment "vmap to drop or reject packets to services with no endpoints";`],
      ['map', 'no-endpoint-nodeports', 'type inet_proto . inet_service : verdict; comment "vmap to drop or reject packets to service nodeports with no endpoints";'],
      ['map', 'firewall-ips', `type ${address} : verdict; comment "destinations that are subject to LoadBalancerSourceRanges";`],
    ],
    rules: new Map<string, readonly string[]>([
      ['reject-chain', ['reject']],
      ['services', [...masqueradeClusterIps, `${toPort} vmap @service-ips`, `${nodePortMatch} meta l4proto . th dport vmap @service-nodeports`]],
      ['masquerading', [
        `meta mark and ${masqueradeMark} != 0 meta mark set meta mark xor ${masqueradeMark} masquerade fully-random`,
        'ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random',
      ]],
      ['cluster-ips-check', ['ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"']],
      ['service-endpoints-check', [`${toPort} vmap @no-endpoint-services`]],
      ['nodeport-endpoints-check', [`${nodePortMatch} meta l4proto . th dport vmap @no-endpoint-nodeports`]],
      ['firewall-check', [`${toPort} vmap @firewall-ips`]],
      ['filter-prerouting-pre-dnat', ['ct state new jump firewall-check']],
      ['filter-output-pre-dnat', ['ct state new jump firewall-check']],
      ['filter-input', ['ct state new jump nodeport-endpoints-check', 'ct state new jump service-endpoints-check']],
      ['filter-forward', ['ct state new jump service-endpoints-check', 'ct state new jump cluster-ips-check']],
      ['filter-output', ['ct state new jump service-endpoints-check', 'ct state new jump cluster-ips-check']],
      ['nat-prerouting', ['jump services']],
      ['nat-output', ['jump services']],
      ['nat-postrouting', ['jump masquerading']],
    ]),
    nodePortIps: nodePortIps ?? [],
  };
}
