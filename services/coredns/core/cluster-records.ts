// Names of Services and pods. Source: Kubernetes DNS specification 1.1.0 and CoreDNS's kubernetes plugin.
import type { Service } from '#lib/kinds/types/core-v1.ts';
import type { Endpoint, EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { parseIpv4 } from '#lib/machinery/ipv4.ts';
import { addressOfReverseName, isIpv6 } from './addresses.ts';
import { isInZone, type KubernetesConfig } from './configuration.ts';
import type { DnsRecord, Question, Reply } from './message.ts';

/** The objects that names follow from, as last seen. */
export interface ClusterView {
  readonly hasSynced: boolean;
  hasNamespace(name: string): boolean;
  service(namespace: string, name: string): Service | undefined;
  slicesOf(namespace: string, service: string): readonly EndpointSlice[];
  /** Services with this cluster IP. */
  servicesByIp(address: string): readonly Service[];
  /** Slices with an endpoint of this address. */
  slicesByIp(address: string): readonly EndpointSlice[];
  /** Addresses under which this name server itself is reached. */
  readonly ownAddresses: readonly string[];
}

/** `next`: another plugin is to answer. `alias`: the answer so far, to which the records of `target` belong. */
export type Lookup =
  | { readonly kind: 'next' }
  | { readonly kind: 'reply'; readonly reply: Reply }
  | { readonly kind: 'alias'; readonly record: DnsRecord; readonly target: string };

const DNS_VERSION = '1.1.0';
const SRV_PRIORITY = 0;
const SRV_TOTAL_WEIGHT = 100;
const SOA_TIMES = { refresh: 7200, retry: 1800, expire: 86_400 };

/** One address (and port) behind a name, with the name that this address alone has. */
interface Target {
  readonly address: string;
  readonly name: string;
  readonly port: number;
}

export class ClusterRecords {
  readonly #view: ClusterView;
  readonly #config: KubernetesConfig;
  readonly #zone: string;

  constructor(view: ClusterView, config: KubernetesConfig) {
    this.#view = view;
    this.#config = config;
    this.#zone = (config.zones.find((zone) => !zone.endsWith('.arpa.')) ?? 'cluster.local.').slice(0, -1);
  }

  /** `serial`: of the SOA record, seconds since the epoch. */
  lookup(question: Question, serial: number): Lookup {
    const name = question.name.toLowerCase();
    const zone = this.#config.zones.filter((candidate) => isInZone(name, candidate)).sort((a, b) => b.length - a.length)[0];
    if (zone === undefined) return { kind: 'next' };
    if (!this.#view.hasSynced) return { kind: 'reply', reply: { rcode: 'SERVFAIL', isAuthoritative: false, isRecursionAvailable: false, answers: [], authorities: [], additionals: [] } };
    const soa = this.#soa(zone, serial);
    const found = zone.endsWith('.arpa.') ? this.#reverse(name, zone, question, soa) : this.#forward(name, zone, question, soa);
    if (found === undefined) {
      if (this.#config.fallthrough.some((candidate) => isInZone(name, candidate))) return { kind: 'next' };
      return reply('NXDOMAIN', [], [soa]);
    }
    if ('kind' in found) return found;
    return found.answers.length === 0 ? reply('NOERROR', [], [soa]) : reply('NOERROR', found.answers, [], found.additionals);
  }

  #soa(zone: string, serial: number): DnsRecord {
    const bare = zone.slice(0, -1);
    return { name: bare, type: 'SOA', ttl: this.#config.ttlSeconds, data: { mname: `ns.dns.${bare}`, rname: `hostmaster.${bare}`, serial, ...SOA_TIMES, minimum: this.#config.ttlSeconds } };
  }

  #record(name: string, type: string, data: unknown): DnsRecord {
    return { name, type, ttl: this.#config.ttlSeconds, data };
  }

  /** Undefined: there is no such name. No answers: there is, but nothing of this type. */
  #forward(name: string, zone: string, question: Question, soa: DnsRecord): Found | Lookup | undefined {
    const bare = zone.slice(0, -1);
    const labels = name === bare ? [] : name.slice(0, -bare.length - 1).split('.');
    const { type } = question;
    if (labels.length === 0) return this.#apex(bare, question, soa);
    const joined = labels.join('.');
    if (joined === 'dns-version') return type === 'TXT' ? { answers: [this.#record(question.name, 'TXT', [DNS_VERSION])], additionals: [] } : NOTHING;
    if (joined === 'ns.dns') return this.#addressAnswer(question, this.#view.ownAddresses);
    if (joined === 'dns') return NOTHING;
    const sort = labels.pop();
    if (sort !== 'svc' && sort !== 'pod') return undefined;
    const namespace = labels.pop();
    if (namespace === undefined) return NOTHING;
    if (!this.#view.hasNamespace(namespace)) return undefined;
    const last = labels.pop();
    if (last === undefined) return NOTHING;
    return sort === 'pod' ? this.#pod(last, labels, question) : this.#service(last, namespace, labels, question);
  }

  #apex(bare: string, { name, type }: Question, soa: DnsRecord): Found {
    if (type === 'SOA') return { answers: [soa], additionals: [] };
    if (type !== 'NS') return NOTHING;
    return { answers: [this.#record(name, 'NS', `ns.dns.${bare}`)], additionals: this.#addresses(`ns.dns.${bare}`, this.#view.ownAddresses) };
  }

  #pod(dashed: string, rest: readonly string[], question: Question): Found | undefined {
    if (this.#config.pods === 'disabled' || rest.length > 0) return undefined;
    const ipv4 = dashed.replaceAll('-', '.');
    if (parseIpv4(ipv4) !== undefined) return this.#addressAnswer(question, [ipv4]);
    const ipv6 = dashed.replaceAll('-', ':');
    return isIpv6(ipv6) ? this.#addressAnswer(question, [ipv6]) : undefined;
  }

  #service(name: string, namespace: string, rest: readonly string[], question: Question): Found | Lookup | undefined {
    const service = this.#view.service(namespace, name);
    if (!service?.spec || rest.length > 2) return undefined;
    const { spec } = service;
    if (spec.type === 'ExternalName') {
      const target = (spec.externalName ?? '').replace(/\.$/, '');
      if (rest.length > 0 || target === '') return undefined;
      const record = this.#record(question.name, 'CNAME', target);
      return question.type === 'CNAME' ? { answers: [record], additionals: [] } : { kind: 'alias', record, target };
    }
    const endpoint = rest.length === 1 ? rest[0] : undefined;
    const [port, protocol] = rest.length === 2 ? rest.map((label) => label.replace(/^_/, '')) : [undefined, undefined];
    const serviceName = `${name}.${namespace}.svc.${this.#zone}`;
    const isHeadless = clusterIps(service).length === 0;
    if (!isHeadless && endpoint === undefined) {
      const ports = (spec.ports ?? []).filter((candidate) => port === undefined || (candidate.name === port && (candidate.protocol ?? 'TCP').toLowerCase() === protocol));
      if (ports.length === 0 && port !== undefined) return undefined;
      if (question.type !== 'SRV') return this.#addressAnswer(question, clusterIps(service));
      return this.#serviceRecords(question, ports.map(({ port: number }) => ({ address: '', name: serviceName, port: number })), this.#addresses(serviceName, clusterIps(service)));
    }
    const targets = this.#endpoints(namespace, name, serviceName, { endpoint, port, protocol });
    if (targets.length === 0) return undefined;
    if (question.type !== 'SRV') return this.#addressAnswer(question, [...new Set(targets.map(({ address }) => address))]);
    const glue = new Map(targets.map(({ address, name: target }) => [`${target} ${address}`, this.#addresses(target, [address])]));
    return this.#serviceRecords(question, targets, [...glue.values()].flat());
  }

  #endpoints(namespace: string, service: string, serviceName: string, wanted: { endpoint: string | undefined; port: string | undefined; protocol: string | undefined }): Target[] {
    const targets = new Map<string, Target>();
    for (const slice of this.#view.slicesOf(namespace, service)) {
      // A headless service without ports still has addresses.
      const ports = slice.ports && slice.ports.length > 0 ? slice.ports : wanted.port === undefined ? [{ name: '', port: 0, protocol: 'TCP' }] : [];
      for (const endpoint of slice.endpoints ?? []) {
        if (endpoint.conditions?.ready === false) continue;
        for (const address of endpoint.addresses) {
          const host = this.#endpointName(endpoint, address);
          if (wanted.endpoint !== undefined && host !== wanted.endpoint) continue;
          for (const { name, port, protocol } of ports) {
            if (wanted.port !== undefined && (name !== wanted.port || (protocol ?? 'TCP').toLowerCase() !== wanted.protocol)) continue;
            targets.set(`${address} ${port ?? 0}`, { address, name: `${host}.${serviceName}`, port: port ?? 0 });
          }
        }
      }
    }
    return [...targets.values()];
  }

  #endpointName({ hostname, targetRef }: Endpoint, address: string): string {
    if (hostname !== undefined && hostname !== '') return hostname;
    if (this.#config.endpointPodNames && targetRef?.name !== undefined && targetRef.name.length <= 63) return targetRef.name;
    return address.replaceAll(/[.:]/g, '-');
  }

  #serviceRecords({ name }: Question, targets: readonly Target[], additionals: readonly DnsRecord[]): Found {
    const weight = Math.max(1, Math.floor(SRV_TOTAL_WEIGHT / Math.max(1, targets.length)));
    return { answers: targets.map(({ name: target, port }) => this.#record(name, 'SRV', { priority: SRV_PRIORITY, weight, port, target })), additionals };
  }

  #addressAnswer({ name, type }: Question, addresses: readonly string[]): Found {
    return type === 'A' || type === 'AAAA' ? { answers: this.#addresses(name, addresses).filter((record) => record.type === type), additionals: [] } : NOTHING;
  }

  #addresses(name: string, addresses: readonly string[]): DnsRecord[] {
    return addresses.map((address) => this.#record(name, address.includes(':') ? 'AAAA' : 'A', address));
  }

  /** The Service that has the address, or else everything that has an endpoint of it. Source: plugin/kubernetes reverse.go. */
  #reverse(name: string, zone: string, question: Question, soa: DnsRecord): Found | undefined {
    const bare = zone.slice(0, -1);
    if (name === bare) return this.#apex(bare, question, soa);
    const address = addressOfReverseName(name);
    if (address === undefined) return undefined;
    const [service] = this.#view.servicesByIp(address);
    const names = service ? [`${service.metadata.name}.${service.metadata.namespace ?? ''}.svc.${this.#zone}`]
      : this.#view.slicesByIp(address).flatMap((slice) => this.#endpointNamesOf(slice, address));
    if (names.length === 0) return undefined;
    return question.type === 'PTR' ? { answers: [...new Set(names)].map((target) => this.#record(question.name, 'PTR', target)), additionals: [] } : NOTHING;
  }

  #endpointNamesOf({ metadata, endpoints }: EndpointSlice, address: string): string[] {
    const service = metadata.labels?.['kubernetes.io/service-name'];
    const namespace = metadata.namespace ?? '';
    if (service === undefined) return [];
    return (endpoints ?? []).filter(({ addresses, conditions }) => addresses.includes(address) && conditions?.ready !== false)
      .map((endpoint) => `${this.#endpointName(endpoint, address)}.${service}.${namespace}.svc.${this.#zone}`);
  }
}

interface Found {
  readonly answers: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}
const NOTHING: Found = { answers: [], additionals: [] };

function reply(rcode: 'NOERROR' | 'NXDOMAIN', answers: readonly DnsRecord[], authorities: readonly DnsRecord[], additionals: readonly DnsRecord[] = []): Lookup {
  return { kind: 'reply', reply: { rcode, isAuthoritative: true, isRecursionAvailable: false, answers, authorities, additionals } };
}

export function clusterIps({ spec }: Service): string[] {
  const all = spec?.clusterIPs && spec.clusterIPs.length > 0 ? spec.clusterIPs : [spec?.clusterIP ?? ''];
  return all.filter((address) => address !== '' && address !== 'None');
}
