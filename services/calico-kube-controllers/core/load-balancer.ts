// Addresses of Services of type LoadBalancer, out of the pools that are for them.
// Source: Calico kube-controllers pkg/controllers/loadbalancer (assignIPs: AllServices).
import type { IPPool } from '#lib/kinds/types/calico-v1.ts';
import type { Service } from '#lib/kinds/types/core-v1.ts';
import { cidrContains, formatIpv4, parseIpv4, parseIpv4Cidr, type Cidr } from '#lib/machinery/ipv4.ts';

export const LOAD_BALANCER_CLASS = 'calico';
/** Asks for certain addresses: a JSON list. */
const ADDRESSES_ANNOTATION = 'projectcalico.org/loadBalancerIPs';

export interface Assignment {
  readonly namespace: string;
  readonly name: string;
  /** undefined: the Service is to lose the address that it has. */
  readonly address: string | undefined;
}

export interface Plan {
  readonly assignments: readonly Assignment[];
  /** `namespace/name: why` of Services that have to wait. */
  readonly waiting: readonly string[];
}

/** The pools whose addresses are for load balancers alone. */
export function loadBalancerRanges(pools: readonly IPPool[]): Cidr[] {
  return pools.flatMap(({ spec }) => {
    const cidr = spec?.disabled !== true && spec?.allowedUses?.includes('LoadBalancer') === true ? parseIpv4Cidr(spec.cidr) : undefined;
    return cidr ? [cidr] : [];
  });
}

const isOurs = ({ spec }: Service): boolean => spec?.type === 'LoadBalancer' && (spec.loadBalancerClass === undefined || spec.loadBalancerClass === LOAD_BALANCER_CLASS);
const addressesOf = ({ status }: Service): string[] => (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip === undefined ? [] : [ip]));
const age = ({ metadata }: Service): string => `${metadata.creationTimestamp ?? ''} ${metadata.namespace ?? ''}/${metadata.name}`;

/** What has an address keeps it as long as it may; the older Service is served first. */
export function planAddresses(services: readonly Service[], pools: readonly IPPool[]): Plan {
  const ranges = loadBalancerRanges(pools);
  const inRange = (address: string): boolean => {
    const number = parseIpv4(address);
    return number !== undefined && ranges.some((range) => cidrContains(range, number));
  };
  const wanted = new Map(services.map((service) => [service, wantedAddress(service)]));
  const keeps = (service: Service): boolean => {
    const [address] = addressesOf(service);
    return isOurs(service) && service.metadata.deletionTimestamp === undefined && address !== undefined && inRange(address) && (wanted.get(service) ?? address) === address;
  };
  const taken = new Set(services.filter(keeps).flatMap(addressesOf));
  const assignments: Assignment[] = [];
  const waiting: string[] = [];
  for (const service of [...services].sort((a, b) => (age(a) < age(b) ? -1 : 1))) {
    if (keeps(service)) continue;
    const { namespace = '', name, deletionTimestamp } = service.metadata;
    const losesAddress = addressesOf(service).some(inRange);
    if (!isOurs(service) || deletionTimestamp !== undefined) {
      if (losesAddress) assignments.push({ namespace, name, address: undefined });
      continue;
    }
    const wish = wanted.get(service);
    const address = wish === undefined ? firstFree(ranges, taken) : inRange(wish) && !taken.has(wish) ? wish : undefined;
    if (address === undefined) {
      waiting.push(`${namespace}/${name}: ${wish === undefined ? 'no address is left' : `${wish} is ${taken.has(wish) ? 'taken' : 'in no pool for load balancers'}`}`);
      if (losesAddress) assignments.push({ namespace, name, address: undefined });
      continue;
    }
    taken.add(address);
    assignments.push({ namespace, name, address });
  }
  return { assignments, waiting };
}

function wantedAddress({ metadata, spec }: Service): string | undefined {
  const text = metadata.annotations?.[ADDRESSES_ANNOTATION];
  if (text !== undefined) {
    const found = /\d+(?:\.\d+){3}/.exec(text)?.[0];
    if (found !== undefined) return found;
  }
  return spec?.loadBalancerIP === undefined || spec.loadBalancerIP === '' ? undefined : spec.loadBalancerIP;
}

/** Not the first and the last address of a range, which are a network's own. */
function firstFree(ranges: readonly Cidr[], taken: ReadonlySet<string>): string | undefined {
  for (const { base, size } of ranges) {
    for (let address = base + (size > 2 ? 1 : 0); address < base + size - (size > 2 ? 1 : 0); address += 1) {
      const text = formatIpv4(address);
      if (!taken.has(text)) return text;
    }
  }
  return undefined;
}
