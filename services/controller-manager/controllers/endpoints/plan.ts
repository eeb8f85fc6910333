// The Endpoints object of a Service, for clients of that deprecated API.
// Source: pkg/controller/endpoint/endpoints_controller.go and k8s.io/endpointslice/util RepackSubsets.
import type { EndpointAddress, EndpointPort, Endpoints, EndpointSubset, Pod, Service } from '#lib/kinds/types/core-v1.ts';
import { canonicalJson } from '#lib/machinery/hash.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { isReady, isTerminating } from '../../core/pod-state.ts';
import { HEADLESS_LABEL, hostnameIn, isHeadless, isIpv6, LAST_CHANGE_TRIGGER_TIME, mayBeEndpoint, podAddresses, targetPortIn } from '../../core/service-endpoints.ts';

export const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity';
export const MANAGED_BY_LABEL = 'endpoints.kubernetes.io/managed-by';
export const MANAGER = 'endpoint-controller';
const TOLERATE_UNREADY = 'service.alpha.kubernetes.io/tolerate-unready-endpoints';
/** Addresses in one object; the rest is cut off. Source: maxCapacity. */
const MAX_ADDRESSES = 1000;

export function planEndpoints(service: Readonly<Service>, pods: readonly Readonly<Pod>[], existing: Readonly<Endpoints> | undefined, triggerMs: number | undefined): Pick<Endpoints, 'subsets'> & { labels: Record<string, string>; annotations: Record<string, string> } {
  const { subsets, isTruncated } = truncated(subsetsOf(service, pods));
  const annotations = { ...existing?.metadata.annotations };
  delete annotations[LAST_CHANGE_TRIGGER_TIME];
  delete annotations[OVER_CAPACITY];
  if (triggerMs !== undefined) annotations[LAST_CHANGE_TRIGGER_TIME] = formatTime(triggerMs);
  if (isTruncated) annotations[OVER_CAPACITY] = 'truncated';
  const labels: Record<string, string> = { ...service.metadata.labels, [MANAGED_BY_LABEL]: MANAGER };
  if (isHeadless(service)) labels[HEADLESS_LABEL] = '';
  else delete labels[HEADLESS_LABEL];
  return { subsets, labels, annotations };
}

function subsetsOf(service: Readonly<Service>, pods: readonly Readonly<Pod>[]): EndpointSubset[] {
  const takesUnready = service.spec?.publishNotReadyAddresses === true || service.metadata.annotations?.[TOLERATE_UNREADY] === 'true';
  const wantsIpv6 = (service.spec?.ipFamilies?.[0] ?? (isIpv6(service.spec?.clusterIP ?? '') ? 'IPv6' : 'IPv4')) === 'IPv6';
  // Address by address, the ports it serves; then addresses with the same ports together.
  const portsOf = new Map<string, { address: EndpointAddress; isReady: boolean; ports: EndpointPort[] }>();
  for (const pod of pods) {
    if (!mayBeEndpoint(pod) || (isTerminating(pod) && !takesUnready)) continue;
    const ip = podAddresses(pod).find((one) => isIpv6(one) === wantsIpv6);
    if (ip === undefined) continue;
    const hostname = hostnameIn(service, pod);
    const address: EndpointAddress = {
      ip, ...(hostname === undefined ? {} : { hostname }), ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}),
      targetRef: { kind: 'Pod', namespace: pod.metadata.namespace, name: pod.metadata.name, uid: pod.metadata.uid },
    };
    const servicePorts = service.spec?.ports ?? [];
    const ports: EndpointPort[] = [];
    for (const servicePort of servicePorts) {
      const port = targetPortIn(pod, servicePort);
      if (port === undefined) continue;
      ports.push({ ...(servicePort.name ? { name: servicePort.name } : {}), port, protocol: servicePort.protocol ?? 'TCP', ...(servicePort.appProtocol ? { appProtocol: servicePort.appProtocol } : {}) });
    }
    // A Service without ports is headless and still names its pods; one whose ports this pod lacks does not.
    if (ports.length === 0 && servicePorts.length > 0) continue;
    portsOf.set(`${ip} ${pod.metadata.uid ?? ''}`, { address, isReady: takesUnready || isReady(pod), ports: ports.sort((a, b) => (canonicalJson(a) < canonicalJson(b) ? -1 : 1)) });
  }
  const byPorts = new Map<string, Required<{ [K in keyof EndpointSubset]: NonNullable<EndpointSubset[K]> }>>();
  for (const { address, isReady: ready, ports } of portsOf.values()) {
    const key = canonicalJson(ports);
    const subset = byPorts.get(key) ?? { addresses: [], notReadyAddresses: [], ports };
    byPorts.set(key, subset);
    (ready ? subset.addresses : subset.notReadyAddresses).push(address);
  }
  const byAddress = (a: EndpointAddress, b: EndpointAddress): number => (a.ip === b.ip ? ((a.targetRef?.uid ?? '') < (b.targetRef?.uid ?? '') ? -1 : 1) : a.ip < b.ip ? -1 : 1);
  return [...byPorts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { addresses, notReadyAddresses, ports }]) => ({
    ...(addresses.length === 0 ? {} : { addresses: addresses.sort(byAddress) }),
    ...(notReadyAddresses.length === 0 ? {} : { notReadyAddresses: notReadyAddresses.sort(byAddress) }),
    ...(ports.length === 0 ? {} : { ports }),
  }));
}

/** Ready addresses are the last to be cut. */
function truncated(subsets: EndpointSubset[]): { subsets: EndpointSubset[]; isTruncated: boolean } {
  const total = subsets.reduce((sum, { addresses = [], notReadyAddresses = [] }) => sum + addresses.length + notReadyAddresses.length, 0);
  if (total <= MAX_ADDRESSES) return { subsets, isTruncated: false };
  let room = MAX_ADDRESSES;
  const take = <T>(items: readonly T[] | undefined): T[] => {
    const taken = (items ?? []).slice(0, room);
    room -= taken.length;
    return taken;
  };
  const ready = subsets.map(({ addresses }) => take(addresses));
  const cut = subsets.map((subset, position) => ({ ...subset, addresses: ready[position] ?? [], notReadyAddresses: take(subset.notReadyAddresses) }));
  return { subsets: cut.filter(({ addresses, notReadyAddresses }) => addresses.length + notReadyAddresses.length > 0), isTruncated: true };
}
