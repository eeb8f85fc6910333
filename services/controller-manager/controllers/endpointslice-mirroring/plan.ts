// The EndpointSlices that stand for hand-made Endpoints. Source: pkg/controller/endpointslicemirroring.
import type { NewObject } from '#lib/api-client/client.ts';
import { endpointsKind } from '#lib/kinds/core/endpoints.ts';
import type { EndpointAddress, Endpoints, EndpointSubset, Service } from '#lib/kinds/types/core-v1.ts';
import type { Endpoint, EndpointPort, EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { controllerReference } from '#lib/machinery/controller-ref.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { canonicalJson } from '#lib/machinery/hash.ts';
import { isIpv6 } from '../../core/service-endpoints.ts';

export const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by';
export const MIRROR_MANAGER = 'endpointslicemirroring-controller.k8s.io';
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
const SKIP_MIRROR_LABEL = 'endpointslice.kubernetes.io/skip-mirror';
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader';
const NOT_COPIED_ANNOTATIONS = new Set(['endpoints.kubernetes.io/last-change-trigger-time', 'kubectl.kubernetes.io/last-applied-configuration']);
const NOT_COPIED_LABELS = new Set(['endpoints.kubernetes.io/managed-by', 'service.kubernetes.io/headless']);

/** Endpoints of Services that select pods have slices of their own. */
export function isMirrored(endpoints: Readonly<Endpoints> | undefined, service: Readonly<Service> | undefined): boolean {
  if (!endpoints || !service || endpoints.metadata.deletionTimestamp !== undefined) return false;
  if (endpoints.metadata.labels?.[SKIP_MIRROR_LABEL] === 'true' || endpoints.metadata.annotations?.[LEADER_ANNOTATION] !== undefined) return false;
  return Object.keys(service.spec?.selector ?? {}).length === 0;
}

interface Wanted {
  readonly addressType: string;
  readonly ports: EndpointPort[];
  readonly endpoints: Endpoint[];
}

function endpointOf({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return {
    addresses: [ip], conditions: { ready },
    ...(hostname ? { hostname } : {}), ...(nodeName ? { nodeName } : {}), ...(targetRef ? { targetRef } : {}),
  };
}

/** One slice per address family and set of ports. */
function wantedSlices(subsets: readonly EndpointSubset[], mostPerSubset: number): Wanted[] {
  const wanted = new Map<string, Wanted>();
  for (const { addresses = [], notReadyAddresses = [], ports = [] } of subsets) {
    const endpoints = [...addresses.map((address) => endpointOf(address, true)), ...notReadyAddresses.map((address) => endpointOf(address, false))].slice(0, mostPerSubset);
    for (const endpoint of endpoints) {
      const addressType = isIpv6(endpoint.addresses[0] ?? '') ? 'IPv6' : 'IPv4';
      const slicePorts = ports.map(({ name, port, protocol, appProtocol }) => ({ name: name ?? '', port, protocol: protocol ?? 'TCP', ...(appProtocol ? { appProtocol } : {}) }));
      const key = canonicalJson([addressType, slicePorts]);
      const slice = wanted.get(key) ?? { addressType, ports: slicePorts, endpoints: [] };
      wanted.set(key, slice);
      if (!slice.endpoints.some(({ addresses: [known] }) => known === endpoint.addresses[0])) slice.endpoints.push(endpoint);
    }
  }
  return [...wanted.values()];
}

export interface MirrorPlan {
  readonly create: readonly NewObject<EndpointSlice>[];
  readonly update: readonly EndpointSlice[];
  readonly remove: readonly Readonly<EndpointSlice>[];
}

export function planMirror(endpoints: Readonly<Endpoints>, existing: readonly Readonly<EndpointSlice>[], mostPerSubset: number): MirrorPlan {
  const { name, namespace } = endpoints.metadata;
  const copied = (from: Readonly<Record<string, string>> | undefined, without: ReadonlySet<string>) => Object.fromEntries(Object.entries(from ?? {}).filter(([key]) => !without.has(key)));
  const labels = { ...copied(endpoints.metadata.labels, NOT_COPIED_LABELS), [SERVICE_NAME_LABEL]: name, [MANAGED_BY_LABEL]: MIRROR_MANAGER };
  const annotations = copied(endpoints.metadata.annotations, NOT_COPIED_ANNOTATIONS);
  const left = new Set(existing);
  const create: NewObject<EndpointSlice>[] = [];
  const update: EndpointSlice[] = [];
  for (const wanted of wantedSlices(endpoints.subsets ?? [], mostPerSubset)) {
    const known = [...left].find((slice) => slice.addressType === wanted.addressType && semanticEqual(slice.ports, wanted.ports));
    if (!known) {
      create.push({ metadata: { generateName: `${name}-`, namespace, labels, annotations, ownerReferences: [controllerReference(endpoints, endpointsKind)] }, ...wanted });
      continue;
    }
    left.delete(known);
    if (semanticEqual(known.endpoints, wanted.endpoints) && semanticEqual(known.metadata.labels, labels) && semanticEqual(known.metadata.annotations, annotations)) continue;
    update.push({ ...known, endpoints: wanted.endpoints, metadata: { ...known.metadata, labels, annotations } });
  }
  return { create, update, remove: [...left] };
}
