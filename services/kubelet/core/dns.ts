// The resolv.conf of a pod. Source: pkg/kubelet/network/dns/dns.go.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { usesHostNetwork } from './pod-spec.ts';

export interface DnsSettings {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

const MAX_SERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARACTERS = 2048;
const CLUSTER_OPTIONS: readonly string[] = ['ndots:5'];

export function parseResolvConf(text: string): DnsSettings {
  const servers: string[] = [];
  let searches: string[] = [];
  let options: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && values[0] !== undefined) servers.push(values[0]);
    if (keyword === 'search') searches = values.map((one) => (one === '.' ? one : one.replace(/\.$/, '')));
    if (keyword === 'options') options = values;
  }
  return { servers, searches, options };
}

export interface DnsInputs {
  readonly pod: Pod;
  readonly host: DnsSettings;
  readonly clusterDns: readonly string[];
  readonly clusterDomain: string;
}
export interface DnsResult extends DnsSettings {
  /** Texts for events: limits exceeded, no cluster DNS. */
  readonly warnings: readonly { readonly reason: 'DNSConfigForming' | 'MissingClusterDNS'; readonly message: string }[];
}

const unique = (items: readonly string[]): string[] => [...new Set(items)];

export function podDns({ pod, host, clusterDns, clusterDomain }: DnsInputs): DnsResult {
  const warnings: DnsResult['warnings'][number][] = [];
  const policy = pod.spec.dnsPolicy ?? 'ClusterFirst';
  const wantsCluster = policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && !usesHostNetwork(pod));
  let { servers, searches, options }: DnsSettings = { servers: [], searches: [], options: [] };
  if (wantsCluster && clusterDns.length > 0) {
    const namespace = pod.metadata.namespace ?? 'default';
    const cluster = clusterDomain === '' ? [] : [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
    ({ servers, searches, options } = { servers: clusterDns, searches: unique([...cluster, ...host.searches]), options: CLUSTER_OPTIONS });
  } else if (policy !== 'None') {
    if (wantsCluster) {
      warnings.push({ reason: 'MissingClusterDNS', message: 'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.' });
    }
    ({ servers, searches, options } = { servers: host.servers.length > 0 ? host.servers : ['127.0.0.1'], searches: host.searches, options: host.options });
  }
  const { nameservers = [], searches: moreSearches = [], options: moreOptions = [] } = pod.spec.dnsConfig ?? {};
  servers = unique([...servers, ...nameservers]);
  searches = unique([...searches, ...moreSearches]);
  const byName = new Map(options.map((option) => [option.split(':')[0] ?? option, option]));
  for (const { name = '', value } of moreOptions) byName.set(name, value === undefined || value === '' ? name : `${name}:${value}`);
  return { ...withinLimits({ servers, searches, options: [...byName.values()] }, warnings), warnings };
}

function withinLimits({ servers, searches, options }: DnsSettings, warnings: DnsResult['warnings'][number][]): DnsSettings {
  const keptServers = servers.slice(0, MAX_SERVERS);
  if (keptServers.length < servers.length) {
    warnings.push({ reason: 'DNSConfigForming', message: `Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${keptServers.join(' ')}` });
  }
  const keptSearches = searches.slice(0, MAX_SEARCHES);
  while (keptSearches.join(' ').length > MAX_SEARCH_CHARACTERS) keptSearches.pop();
  if (keptSearches.length < searches.length) {
    warnings.push({ reason: 'DNSConfigForming', message: `Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${keptSearches.join(' ')}` });
  }
  return { servers: keptServers, searches: keptSearches, options };
}
