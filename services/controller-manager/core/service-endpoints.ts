// Which pods stand behind a Service, under which ports. Shared by EndpointSlices and the older Endpoints.
// Source: k8s.io/endpointslice and pkg/controller/util/endpoint.
import type { Pod, Service, ServicePort } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { selectorFromMap } from '#lib/machinery/selectors.ts';
import { isReady, isTerminal } from './pod-state.ts';

export const HEADLESS_LABEL = 'service.kubernetes.io/headless';
export const LAST_CHANGE_TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';

/** Whether this controller fills in the Service: those without a selector are somebody else's. */
export const isSelecting = ({ spec }: Readonly<Service>): boolean => spec?.selector !== undefined && Object.keys(spec.selector).length > 0 && spec.type !== 'ExternalName';
export const isHeadless = ({ spec }: Readonly<Service>): boolean => spec?.clusterIP === undefined || spec.clusterIP === '' || spec.clusterIP === 'None';

export function selects(service: Readonly<Service>, pod: Readonly<Pod>): boolean {
  return isSelecting(service) && selectorFromMap(service.spec?.selector).matches(pod.metadata.labels);
}

export function podAddresses({ status }: Readonly<Pod>): string[] {
  const addresses = (status?.podIPs ?? []).map(({ ip }) => ip).filter((ip) => ip !== undefined && ip !== '');
  return addresses.length > 0 ? addresses : status?.podIP ? [status.podIP] : [];
}
export const isIpv6 = (address: string): boolean => address.includes(':');

/** Pods that have ended, or never got an address, are no endpoints. */
export const mayBeEndpoint = (pod: Readonly<Pod>): boolean => !isTerminal(pod) && podAddresses(pod).length > 0;

/** The pod's hostname, when its names live under this very Service. */
export function hostnameIn(service: Readonly<Service>, pod: Readonly<Pod>): string | undefined {
  return pod.spec.hostname && pod.spec.subdomain === service.metadata.name ? pod.spec.hostname : undefined;
}

/** The container port that a Service port means in this pod; undefined when the pod has none of that name. */
export function targetPortIn(pod: Readonly<Pod>, { targetPort, port, protocol = 'TCP' }: Readonly<ServicePort>): number | undefined {
  if (typeof targetPort === 'number' && targetPort !== 0) return targetPort;
  if (targetPort === undefined || targetPort === '' || targetPort === 0) return port;
  const sidecars = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  for (const { ports = [] } of [...pod.spec.containers, ...sidecars]) {
    for (const candidate of ports) if (candidate.name === targetPort && (candidate.protocol ?? 'TCP') === protocol) return candidate.containerPort;
  }
  return undefined;
}

/** Whether a change of a pod can change any endpoint. */
export function affectsEndpoints(next: Readonly<Pod>, previous: Readonly<Pod>): boolean {
  return next.metadata.deletionTimestamp !== previous.metadata.deletionTimestamp
    || isReady(next) !== isReady(previous)
    || isTerminal(next) !== isTerminal(previous)
    || next.spec.nodeName !== previous.spec.nodeName
    || next.spec.hostname !== previous.spec.hostname || next.spec.subdomain !== previous.spec.subdomain
    || !semanticEqual(podAddresses(next), podAddresses(previous))
    || !semanticEqual(next.metadata.labels, previous.metadata.labels);
}
