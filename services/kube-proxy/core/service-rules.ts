// The rules of one Service port. Source: kubernetes pkg/proxy/nftables/proxier.go, whose names of chains and sets are kept.
import { cidrContains, parseIpv4, parseIpv4Cidr } from '#lib/machinery/ipv4.ts';
import { chooseEndpoints, isExternallyAccessible, type NodePlace } from './endpoint-choice.ts';
import type { Endpoint, ServicePort } from './service-port.ts';
import type { ServiceRules } from './table-content.ts';

export interface RuleContext {
  readonly place: NodePlace;
  /** Source addresses of pods, to tell them from the outside; undefined: they cannot be told. */
  readonly clusterCidr: string | undefined;
  readonly masqueradeMark: string;
  readonly nodeIps: readonly string[];
  /** First 8 characters of the base32 of the SHA-256 of a name. */
  readonly shortHash: (text: string) => string;
}

/** Longest name; nft takes no more than 255 bytes. */
const MAX_NAME_LENGTH = 240;

function baseName(name: string, shortHash: RuleContext['shortHash']): string {
  const text = `${shortHash(name)}-${name}`;
  return text.length > MAX_NAME_LENGTH ? `${text.slice(0, MAX_NAME_LENGTH - 3)}...` : text;
}

export function servicePortRules(port: ServicePort, endpoints: readonly Endpoint[], context: RuleContext): ServiceRules {
  const { place, shortHash, masqueradeMark, clusterCidr, nodeIps } = context;
  const choice = chooseEndpoints(port, endpoints, place);
  const { protocol } = port;
  const name = `${port.service}/${protocol}/${port.portName}`;
  const base = baseName(name, shortHash);
  const [clusterChain, localChain, externalChain, firewallChain] = ['service', 'local', 'external', 'firewall'].map((kind) => `${kind}-${base}`) as [string, string, string, string];
  const isExternal = isExternallyAccessible(port);
  const chains: [string, readonly string[]][] = [];
  const elements: [string, string, string][] = [['cluster-ips', port.clusterIp, '']];
  const affinitySets: [string, number][] = [];
  const verdictWithout = choice.hasAny ? 'drop' : 'goto reject-chain';
  const addressKey = (address: string): string => `${address} . ${protocol} . ${port.port}`;

  const endpointChains = new Map<string, string>();
  const endpointChainOf = ({ ip, port: endpointPort }: Endpoint): string => {
    const endpointBase = baseName(`${name}__${ip}/${endpointPort}`, shortHash);
    const chain = `endpoint-${endpointBase}`;
    if (port.affinitySeconds !== undefined && !endpointChains.has(chain)) {
      const set = `affinity-${endpointBase}`;
      endpointChains.set(chain, set);
      affinitySets.push([set, port.affinitySeconds]);
      chains.push([chain, [`update @${set} { ip saddr }`, `meta l4proto ${protocol} dnat to ${ip}:${endpointPort}`]]);
    }
    return chain;
  };
  const balance = (targets: readonly Endpoint[]): string[] => {
    if (port.affinitySeconds === undefined) {
      return [`meta l4proto ${protocol} dnat ip addr . port to numgen random mod ${targets.length} map { ${targets.map(({ ip, port: target }, index) => `${index} : ${ip} . ${target}`).join(' , ')} }`];
    }
    const named = targets.map((target) => endpointChainOf(target));
    return [
      ...named.map((chain) => `ip saddr @${endpointChains.get(chain) ?? ''} goto ${chain}`),
      `numgen random mod ${named.length} vmap { ${named.map((chain, index) => `${index} : goto ${chain}`).join(' , ')} }`,
    ];
  };

  if (choice.cluster.length > 0) chains.push([clusterChain, balance(choice.cluster)]);
  if (choice.local.length > 0) chains.push([localChain, balance(choice.local)]);

  const internal = port.isInternalLocal ? choice.local : choice.cluster;
  const internalChain = port.isInternalLocal ? localChain : clusterChain;
  if (internal.length > 0) elements.push(['service-ips', addressKey(port.clusterIp), `goto ${internalChain}`]);
  else elements.push(['no-endpoint-services', addressKey(port.clusterIp), verdictWithout]);

  if (isExternal) {
    const external = port.isExternalLocal ? choice.local : choice.cluster;
    const isReachable = choice.cluster.length > 0 || choice.local.length > 0;
    if (isReachable) {
      const rules: string[] = [];
      if (port.isExternalLocal) {
        // Pods and the node itself are inside already: they are served as by the cluster IP.
        if (choice.cluster.length > 0) {
          if (clusterCidr !== undefined) rules.push(`ip saddr ${clusterCidr} goto ${clusterChain}`);
          rules.push(`fib saddr type local ${markForMasquerade(masqueradeMark)}`, `fib saddr type local goto ${clusterChain}`);
        }
      } else {
        rules.push(markForMasquerade(masqueradeMark));
      }
      if (external.length > 0) rules.push(`goto ${port.isExternalLocal ? localChain : clusterChain}`);
      chains.push([externalChain, rules]);
    }
    const publish = (address: string): void => {
      if (isReachable) elements.push(['service-ips', addressKey(address), `goto ${externalChain}`]);
      if (external.length === 0) elements.push(['no-endpoint-services', addressKey(address), verdictWithout]);
    };
    for (const address of port.externalIps) publish(address);
    for (const address of port.loadBalancerIps) {
      publish(address);
      if (port.sourceRanges.length > 0) elements.push(['firewall-ips', addressKey(address), `goto ${firewallChain}`]);
    }
    if (port.loadBalancerIps.length > 0 && port.sourceRanges.length > 0) {
      // A node that is inside of a range may also speak from the balancer's own address.
      const allowed = nodeIps.some((ip) => port.sourceRanges.some((range) => isInRange(ip, range))) ? [...port.sourceRanges, ...port.loadBalancerIps] : port.sourceRanges;
      chains.push([firewallChain, [`ip saddr != { ${[...new Set(allowed)].join(', ')} } drop`]]);
    }
    if (port.nodePort !== 0) {
      const key = `${protocol} . ${port.nodePort}`;
      if (isReachable) elements.push(['service-nodeports', key, `goto ${externalChain}`]);
      if (external.length === 0) elements.push(['no-endpoint-nodeports', key, verdictWithout]);
    }
  }

  for (const { ip, port: target, isLocal } of [...choice.cluster, ...choice.local]) {
    if (isLocal) elements.push(['hairpin-connections', `${ip} . ${ip} . ${protocol} . ${target}`, '']);
  }
  return { chains, elements, affinitySets };
}

function isInRange(address: string, range: string): boolean {
  const [value, cidr] = [parseIpv4(address), parseIpv4Cidr(range)];
  return value !== undefined && cidr !== undefined && cidrContains(cidr, value);
}

/** Packets with the mark get the node's address as source in the masquerading chain. */
export function markForMasquerade(mark: string): string {
  return `meta mark set meta mark or ${mark}`;
}
