// Services and EndpointSlices reduced to what routing needs.
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import type { Service } from '#lib/kinds/types/core-v1.ts';
import { parseIpv4, parseIpv4Cidr } from '#lib/machinery/ipv4.ts';

export type Protocol = 'tcp' | 'udp' | 'sctp';

/** One port of one Service. */
export interface ServicePort {
  /** `namespace/name` of the Service. */
  readonly service: string;
  readonly portName: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly clusterIp: string;
  /** 0: none. */
  readonly nodePort: number;
  readonly externalIps: readonly string[];
  readonly loadBalancerIps: readonly string[];
  readonly sourceRanges: readonly string[];
  /** Seconds a client stays with its endpoint; undefined without session affinity. */
  readonly affinitySeconds: number | undefined;
  readonly isExternalLocal: boolean;
  readonly isInternalLocal: boolean;
  /** 0: none. */
  readonly healthCheckNodePort: number;
}

export interface Endpoint {
  readonly ip: string;
  readonly port: number;
  readonly isLocal: boolean;
  readonly isReady: boolean;
  readonly isServing: boolean;
  readonly isTerminating: boolean;
  /** Undefined: no hints of this sort. */
  readonly zoneHints: readonly string[] | undefined;
  readonly nodeHints: readonly string[] | undefined;
}

const PROXY_NAME_LABEL = 'service.kubernetes.io/service-proxy-name';
const HEADLESS_LABEL = 'service.kubernetes.io/headless';
const DEFAULT_AFFINITY_SECONDS = 10_800;

const protocolOf = (protocol: string | undefined): Protocol => (protocol ?? 'TCP').toLowerCase() as Protocol;
/** Also keeps anything out of the rules that is no address. */
const isIpv4 = (address: string): boolean => parseIpv4(address) !== undefined;

/** Whether this proxy has anything to do with the Service. */
export function isProxied({ metadata, spec }: Service): boolean {
  if (!spec || metadata.labels?.[PROXY_NAME_LABEL] !== undefined || spec.type === 'ExternalName') return false;
  return clusterIpOf(spec) !== undefined;
}

function clusterIpOf(spec: NonNullable<Service['spec']>): string | undefined {
  const addresses = spec.clusterIPs && spec.clusterIPs.length > 0 ? spec.clusterIPs : [spec.clusterIP ?? ''];
  return addresses.find(isIpv4);
}

export function servicePorts(service: Service): ServicePort[] {
  const { spec, status, metadata } = service;
  const clusterIp = spec && isProxied(service) ? clusterIpOf(spec) : undefined;
  if (!spec || clusterIp === undefined) return [];
  const isLoadBalancer = spec.type === 'LoadBalancer';
  return (spec.ports ?? []).map((port) => ({
    service: `${metadata.namespace ?? ''}/${metadata.name}`,
    portName: port.name ?? '',
    protocol: protocolOf(port.protocol),
    port: port.port,
    clusterIp,
    nodePort: port.nodePort ?? 0,
    externalIps: (spec.externalIPs ?? []).filter(isIpv4),
    loadBalancerIps: isLoadBalancer ? (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, ipMode }) => (ip !== undefined && isIpv4(ip) && ipMode !== 'Proxy' ? [ip] : [])) : [],
    sourceRanges: isLoadBalancer ? (spec.loadBalancerSourceRanges ?? []).map((range) => range.trim()).filter((range) => parseIpv4Cidr(range) !== undefined) : [],
    affinitySeconds: spec.sessionAffinity === 'ClientIP' ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS) : undefined,
    isExternalLocal: spec.externalTrafficPolicy === 'Local' && (spec.type === 'NodePort' || isLoadBalancer || (spec.externalIPs ?? []).length > 0),
    isInternalLocal: spec.internalTrafficPolicy === 'Local',
    healthCheckNodePort: isLoadBalancer && spec.externalTrafficPolicy === 'Local' ? (spec.healthCheckNodePort ?? 0) : 0,
  }));
}

/** Whether the slice is for this proxy: IPv4, of a Service that is not headless. */
export function isProxiedSlice({ addressType, metadata }: EndpointSlice): boolean {
  return addressType === 'IPv4' && metadata.labels?.[HEADLESS_LABEL] === undefined && metadata.labels?.[PROXY_NAME_LABEL] === undefined;
}

/** `namespace/name` of the Service that a slice belongs to. */
export function serviceOfSlice({ metadata }: EndpointSlice): string | undefined {
  const name = metadata.labels?.['kubernetes.io/service-name'];
  return name === undefined ? undefined : `${metadata.namespace ?? ''}/${name}`;
}

/** The endpoints of a Service by `protocol:portName`, in a stable order; one that stands in two slices counts once. */
export function endpointsByPort(slices: readonly EndpointSlice[], node: string): Map<string, Endpoint[]> {
  const byPort = new Map<string, Map<string, Endpoint>>();
  for (const slice of slices) {
    for (const { name, protocol, port } of slice.ports ?? []) {
      if (port === undefined || port === null) continue;
      const portKey = `${protocolOf(protocol)}:${name ?? ''}`;
      const known = byPort.get(portKey) ?? new Map<string, Endpoint>();
      byPort.set(portKey, known);
      for (const { addresses, conditions, nodeName, hints } of slice.endpoints ?? []) {
        const ip = addresses[0];
        if (ip === undefined || !isIpv4(ip)) continue;
        const isReady = conditions?.ready ?? true;
        const endpoint: Endpoint = {
          ip, port,
          isLocal: nodeName === node,
          isReady,
          isServing: conditions?.serving ?? isReady,
          isTerminating: conditions?.terminating ?? false,
          zoneHints: hints?.forZones && hints.forZones.length > 0 ? hints.forZones.map((zone) => zone.name) : undefined,
          nodeHints: hints?.forNodes && hints.forNodes.length > 0 ? hints.forNodes.map((hint) => hint.name) : undefined,
        };
        const key = `${ip}:${port}`;
        // While an endpoint moves between slices it may stand in both; the better one counts.
        const other = known.get(key);
        if (!other || (!other.isReady && endpoint.isReady)) known.set(key, endpoint);
      }
    }
  }
  return new Map([...byPort].map(([key, endpoints]) => [key, [...endpoints.values()].sort((a, b) => (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : a.port - b.port))]));
}
