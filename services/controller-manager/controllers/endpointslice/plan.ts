// Packs the endpoints of a Service into EndpointSlices, changing as few slices as possible.
// Source: k8s.io/endpointslice reconciler.go and utils.go.
import type { NewObject } from '#lib/api-client/client.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import type { Node, Pod, Service } from '#lib/kinds/types/core-v1.ts';
import type { Endpoint, EndpointPort, EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { controllerReference } from '#lib/machinery/controller-ref.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { canonicalJson } from '#lib/machinery/hash.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { isReady, isTerminating } from '../../core/pod-state.ts';
import { HEADLESS_LABEL, hostnameIn, isHeadless, isIpv6, LAST_CHANGE_TRIGGER_TIME, mayBeEndpoint, podAddresses, targetPortIn } from '../../core/service-endpoints.ts';

export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
export const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by';
export const MANAGER = 'endpointslice-controller.k8s.io';
const RESERVED_LABELS = new Set([SERVICE_NAME_LABEL, MANAGED_BY_LABEL, HEADLESS_LABEL]);
const ZONE_LABEL = 'topology.kubernetes.io/zone';

type AddressType = 'IPv4' | 'IPv6';

export interface SliceChanges {
  readonly create: NewObject<EndpointSlice>[];
  readonly update: EndpointSlice[];
  readonly remove: Readonly<EndpointSlice>[];
}

export interface SliceInput {
  readonly service: Readonly<Service>;
  readonly pods: readonly Readonly<Pod>[];
  readonly nodeOf: (name: string) => Readonly<Node> | undefined;
  /** Slices of this Service that this controller manages. */
  readonly existing: readonly Readonly<EndpointSlice>[];
  readonly maxEndpoints: number;
  /** When what is being answered happened, if anything did. */
  readonly triggerMs: number | undefined;
}

export function addressTypesOf(service: Readonly<Service>): AddressType[] {
  const families = service.spec?.ipFamilies ?? [];
  const known = families.filter((family): family is AddressType => family === 'IPv4' || family === 'IPv6');
  if (known.length > 0) return known;
  return isIpv6(service.spec?.clusterIP ?? '') ? ['IPv6'] : ['IPv4'];
}

export function planSlices(input: SliceInput): SliceChanges {
  const types = addressTypesOf(input.service);
  const changes: SliceChanges = { create: [], update: [], remove: input.existing.filter(({ addressType }) => !types.includes(addressType as AddressType)) };
  for (const type of types) {
    const part = planAddressType(type, input);
    changes.create.push(...part.create);
    changes.update.push(...part.update);
    changes.remove.push(...part.remove);
  }
  return reuseRemoved(changes);
}

interface PortGroup {
  readonly ports: EndpointPort[];
  /** By pod, so that an endpoint is found again in the slices that exist. */
  readonly endpoints: Map<string, Endpoint>;
}

function planAddressType(type: AddressType, input: SliceInput): SliceChanges {
  const { service, pods, nodeOf, existing } = input;
  const groups = new Map<string, PortGroup>();
  for (const pod of pods) {
    if (!mayBeEndpoint(pod)) continue;
    const addresses = podAddresses(pod).filter((address) => isIpv6(address) === (type === 'IPv6')).slice(0, 1);
    if (addresses.length === 0) continue;
    const ports = portsFor(service, pod);
    const portKey = canonicalJson(ports);
    const group = groups.get(portKey) ?? { ports, endpoints: new Map<string, Endpoint>() };
    groups.set(portKey, group);
    group.endpoints.set(endpointKey(addresses, pod.metadata.name), endpointOf(service, pod, addresses, nodeOf(pod.spec.nodeName ?? '')));
  }
  const byPorts = new Map<string, Readonly<EndpointSlice>[]>();
  for (const slice of existing) {
    if (slice.addressType !== type) continue;
    const key = canonicalJson((slice.ports ?? []).map(portShape));
    byPorts.set(key, [...(byPorts.get(key) ?? []), slice]);
  }
  const changes: SliceChanges = { create: [], update: [], remove: [] };
  for (const [key, slices] of byPorts) if (!groups.has(key)) changes.remove.push(...slices);
  for (const [key, group] of groups) packGroup(type, group, byPorts.get(key) ?? [], input, changes);
  if (groups.size === 0) keepPlaceholder(type, input, changes);
  return changes;
}

const portShape = ({ name = '', port, protocol = 'TCP', appProtocol }: EndpointPort): EndpointPort =>
  ({ name, port, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) });

/** The ports of a Service as this pod serves them; those it lacks are left out. */
function portsFor(service: Readonly<Service>, pod: Readonly<Pod>): EndpointPort[] {
  const ports: EndpointPort[] = [];
  for (const servicePort of service.spec?.ports ?? []) {
    const port = targetPortIn(pod, servicePort);
    if (port !== undefined) ports.push(portShape({ name: servicePort.name ?? '', port, protocol: servicePort.protocol ?? 'TCP', appProtocol: servicePort.appProtocol }));
  }
  return ports;
}

const endpointKey = (addresses: readonly string[], podName: string | undefined): string => `${addresses.join(',')} ${podName ?? ''}`;

function endpointOf(service: Readonly<Service>, pod: Readonly<Pod>, addresses: string[], node: Readonly<Node> | undefined): Endpoint {
  const serving = isReady(pod);
  const terminating = isTerminating(pod);
  const zone = node?.metadata.labels?.[ZONE_LABEL];
  const hostname = hostnameIn(service, pod);
  return {
    addresses,
    conditions: { ready: service.spec?.publishNotReadyAddresses === true || (serving && !terminating), serving, terminating },
    targetRef: { kind: 'Pod', namespace: pod.metadata.namespace, name: pod.metadata.name, uid: pod.metadata.uid },
    ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    ...(zone ? { zone } : {}),
    ...(hostname === undefined ? {} : { hostname }),
    ...hintsFor(service, pod.spec.nodeName, zone, serving && !terminating),
  };
}

/** Who should use the endpoint, where the Service prefers what is near. Source: k8s.io/endpointslice trafficdist. */
function hintsFor({ spec }: Readonly<Service>, node: string | undefined, zone: string | undefined, ready: boolean): Pick<Endpoint, 'hints'> {
  const distribution = spec?.trafficDistribution;
  if (!ready || distribution === undefined) return {};
  const hints = { ...(zone ? { forZones: [{ name: zone }] } : {}), ...(distribution === 'PreferSameNode' && node ? { forNodes: [{ name: node }] } : {}) };
  return Object.keys(hints).length === 0 ? {} : { hints };
}

function packGroup(type: AddressType, { ports, endpoints: desired }: PortGroup, existing: readonly Readonly<EndpointSlice>[], input: SliceInput, changes: SliceChanges): void {
  const { service, maxEndpoints } = input;
  const left = new Map(desired);
  const updates: EndpointSlice[] = [];
  const untouched: Readonly<EndpointSlice>[] = [];
  // 1. Drop what is gone and refresh what has changed.
  for (const slice of existing) {
    const kept: Endpoint[] = [];
    let hasChanged = false;
    for (const endpoint of slice.endpoints ?? []) {
      const key = endpointKey(endpoint.addresses, endpoint.targetRef?.name);
      const wanted = left.get(key);
      if (!wanted) {
        hasChanged = true;
        continue;
      }
      kept.push(wanted);
      left.delete(key);
      hasChanged ||= !isSameEndpoint(endpoint, wanted);
    }
    if (kept.length === 0) changes.remove.push(slice);
    else if (hasChanged || !semanticEqual(labelsOf(service), slice.metadata.labels)) updates.push(refreshed(slice, kept, input));
    else untouched.push(slice);
  }
  // 2. Fill the slices that are written anyway, fullest first.
  const waiting = [...left.values()];
  updates.sort((a, b) => (b.endpoints?.length ?? 0) - (a.endpoints?.length ?? 0));
  for (const slice of updates) {
    const room = maxEndpoints - (slice.endpoints?.length ?? 0);
    if (room > 0) slice.endpoints?.push(...waiting.splice(0, room));
  }
  changes.update.push(...updates);
  // 3. What is left goes into one untouched slice that takes it all with least room to spare, or into new ones.
  while (waiting.length > 0) {
    const fitting = waiting.length >= maxEndpoints ? [] : untouched.filter(({ endpoints = [] }) => endpoints.length + waiting.length <= maxEndpoints);
    const [fullest] = fitting.sort((a, b) => (b.endpoints?.length ?? 0) - (a.endpoints?.length ?? 0));
    const batch = waiting.splice(0, maxEndpoints);
    if (fullest) changes.update.push(refreshed(fullest, [...(fullest.endpoints ?? []), ...batch], input));
    else changes.create.push(newSlice(type, ports, batch, input));
  }
}

function isSameEndpoint(left: Endpoint, right: Endpoint): boolean {
  return semanticEqual(left.conditions, right.conditions) && left.hostname === right.hostname && left.nodeName === right.nodeName
    && left.zone === right.zone && left.targetRef?.uid === right.targetRef?.uid && semanticEqual(left.hints, right.hints);
}

/** A selecting Service always has a slice, so that others can tell «no endpoints» from «not looked at yet». */
function keepPlaceholder(type: AddressType, input: SliceInput, changes: SliceChanges): void {
  const placeholder = changes.remove.findIndex(({ endpoints = [], ports = [] }) => endpoints.length === 0 && ports.length === 0);
  const [kept] = placeholder < 0 ? [] : changes.remove.splice(placeholder, 1);
  if (!kept) changes.create.push(newSlice(type, [], [], input));
  else if (!semanticEqual(labelsOf(input.service), kept.metadata.labels)) changes.update.push(refreshed(kept, [], input));
}

/** A slice that would be removed while another is made is turned into that one: one write, and no gap between. */
function reuseRemoved({ create, update, remove }: SliceChanges): SliceChanges {
  const [creating, removing, updating] = [[...create], [...remove], [...update]];
  for (const slice of create) {
    const at = removing.findIndex((old) => old.addressType === slice.addressType && old.metadata.deletionTimestamp === undefined);
    if (at < 0) continue;
    const [old] = removing.splice(at, 1);
    if (!old) continue;
    creating.splice(creating.indexOf(slice), 1);
    updating.push({ ...slice, metadata: { ...old.metadata, labels: slice.metadata.labels, annotations: slice.metadata.annotations, ownerReferences: slice.metadata.ownerReferences } });
  }
  return { create: creating, update: updating, remove: removing };
}

/** The Service's labels, and ours. Labels that others put on a slice do not stay. */
function labelsOf(service: Readonly<Service>): Record<string, string> {
  const copied = Object.entries(service.metadata.labels ?? {}).filter(([key]) => !RESERVED_LABELS.has(key));
  return {
    ...Object.fromEntries(copied),
    ...(isHeadless(service) ? { [HEADLESS_LABEL]: '' } : {}),
    [SERVICE_NAME_LABEL]: service.metadata.name,
    [MANAGED_BY_LABEL]: MANAGER,
  };
}

function triggerAnnotation(triggerMs: number | undefined): Record<string, string> {
  return triggerMs === undefined ? {} : { [LAST_CHANGE_TRIGGER_TIME]: formatTime(triggerMs) };
}

function refreshed(slice: Readonly<EndpointSlice>, endpoints: Endpoint[], { service, triggerMs }: SliceInput): EndpointSlice {
  const annotations = { ...slice.metadata.annotations };
  delete annotations[LAST_CHANGE_TRIGGER_TIME];
  return {
    ...slice,
    metadata: { ...slice.metadata, labels: labelsOf(service), annotations: { ...annotations, ...triggerAnnotation(triggerMs) } },
    endpoints,
  };
}

function newSlice(addressType: AddressType, ports: EndpointPort[], endpoints: Endpoint[], { service, triggerMs }: SliceInput): NewObject<EndpointSlice> {
  return {
    metadata: {
      generateName: `${service.metadata.name}-`, namespace: service.metadata.namespace, labels: labelsOf(service),
      annotations: triggerAnnotation(triggerMs), ownerReferences: [controllerReference(service, serviceKind)],
    },
    addressType, ports, endpoints,
  };
}
