// Whose packets a host no longer takes: that is how hosts are cut off from each other. Dropped where they arrive, as a broken
// cable does: who sends them is told nothing, connections hang.
import type { ClusterAccess } from '../../access/cluster-access.ts';
import { hostNamed } from '../../host-named.ts';
import { UserError } from '../../user-error.ts';

/** How a host's packets are told on the wire: its own by its address, those of its pods by its device. */
export interface WireName {
  readonly address: string;
  /** Unknown while it has no device. */
  readonly mac?: string;
}

/** Before anything else looks at them. Source: netfilter_ipv4.h, NF_IP_PRI_RAW. */
const FIRST = -300;

/** The chain of a host that takes nothing of these; with `loss`, only so much of it is lost, in percent. */
export function deafTo(senders: readonly WireName[], loss?: number): string {
  const drop = dropping(loss);
  const lines = senders.flatMap(({ address, mac }) => (mac === undefined ? [`ip saddr ${address} ${drop}`]
    : [`ether saddr ${mac} ${drop}`, `ether saddr != ${mac} ip saddr ${address} ${drop}`])); // no packet twice: what is lost by chance would be more
  return chain(lines);
}

/** The chain of a host that takes nothing from its network: only what its own processes and pods send each other. */
export const deafToAll = (loss?: number): string => chain([`iifname != { "lo", "cali*" } ${dropping(loss)}`]);

/** `loss` in percent. */
const dropping = (loss = 100): string => (loss >= 100 ? 'counter drop' : `numgen random mod 10000 < ${Math.round(loss * 100)} counter drop`);

const chain = (lines: readonly string[]): string => `  chain arrival {
    type filter hook prerouting priority ${FIRST}; policy accept;
${lines.map((line) => `    ${line}`).join('\n')}
  }`;

interface IpAddressEntry {
  readonly ifname: string;
  readonly address?: string;
  readonly addr_info?: readonly { readonly local?: string }[];
}

/** Of the host's device: the one with its address, or while it is off the one that a host has. */
export function macOf(entries: readonly IpAddressEntry[], hostAddress: string): string | undefined {
  const device = entries.find(({ addr_info: addresses = [] }) => addresses.some(({ local }) => local === hostAddress)) ?? entries.find(({ ifname }) => /^(eth|ens|enp)/.test(ifname));
  return device?.address;
}

/** Throws UserError for a host that does not exist (exit code 2). */
export async function wireNameOf(cluster: ClusterAccess, host: string): Promise<WireName> {
  const address = addressOf(cluster, host);
  const { code, stdout, stderr } = await cluster.inNetworkOf(host, ['ip', '-json', 'address', 'show']);
  if (code !== 0) throw new UserError(`ip on ${host}: ${stderr.trim()}`);
  const mac = macOf(JSON.parse(stdout) as IpAddressEntry[], address);
  return { address, ...(mac !== undefined && { mac }) };
}

export const addressOf = ({ hosts }: Pick<ClusterAccess, 'hosts'>, host: string): string => hostNamed(host, hosts).address;
