// Which node answers for the address of a load balancer on the hosts' network. Calico announces such addresses to routers
// by BGP; where hosts and clients share one network, one node has to answer ARP for each address instead, as MetalLB's
// layer 2 mode has it. Every node comes to the same answer by itself.
import type { Node, Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { parseIpv4 } from '#lib/machinery/ipv4.ts';

/** Source: k8s.io/api core/v1 LabelNodeExcludeBalancers; kubeadm puts it on control planes. */
export const EXCLUDED_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers';
const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

export interface Announcement {
  readonly node: string;
  readonly services: readonly Service[];
  readonly nodes: readonly Node[];
  /** Needed for Services whose external traffic stays on the node. */
  readonly slices: readonly EndpointSlice[];
}

export const isLocalOnly = ({ spec }: Service): boolean => spec?.externalTrafficPolicy === 'Local';

/** The addresses for which `node` answers, sorted. */
export function addressesToAnnounce({ node, services, nodes, slices }: Announcement): string[] {
  const candidates = nodes.filter(({ metadata, status }) =>
    metadata.labels?.[EXCLUDED_LABEL] === undefined && status?.conditions?.some(({ type, status: state }) => type === 'Ready' && state === 'True') === true).map(({ metadata }) => metadata.name);
  const found = new Set<string>();
  for (const service of services) {
    if (service.spec?.type !== 'LoadBalancer') continue;
    const serving = isLocalOnly(service) ? nodesWithEndpoints(service, slices) : undefined;
    const able = candidates.filter((name) => serving?.has(name) ?? true);
    for (const { ip, ipMode } of service.status?.loadBalancer?.ingress ?? []) {
      if (ip !== undefined && parseIpv4(ip) !== undefined && ipMode !== 'Proxy' && speakerFor(ip, able) === node) found.add(ip);
    }
  }
  return [...found].sort();
}

function nodesWithEndpoints({ metadata }: Service, slices: readonly EndpointSlice[]): ReadonlySet<string> {
  return new Set(slices.flatMap((slice) => (slice.metadata.namespace === metadata.namespace && slice.metadata.labels?.[SERVICE_NAME_LABEL] === metadata.name
    ? (slice.endpoints ?? []).flatMap(({ nodeName, conditions }) => (nodeName !== undefined && conditions?.ready !== false ? [nodeName] : [])) : [])));
}

/** Of each pair of node and address a number; the lowest wins, so that a node that goes moves only its own addresses. */
function speakerFor(address: string, nodes: readonly string[]): string | undefined {
  let best: { name: string; rank: number } | undefined;
  for (const name of nodes) {
    const rank = fnv1a(`${name}#${address}`);
    if (!best || rank < best.rank || (rank === best.rank && name < best.name)) best = { name, rank };
  }
  return best?.name;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0; // names that differ in one letter are to be far apart
  return (hash ^ (hash >>> 13)) >>> 0;
}
