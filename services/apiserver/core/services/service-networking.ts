// What a Service gets from the server: cluster addresses, IP families, node ports; and what an update keeps of them.
// Source: pkg/registry/core/service/storage/{alloc,storage}.go, pkg/registry/core/service/strategy.go.
import type { Service, ServicePort, ServiceSpec } from '#lib/kinds/types/core-v1.ts';
import type { Random } from '#lib/environment/random.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { invalid, type FieldError } from '#lib/machinery/field-error.ts';
import { internalError, invalidObject } from '#lib/machinery/status-error.ts';
import { formatAddress, parseAddress, parseIpRange, type IpRange } from './ip-range.ts';
import { NumberPool } from './number-pool.ts';

const SERVICE = { group: '', kind: 'Service' } as const;

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** `30000-32767`. Throws for anything else. */
export function parsePortRange(text: string): PortRange {
  const [, first, last] = /^(\d+)-(\d+)$/.exec(text) ?? [];
  if (first === undefined || last === undefined || Number(first) > Number(last) || Number(last) > 65535) throw new Error(`invalid port range "${text}"`);
  return { first: Number(first), last: Number(last) };
}

/** Source: ipallocator.go, calculateRangeOffset: between 16 and 256, a sixteenth of the range. */
const staticAddresses = (size: number): number => (size < 16 ? 0 : Math.min(Math.max(16, Math.floor(size / 16)), 256));
/** Source: portallocator, calculateNodePortReserved: between 16 and 128, a 32nd of the range. */
const staticPorts = ({ first, last }: PortRange): number => {
  const size = last - first + 1;
  return size < 32 ? 0 : Math.min(Math.max(16, Math.floor(size / 32)), 128);
};

const needsClusterIp = ({ type }: ServiceSpec): boolean => type !== 'ExternalName';
const needsNodePort = ({ type }: ServiceSpec): boolean => type === 'NodePort' || type === 'LoadBalancer';
const needsHealthPort = ({ type, externalTrafficPolicy }: ServiceSpec): boolean => type === 'LoadBalancer' && externalTrafficPolicy === 'Local';
const wantsNodePorts = (spec: ServiceSpec): boolean => spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
const isHeadless = ({ clusterIP }: ServiceSpec): boolean => clusterIP === 'None';
const samePort = (left: ServicePort, right: ServicePort): boolean => left.port === right.port && (left.protocol ?? 'TCP') === (right.protocol ?? 'TCP');

/** Addresses and ports that a service holds. */
export interface Holdings {
  readonly addresses: readonly number[];
  readonly ports: readonly number[];
}

export function holdingsOf({ spec }: Readonly<Service>): Holdings {
  const addresses = (spec?.clusterIPs ?? (spec?.clusterIP ? [spec.clusterIP] : [])).map(parseAddress).filter((one) => one !== undefined);
  const ports = [...(spec?.ports ?? []).map(({ nodePort }) => nodePort ?? 0), spec?.healthCheckNodePort ?? 0].filter((one) => one > 0);
  return { addresses, ports: [...new Set(ports)] };
}

export class ServiceNetworking {
  readonly range: IpRange;
  readonly #portRange: PortRange;
  readonly #addresses: NumberPool;
  readonly #ports: NumberPool;

  constructor({ cidr, nodePorts, random }: { cidr: string; nodePorts: PortRange; random: Random }) {
    this.range = parseIpRange(cidr);
    this.#portRange = nodePorts;
    const { base, size } = this.range;
    this.#addresses = new NumberPool({ first: base + 1, last: base + size - 2, staticBand: staticAddresses(size), random });
    this.#ports = new NumberPool({ ...nodePorts, staticBand: staticPorts(nodePorts), random });
  }

  /** The address of the service `kubernetes`. */
  get firstAddress(): string {
    return formatAddress(this.range.base + 1);
  }
  hold({ addresses, ports }: Holdings): void {
    addresses.forEach((one) => this.#addresses.take(one));
    ports.forEach((one) => this.#ports.take(one));
  }
  release({ addresses, ports }: Holdings): void {
    addresses.forEach((one) => this.#addresses.release(one));
    ports.forEach((one) => this.#ports.release(one));
  }

  /** Nobody else holds any of them. */
  isExclusive({ addresses, ports }: Holdings): boolean {
    return addresses.every((one) => this.#addresses.holders(one) <= 1) && ports.every((one) => this.#ports.holders(one) <= 1);
  }

  /**
   * Completes `next` and holds what it needs beyond what `previous` has. Returns what was newly taken. With `dryRun`
   * nothing stays taken. Throws Invalid.
   */
  allocate(next: Service, previous: Readonly<Service> | undefined): Holdings {
    const { spec } = next;
    if (!spec) return { addresses: [], ports: [] };
    if (previous?.spec) keepAllocated(spec, previous.spec);
    setFamilies(spec, previous?.spec);
    const taken: { addresses: number[]; ports: number[] } = { addresses: [], ports: [] };
    const held = previous ? holdingsOf(previous) : { addresses: [], ports: [] };
    try {
      this.#allocateAddresses(next, held, taken);
      this.#allocatePorts(next, held, taken);
    } catch (error) {
      this.release(taken);
      throw error;
    }
    return taken;
  }

  #allocateAddresses({ metadata, spec = {} }: Service, held: Holdings, taken: { addresses: number[] }): void {
    if (!needsClusterIp(spec) || isHeadless(spec)) return;
    if (!spec.clusterIP) {
      const address = this.#addresses.next();
      if (address === undefined) throw internalError('failed to allocate a serviceIP: range is full');
      this.#addresses.take(address);
      taken.addresses.push(address);
      spec.clusterIP = formatAddress(address);
      spec.clusterIPs = [spec.clusterIP];
      return;
    }
    const wanted = spec.clusterIPs ?? [spec.clusterIP];
    for (const text of wanted) {
      const address = parseAddress(text);
      if (address === undefined || held.addresses.includes(address)) continue; // what is no address validation will say
      const refuse = (detail: string): Error =>
        invalidObject(SERVICE, metadata.name ?? '', [invalid('spec.clusterIPs', wanted, `failed to allocate IP ${text}: ${detail}`)]);
      if (!this.#addresses.contains(address)) throw refuse(`the provided IP (${text}) is not in the valid range. The range of valid IPs is ${this.range.cidr}`);
      if (this.#addresses.isUsed(address)) throw refuse('provided IP is already allocated');
      this.#addresses.take(address);
      taken.addresses.push(address);
    }
  }

  #allocatePorts({ metadata, spec = {} }: Service, held: Holdings, taken: { ports: number[] }): void {
    if (needsHealthPort(spec)) {
      spec.healthCheckNodePort = this.#takePort(metadata.name ?? '', spec.healthCheckNodePort ?? 0, 'spec.healthCheckNodePort', held, taken);
    }
    const ports = spec.ports ?? [];
    if (!needsNodePort(spec)) return;
    // what people ask for goes before what the server may choose
    ports.forEach((port, index) => {
      if (port.nodePort) this.#takePort(metadata.name ?? '', port.nodePort, `spec.ports[${index}].nodePort`, held, taken);
    });
    if (!wantsNodePorts(spec)) return;
    ports.forEach((port, index) => {
      if (port.nodePort) return;
      // one number for the same port over TCP and UDP
      const twin = ports.find((one) => one !== port && one.port === port.port && one.protocol !== port.protocol && one.nodePort);
      port.nodePort = twin?.nodePort ?? this.#takePort(metadata.name ?? '', 0, `spec.ports[${index}].nodePort`, held, taken);
    });
  }

  #takePort(name: string, wanted: number, field: string, held: Holdings, taken: { ports: number[] }): number {
    if (wanted !== 0) {
      if (held.ports.includes(wanted) || taken.ports.includes(wanted)) return wanted;
      const refuse = (detail: string): Error => invalidObject(SERVICE, name, [invalid(field, wanted, detail) satisfies FieldError]);
      if (!this.#ports.contains(wanted)) throw refuse(`provided port is not in the valid range. The range of valid ports is ${this.#portRange.first}-${this.#portRange.last}`);
      if (this.#ports.isUsed(wanted)) throw refuse('provided port is already allocated');
    }
    const port = wanted === 0 ? this.#ports.next() : wanted;
    if (port === undefined) throw internalError('failed to allocate a nodePort: range is full');
    this.#ports.take(port);
    taken.ports.push(port);
    return port;
  }
}

/** An update that does not mention what the server allocated keeps it; a change of type gives up what the new type has no use for. */
function keepAllocated(next: ServiceSpec, previous: ServiceSpec): void {
  if (needsClusterIp(next) && needsClusterIp(previous)) {
    if (!next.clusterIP) {
      next.clusterIP = previous.clusterIP;
      next.clusterIPs ??= previous.clusterIPs;
    } else if (!next.clusterIPs && next.clusterIP === previous.clusterIP) {
      next.clusterIPs = previous.clusterIPs;
    } else if (next.clusterIP !== previous.clusterIP && semanticEqual(next.clusterIPs, previous.clusterIPs)) {
      next.clusterIPs = [next.clusterIP]; // old clients know only the one address
    }
    next.ipFamilyPolicy ??= previous.ipFamilyPolicy;
    next.ipFamilies ??= previous.ipFamilies;
  } else if (!needsClusterIp(next) && needsClusterIp(previous)) {
    const isKept = next.clusterIP === previous.clusterIP;
    if (isKept) delete next.clusterIP;
    if (isKept) delete next.clusterIPs;
    for (const field of ['ipFamilies', 'ipFamilyPolicy', 'internalTrafficPolicy'] as const) delete next[field];
  }
  const ports = next.ports ?? [];
  if (needsNodePort(next) && needsNodePort(previous)) {
    const used = new Set(ports.map(({ nodePort }) => nodePort).filter(Boolean));
    for (const port of ports) {
      const old = port.nodePort ? undefined : (previous.ports ?? []).find((one) => samePort(one, port));
      if (!old?.nodePort || used.has(old.nodePort)) continue;
      port.nodePort = old.nodePort;
      used.add(old.nodePort);
    }
  } else if (!needsNodePort(next) && needsNodePort(previous)) {
    for (const port of ports) {
      const old = (previous.ports ?? []).find((one) => samePort(one, port));
      if (port.nodePort && port.nodePort === old?.nodePort) delete port.nodePort;
    }
    if (next.externalTrafficPolicy === previous.externalTrafficPolicy && (next.externalIPs ?? []).length === 0) delete next.externalTrafficPolicy;
  }
  if (needsHealthPort(next) && needsHealthPort(previous)) next.healthCheckNodePort ??= previous.healthCheckNodePort;
  if (!needsHealthPort(next) && next.healthCheckNodePort === previous.healthCheckNodePort) delete next.healthCheckNodePort;
  if (next.type !== 'LoadBalancer' && previous.type === 'LoadBalancer') {
    if (next.allocateLoadBalancerNodePorts === previous.allocateLoadBalancerNodePorts) delete next.allocateLoadBalancerNodePorts;
    if (next.loadBalancerClass === previous.loadBalancerClass) delete next.loadBalancerClass;
  }
}

/** This cluster speaks IPv4 only. */
function setFamilies(spec: ServiceSpec, previous: ServiceSpec | undefined): void {
  if (!needsClusterIp(spec)) return;
  if (spec.clusterIP && !spec.clusterIPs && !previous) spec.clusterIPs = [spec.clusterIP];
  if (spec.clusterIP && !spec.clusterIPs) spec.clusterIPs = [spec.clusterIP];
  const isSelectorlessHeadless = isHeadless(spec) && Object.keys(spec.selector ?? {}).length === 0;
  if (isSelectorlessHeadless) {
    spec.ipFamilyPolicy ??= 'RequireDualStack';
    spec.ipFamilies ??= spec.ipFamilyPolicy === 'SingleStack' ? ['IPv4'] : ['IPv4', 'IPv6'];
    return;
  }
  spec.ipFamilyPolicy ??= 'SingleStack';
  spec.ipFamilies ??= ['IPv4'];
}
