// Which endpoints of a port take traffic on this node. Source: kubernetes pkg/proxy/topology.go.
import type { Endpoint, ServicePort } from './service-port.ts';

export interface NodePlace {
  readonly node: string;
  readonly zone: string | undefined;
}

export interface EndpointChoice {
  /** For policy Cluster. */
  readonly cluster: readonly Endpoint[];
  /** For policy Local; empty when no policy is Local. */
  readonly local: readonly Endpoint[];
  /** Whether there is any usable endpoint anywhere, which tells a drop from a reject. */
  readonly hasAny: boolean;
}

export function chooseEndpoints(port: ServicePort, endpoints: readonly Endpoint[], place: NodePlace): EndpointChoice {
  const isExternal = isExternallyAccessible(port);
  // Even with an external policy Local, cluster endpoints serve what comes from pods and from the node itself.
  const usesCluster = !port.isInternalLocal || isExternal;
  const usesLocal = port.isInternalLocal || (isExternal && port.isExternalLocal);
  const ready = endpoints.filter(({ isReady }) => isReady);
  const departing = endpoints.filter(({ isReady, isServing, isTerminating }) => !isReady && isServing && isTerminating);
  const cluster = !usesCluster ? [] : ready.length > 0 ? hinted(ready, place) : departing;
  if (!usesLocal) return { cluster, local: [], hasAny: cluster.length > 0 };
  const isLocal = ({ isLocal: local }: Endpoint): boolean => local;
  const local = ready.some(isLocal) ? ready.filter(isLocal) : departing.filter(isLocal);
  return { cluster, local, hasAny: ready.length > 0 || departing.length > 0 };
}

export function isExternallyAccessible({ nodePort, externalIps, loadBalancerIps }: ServicePort): boolean {
  return nodePort !== 0 || externalIps.length > 0 || loadBalancerIps.length > 0;
}

/** Hints count only when every ready endpoint has one and at least one points here. */
function hinted(ready: readonly Endpoint[], { node, zone }: NodePlace): readonly Endpoint[] {
  if (ready.every(({ nodeHints }) => nodeHints !== undefined)) {
    const here = ready.filter(({ nodeHints }) => nodeHints?.includes(node));
    if (here.length > 0) return here;
  }
  if (zone !== undefined && ready.every(({ zoneHints }) => zoneHints !== undefined)) {
    const here = ready.filter(({ zoneHints }) => zoneHints?.includes(zone));
    if (here.length > 0) return here;
  }
  return ready;
}
