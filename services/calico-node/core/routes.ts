// Which routes a node needs to reach the pods of the others, and what to change to get there.
import type { BlockAffinity } from '#lib/kinds/types/calico-v1.ts';
import { confirmedBlocks } from './block-claim.ts';
import { cidrContains, parseIpv4, parseIpv4Cidr } from '#lib/machinery/ipv4.ts';

export interface Route {
  readonly destination: string;
  /** Undefined: a blackhole. */
  readonly via: string | undefined;
  readonly device: string | undefined;
}
export interface NodeAddress {
  readonly name: string;
  readonly address: string;
}
/** An interface that is up, with one of its IPv4 addresses. */
export interface LinkAddress {
  readonly device: string;
  /** With prefix length: `192.168.1.102/24`. */
  readonly cidr: string;
}

export interface RouteInputs {
  readonly node: string;
  readonly nodes: readonly NodeAddress[];
  readonly affinities: readonly BlockAffinity[];
  readonly links: readonly LinkAddress[];
}

/**
 * A blackhole for each block of the node itself, so that packets for addresses without a pod end here, and a route to
 * each block of another node through that node's address, on whichever interface is in its network. Nodes that no
 * interface reaches directly are left out until one does.
 */
export function desiredRoutes({ node, nodes, affinities, links }: RouteInputs): Route[] {
  const routes: Route[] = confirmedBlocks(affinities, node).map((destination) => ({ destination, via: undefined, device: undefined }));
  for (const other of nodes) {
    if (other.name === node) continue;
    const device = deviceTowards(other.address, links);
    if (device === undefined) continue;
    for (const destination of confirmedBlocks(affinities, other.name)) routes.push({ destination, via: other.address, device });
  }
  return routes;
}

function deviceTowards(address: string, links: readonly LinkAddress[]): string | undefined {
  const target = parseIpv4(address);
  if (target === undefined) return undefined;
  return links.find(({ cidr }) => {
    const network = parseIpv4Cidr(cidr);
    return network !== undefined && network.prefixLength < 32 && cidrContains(network, target);
  })?.device;
}

export interface RouteChanges {
  readonly remove: readonly Route[];
  /** Replaces what may stand there under the same destination. */
  readonly put: readonly Route[];
}

export function routeChanges(actual: readonly Route[], desired: readonly Route[]): RouteChanges {
  const wanted = new Map(desired.map((route) => [route.destination, route]));
  const present = new Set(actual.map(routeKey));
  return {
    remove: actual.filter((route) => !wanted.has(route.destination)),
    put: desired.filter((route) => !present.has(routeKey(route))),
  };
}

const routeKey = ({ destination, via, device }: Route): string => `${destination} ${via ?? 'blackhole'} ${device ?? ''}`;
