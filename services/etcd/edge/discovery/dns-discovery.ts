// The members of a new cluster, as SRV records name them. Source: etcd v3.6, client/pkg/srv, embed.Config.GetDNSClusterNames.
import type { SrvRecord } from 'node:dns';
import type { Logger } from 'pino';

export interface DnsDiscoveryOptions {
  readonly domain: string;
  /** --discovery-srv-name; empty: none. */
  readonly serviceName: string;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly log: Logger;
  readonly resolveSrv: (name: string) => Promise<readonly SrvRecord[]>;
  /** IP addresses of a host. */
  readonly addressesOf: (host: string) => Promise<readonly string[]>;
}

export class DnsDiscoveryError extends Error {
  override readonly name = 'DnsDiscoveryError';
}

/** `name=url` of all members; those whose names are not known have numbers. Rejects with DnsDiscoveryError. */
export async function discoverByDns(options: DnsDiscoveryOptions): Promise<readonly string[]> {
  const { domain, serviceName, name, log } = options;
  const suffix = serviceName === '' ? '' : `-${serviceName}`;
  const found: string[] = [];
  const failures: string[] = [];
  for (const [scheme, service] of [['https', `etcd-server-ssl${suffix}`], ['http', `etcd-server${suffix}`]] as const) {
    try {
      const members = await membersOf(scheme, service, options);
      found.push(...members);
      log.info({ 'service-scheme': scheme, 'service-name': service, 'server-name': name, 'discovery-srv': domain, 'found-cluster': members }, `get cluster for ${service} SRV`);
    } catch (error) {
      failures.push((error as Error).message);
    }
  }
  if (found.length === 0) throw new DnsDiscoveryError(failures.join('\n'));
  if (!found.some((member) => member.startsWith(`${name}=`))) throw new DnsDiscoveryError(`cannot find local etcd member ${JSON.stringify(name)} in SRV records`);
  return found;
}

async function membersOf(scheme: string, service: string, { domain, name, peerUrls, resolveSrv, addressesOf }: DnsDiscoveryOptions): Promise<string[]> {
  const own = new Map<string, URL>();
  for (const text of peerUrls) {
    const url = new URL(text);
    for (const address of await addressesOf(url.hostname.replace(/^\[|\]$/g, ''))) own.set(`${address} ${portOf(url)}`, url);
  }
  let records: readonly SrvRecord[];
  try {
    records = await resolveSrv(`_${service}._tcp.${domain}`);
  } catch (error) {
    throw new DnsDiscoveryError(`error querying DNS SRV records for _${service} ${(error as Error).message}`);
  }
  let unnamed = 0;
  const members: string[] = [];
  for (const { name: target, port } of records) {
    const addresses = await addressesOf(target).catch((): readonly string[] => []);
    if (addresses.length === 0) continue; // it cannot be reached under that name; the others may
    const self = addresses.map((address) => own.get(`${address} ${port}`)).find((url) => url !== undefined);
    if (self !== undefined && self.protocol !== `${scheme}:`) continue; // its other record has the right scheme
    members.push(`${self === undefined ? String(unnamed++) : name}=${scheme}://${target.replace(/\.$/, '')}:${port}`);
  }
  return members;
}

const portOf = (url: URL): string => url.port || (url.protocol === 'https:' ? '443' : '80');
