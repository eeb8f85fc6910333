// All Services and their EndpointSlices as last seen, and the table content that follows from them. Rules of a Service are
// worked out again only when something about it changed.
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import type { Service } from '#lib/kinds/types/core-v1.ts';
import { chooseEndpoints, type NodePlace } from './endpoint-choice.ts';
import { endpointsByPort, isProxiedSlice, serviceOfSlice, servicePorts, type Endpoint, type ServicePort } from './service-port.ts';
import { servicePortRules, type RuleContext } from './service-rules.ts';
import { joinContent, type ServiceRules, type TableContent } from './table-content.ts';

interface Known {
  readonly service: Service;
  ports: readonly ServicePort[];
  rules: ServiceRules | undefined;
}

export interface LocalHealth {
  readonly service: string;
  readonly port: number;
  readonly localEndpoints: number;
}

/** Where connections to a UDP port may go: for spotting tracked flows that go elsewhere. */
export interface UdpFrontend {
  readonly addresses: readonly string[];
  readonly port: number;
  readonly nodePort: number;
  readonly endpointIps: ReadonlySet<string>;
}

export class ServiceTable {
  readonly #services = new Map<string, Known>();
  readonly #slices = new Map<string, Map<string, EndpointSlice>>();
  #context: RuleContext;
  #hasUdpChanges = false;

  constructor(context: RuleContext) {
    this.#context = context;
  }

  /** All rules follow from the node's place; returns whether it differs. */
  setPlace(place: NodePlace, nodeIps: readonly string[]): boolean {
    const { place: known, nodeIps: knownIps } = this.#context;
    if (known.node === place.node && known.zone === place.zone && knownIps.join() === nodeIps.join()) return false;
    this.#context = { ...this.#context, place, nodeIps };
    for (const entry of this.#services.values()) entry.rules = undefined;
    return true;
  }

  setService(service: Service): void {
    const key = `${service.metadata.namespace ?? ''}/${service.metadata.name}`;
    const ports = servicePorts(service);
    if (ports.length === 0) return this.deleteService(key);
    this.#services.set(key, { service, ports, rules: undefined });
    this.#hasUdpChanges ||= ports.some(({ protocol }) => protocol === 'udp');
  }

  deleteService(key: string): void {
    this.#services.delete(key);
  }

  setSlice(slice: EndpointSlice): void {
    const service = serviceOfSlice(slice);
    if (service === undefined || !isProxiedSlice(slice)) return this.deleteSlice(slice);
    const slices = this.#slices.get(service) ?? new Map<string, EndpointSlice>();
    this.#slices.set(service, slices.set(slice.metadata.name, slice));
    this.#touch(service);
  }

  deleteSlice(slice: EndpointSlice): void {
    const service = serviceOfSlice(slice);
    const slices = service === undefined ? undefined : this.#slices.get(service);
    if (service === undefined || !slices?.delete(slice.metadata.name)) return;
    if (slices.size === 0) this.#slices.delete(service);
    this.#touch(service);
  }

  #touch(service: string): void {
    const known = this.#services.get(service);
    if (!known) return;
    known.rules = undefined;
    this.#hasUdpChanges ||= known.ports.some(({ protocol }) => protocol === 'udp');
  }

  get serviceCount(): number {
    return this.#services.size;
  }

  content(): TableContent {
    const parts: ServiceRules[] = [];
    for (const [key, known] of this.#services) parts.push((known.rules ??= this.#rulesOf(key, known.ports)));
    return joinContent(parts);
  }

  #rulesOf(key: string, ports: readonly ServicePort[]): ServiceRules {
    const endpoints = this.#endpointsOf(key);
    const parts = ports.map((port) => servicePortRules(port, endpointsOfPort(endpoints, port), this.#context));
    return { chains: parts.flatMap(({ chains }) => chains), elements: parts.flatMap(({ elements }) => elements), affinitySets: parts.flatMap(({ affinitySets }) => affinitySets) };
  }

  #endpointsOf(key: string): Map<string, Endpoint[]> {
    return endpointsByPort([...(this.#slices.get(key)?.values() ?? [])], this.#context.place.node);
  }

  /** Ports that health checks of load balancers ask, with the endpoints on this node. */
  localHealth(): LocalHealth[] {
    const result: LocalHealth[] = [];
    for (const [key, { ports }] of this.#services) {
      const port = ports.find(({ healthCheckNodePort }) => healthCheckNodePort !== 0);
      if (!port) continue;
      const ips = new Set([...this.#endpointsOf(key).values()].flat().filter(({ isLocal, isReady }) => isLocal && isReady).map(({ ip }) => ip));
      result.push({ service: key, port: port.healthCheckNodePort, localEndpoints: ips.size });
    }
    return result;
  }

  /** Tells once whether a Service with UDP ports changed since it was asked last. */
  takeUdpChanges(): boolean {
    const hadChanges = this.#hasUdpChanges;
    this.#hasUdpChanges = false;
    return hadChanges;
  }

  udpFrontends(): UdpFrontend[] {
    const result: UdpFrontend[] = [];
    for (const [key, { ports }] of this.#services) {
      for (const port of ports) {
        if (port.protocol !== 'udp') continue;
        const endpoints = endpointsOfPort(this.#endpointsOf(key), port);
        const choice = chooseEndpoints(port, endpoints, this.#context.place);
        const serving = [...choice.cluster, ...choice.local, ...endpoints.filter(({ isServing }) => isServing)];
        if (serving.length === 0) continue;
        result.push({
          addresses: [port.clusterIp, ...port.externalIps, ...port.loadBalancerIps], port: port.port, nodePort: port.nodePort,
          endpointIps: new Set(serving.map(({ ip }) => ip)),
        });
      }
    }
    return result;
  }
}

const endpointsOfPort = (endpoints: ReadonlyMap<string, Endpoint[]>, { protocol, portName }: ServicePort): Endpoint[] => endpoints.get(`${protocol}:${portName}`) ?? [];
