// Names written down in the Corefile or in a file like /etc/hosts. Source: CoreDNS plugin/hosts.
import { addressOfReverseName, isIpv4OrIpv6 } from './addresses.ts';
import { isInZone, type HostsConfig } from './configuration.ts';
import { failureReply, type DnsRecord, type Question, type Reply } from './message.ts';

export interface HostsLine {
  readonly address: string;
  readonly names: readonly string[];
}

/** Lines of an address and its names; `#` begins a comment, what is no address is left out. */
export function parseHosts(text: string): HostsLine[] {
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = (line.split('#')[0] ?? '').trim().split(/\s+/);
    return isIpv4OrIpv6(address) && names.length > 0 ? [{ address, names: names.map((name) => name.toLowerCase().replace(/\.$/, '')) }] : [];
  });
}

export class StaticHosts {
  readonly #config: HostsConfig;
  readonly #byName = new Map<string, string[]>();
  readonly #byAddress = new Map<string, string[]>();

  constructor(config: HostsConfig, fromFile: readonly HostsLine[]) {
    this.#config = config;
    for (const { address, names } of [...config.lines, ...fromFile]) {
      for (const name of names) {
        this.#byName.set(name, [...(this.#byName.get(name) ?? []), address]);
        if (config.reverse) this.#byAddress.set(address, [...(this.#byAddress.get(address) ?? []), name]);
      }
    }
  }

  /** Undefined: another plugin is to answer. */
  lookup({ name, type }: Question): Reply | undefined {
    const lower = name.toLowerCase();
    const { zones, fallthrough, ttlSeconds: ttl } = this.#config;
    const found = (answers: readonly DnsRecord[]): Reply => ({ ...failureReply('NOERROR'), isAuthoritative: true, answers });
    if (type === 'PTR') {
      const names = this.#byAddress.get(addressOfReverseName(lower) ?? '') ?? [];
      return names.length === 0 ? undefined : found(names.map((data) => ({ name, type, ttl, data })));
    }
    if (!zones.some((zone) => isInZone(lower, zone))) return undefined;
    const addresses = [...new Set(this.#byName.get(lower) ?? [])];
    if (addresses.length > 0) return found(addresses.filter((address) => (address.includes(':') ? 'AAAA' : 'A') === type).map((data) => ({ name, type, ttl, data })));
    return fallthrough.some((zone) => isInZone(lower, zone)) ? undefined : failureReply('SERVFAIL'); // a denial would need an SOA record
  }
}
