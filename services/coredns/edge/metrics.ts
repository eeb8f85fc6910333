// CoreDNS's metrics, under its names.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { RCODE_NUMBERS, type Rcode } from '../core/message.ts';

/** Types that get a label of their own; the rest is `other`, so that clients cannot make up series. */
const KNOWN_TYPES = new Set(['A', 'AAAA', 'ANY', 'CNAME', 'DNSKEY', 'DS', 'HTTPS', 'MX', 'NS', 'NSEC', 'PTR', 'RRSIG', 'SOA', 'SRV', 'TXT']);

export interface Observation {
  readonly server: string;
  readonly zone: string;
  readonly transport: 'udp' | 'tcp';
  readonly type: string;
  readonly plugin: string;
  readonly rcode: Rcode;
  readonly seconds: number;
  readonly responseBytes: number;
}

export class DnsMetrics {
  readonly #requests: Counter;
  readonly #responses: Counter;
  readonly #durations: Histogram;
  readonly #sizes: Histogram;
  readonly cacheHits: Counter;
  readonly cacheMisses: Counter;
  readonly forwarded: Counter;
  readonly panics: Counter;

  constructor(registry: Registry, version: string) {
    const registers = [registry];
    this.#requests = new Counter({ name: 'coredns_dns_requests_total', help: 'Counter of DNS requests made per zone, protocol and family.', labelNames: ['server', 'zone', 'view', 'proto', 'family', 'type'], registers });
    this.#responses = new Counter({ name: 'coredns_dns_responses_total', help: 'Counter of response status codes.', labelNames: ['server', 'zone', 'view', 'rcode', 'plugin'], registers });
    this.#durations = new Histogram({ name: 'coredns_dns_request_duration_seconds', help: 'Histogram of the time (in seconds) each request took per zone.', labelNames: ['server', 'zone', 'view'], buckets: Array.from({ length: 16 }, (_, power) => 0.00025 * 2 ** power), registers });
    this.#sizes = new Histogram({ name: 'coredns_dns_response_size_bytes', help: 'Size of the returned response in bytes.', labelNames: ['server', 'zone', 'view', 'proto'], buckets: [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3], registers });
    this.cacheHits = new Counter({ name: 'coredns_cache_hits_total', help: 'The count of cache hits.', labelNames: ['server', 'type', 'zones', 'view'], registers });
    this.cacheMisses = new Counter({ name: 'coredns_cache_misses_total', help: 'The count of cache misses.', labelNames: ['server', 'zones', 'view'], registers });
    this.forwarded = new Counter({ name: 'coredns_forward_responses_total', help: 'Counter of responses received from upstreams.', labelNames: ['rcode'], registers });
    this.panics = new Counter({ name: 'coredns_panics_total', help: 'A metrics that counts the number of panics.', registers });
    new Gauge({ name: 'coredns_build_info', help: 'A metric with a constant \'1\' value labeled by version.', labelNames: ['version'], registers }).set({ version }, 1);
  }

  observe({ server, zone, transport, type, plugin, rcode, seconds, responseBytes }: Observation): void {
    const common = { server, zone, view: '' };
    this.#requests.inc({ ...common, proto: transport, family: '1', type: KNOWN_TYPES.has(type) ? type : 'other' });
    this.#responses.inc({ ...common, rcode: rcode in RCODE_NUMBERS ? rcode : 'OTHER', plugin });
    this.#durations.observe(common, seconds);
    this.#sizes.observe({ ...common, proto: transport }, responseBytes);
  }
}
