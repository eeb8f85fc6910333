// What a Corefile asks for: which zones on which port, answered by which plugins. Plugins run in CoreDNS's fixed order,
// whatever the order in the file: loadbalance and cache before kubernetes, forward last.
import { parseDurationMs } from '#lib/service/flags.ts';
import { CorefileError, parseCorefile, type Directive, type ServerBlock } from './corefile.ts';

export interface ServerConfig {
  /** Lower case, with the dot at the end; the root is `.`. */
  readonly zones: readonly string[];
  readonly port: number;
  readonly logsErrors: boolean;
  readonly logsQueries: boolean;
  readonly shuffles: boolean;
  readonly checksLoop: boolean;
  readonly kubernetes: KubernetesConfig | undefined;
  readonly cache: CacheConfig | undefined;
  readonly forward: readonly ForwardConfig[];
}
export interface KubernetesConfig {
  readonly zones: readonly string[];
  readonly ttlSeconds: number;
  readonly pods: 'disabled' | 'insecure';
  /** Zones for which a name that is not found goes on to the next plugin; `.` means all. */
  readonly fallthrough: readonly string[];
  readonly endpointPodNames: boolean;
}
export interface CacheConfig {
  readonly zones: readonly string[];
  readonly successSeconds: number;
  readonly denialSeconds: number;
  readonly disabledSuccess: readonly string[];
  readonly disabledDenial: readonly string[];
}
export interface ForwardConfig {
  readonly from: string;
  /** Addresses (`8.8.8.8`, `8.8.8.8:53`) or files like /etc/resolv.conf. */
  readonly to: readonly string[];
  readonly except: readonly string[];
  readonly policy: 'random' | 'round_robin' | 'sequential';
  /** 0: no limit. */
  readonly maxConcurrent: number;
  readonly preferUdp: boolean;
  readonly forceTcp: boolean;
}
export interface Configuration {
  readonly servers: readonly ServerConfig[];
  readonly health: { readonly address: string; readonly lameduckMs: number } | undefined;
  /** `:8181` */
  readonly ready: string | undefined;
  readonly prometheus: string | undefined;
  /** Time between looks at the file; milliseconds. */
  readonly reloadMs: number | undefined;
}

const KNOWN = new Set(['errors', 'log', 'health', 'ready', 'kubernetes', 'prometheus', 'forward', 'cache', 'loop', 'reload', 'loadbalance']);
const CACHE_SUCCESS_SECONDS = 3600;
const CACHE_DENIAL_SECONDS = 1800;

/** `cluster.local` => `cluster.local.` */
export function normalZone(zone: string): string {
  const lower = zone.toLowerCase();
  return lower.endsWith('.') ? lower : `${lower}.`;
}

/** Whether `name` (lower case, no dot at the end) is `zone` or below it. */
export function isInZone(name: string, zone: string): boolean {
  if (zone === '.') return true;
  const bare = zone.slice(0, -1);
  return name === bare || name.endsWith(`.${bare}`);
}

export interface ConfigurationOptions {
  readonly defaultPort?: number;
  /** For `{$NAME}`. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
}

/** Throws CorefileError naming the line and what is wrong there. */
export function configurationFrom(corefile: string, { defaultPort = 53, variables = {} }: ConfigurationOptions = {}): Configuration {
  const blocks = parseCorefile(corefile, variables);
  const all = blocks.flatMap(({ directives }) => directives);
  for (const directive of all) if (!KNOWN.has(directive.name)) throw problem(directive, `Unknown directive '${directive.name}'`);
  const one = (name: string): Directive | undefined => all.find((directive) => directive.name === name);
  const health = one('health');
  const reload = one('reload');
  return {
    servers: blocks.flatMap((block) => serversOf(block, defaultPort)),
    health: health && { address: health.args[0] ?? ':8080', lameduckMs: durationOf(health, option(health, 'lameduck')?.args[0], 0) },
    ready: one('ready') && (one('ready')?.args[0] ?? ':8181'),
    prometheus: one('prometheus') && (one('prometheus')?.args[0] ?? 'localhost:9153'),
    reloadMs: reload && durationOf(reload, reload.args[0], 30_000),
  };
}

function serversOf({ keys, directives }: ServerBlock, defaultPort: number): ServerConfig[] {
  const find = (name: string): Directive | undefined => directives.find((directive) => directive.name === name);
  const byPort = new Map<number, string[]>();
  for (const key of keys) {
    const [, zone = '', port] = /^(?:dns:\/\/)?(.*?)(?::(\d+))?$/.exec(key) ?? [];
    if (/^[a-z]+:\/\//.test(zone)) throw new CorefileError(`transport of ${key} is not offered: only plain DNS is`);
    const number = port === undefined ? defaultPort : Number(port);
    byPort.set(number, [...(byPort.get(number) ?? []), normalZone(zone === '' ? '.' : zone)]);
  }
  const kubernetes = find('kubernetes');
  const cache = find('cache');
  return [...byPort].map(([port, zones]) => ({
    zones, port,
    logsErrors: find('errors') !== undefined,
    logsQueries: find('log') !== undefined,
    shuffles: find('loadbalance') !== undefined,
    checksLoop: find('loop') !== undefined,
    kubernetes: kubernetes && kubernetesFrom(kubernetes, zones),
    cache: cache && cacheFrom(cache, zones),
    forward: directives.filter(({ name }) => name === 'forward').map(forwardFrom),
  }));
}

function kubernetesFrom(directive: Directive, serverZones: readonly string[]): KubernetesConfig {
  const supported = new Set(['pods', 'ttl', 'fallthrough', 'endpoint_pod_names']);
  for (const entry of directive.block) if (!supported.has(entry.name)) throw problem(entry, `unknown property '${entry.name}'`);
  const pods = option(directive, 'pods')?.args[0] ?? 'disabled';
  if (pods !== 'disabled' && pods !== 'insecure') throw problem(directive, `pods ${pods} is not offered: disabled and insecure are`);
  const fallthrough = option(directive, 'fallthrough');
  return {
    zones: directive.args.length > 0 ? directive.args.map(normalZone) : serverZones,
    ttlSeconds: numberOf(directive, option(directive, 'ttl')?.args[0], 5, 3600),
    pods,
    fallthrough: fallthrough === undefined ? [] : fallthrough.args.length === 0 ? ['.'] : fallthrough.args.map(normalZone),
    endpointPodNames: option(directive, 'endpoint_pod_names') !== undefined,
  };
}

function cacheFrom(directive: Directive, serverZones: readonly string[]): CacheConfig {
  const hasTtl = /^\d+$/.test(directive.args[0] ?? '');
  const ttl = hasTtl ? Number(directive.args[0]) : undefined;
  const zones = directive.args.slice(hasTtl ? 1 : 0).map(normalZone);
  const disabled = (what: string): string[] => directive.block
    .filter(({ name, args }) => name === 'disable' && args[0] === what)
    .flatMap(({ args }) => (args.length === 1 ? ['.'] : args.slice(1).map(normalZone)));
  return {
    zones: zones.length > 0 ? zones : serverZones,
    successSeconds: Math.min(ttl ?? CACHE_SUCCESS_SECONDS, CACHE_SUCCESS_SECONDS),
    denialSeconds: Math.min(ttl ?? CACHE_DENIAL_SECONDS, CACHE_DENIAL_SECONDS),
    disabledSuccess: disabled('success'),
    disabledDenial: disabled('denial'),
  };
}

function forwardFrom(directive: Directive): ForwardConfig {
  const [from, ...to] = directive.args;
  if (from === undefined || to.length === 0) throw problem(directive, 'Wrong argument count or unexpected line ending after \'forward\'');
  const policy = option(directive, 'policy')?.args[0] ?? 'random';
  if (policy !== 'random' && policy !== 'round_robin' && policy !== 'sequential') throw problem(directive, `unknown policy '${policy}'`);
  if (to.some((target) => target.startsWith('tls://'))) throw problem(directive, 'forwarding over TLS is not offered');
  return {
    from: normalZone(from), to,
    except: directive.block.filter(({ name }) => name === 'except').flatMap(({ args }) => args.map(normalZone)),
    policy,
    maxConcurrent: numberOf(directive, option(directive, 'max_concurrent')?.args[0], 0, 1_000_000),
    preferUdp: option(directive, 'prefer_udp') !== undefined,
    forceTcp: option(directive, 'force_tcp') !== undefined,
  };
}

const option = ({ block }: Directive, name: string): Directive | undefined => block.find((entry) => entry.name === name);

const problem = ({ line, name }: Directive, text: string): CorefileError => new CorefileError(`plugin/${name}: Corefile:${line} - Error during parsing: ${text}`);

function numberOf(directive: Directive, text: string | undefined, fallback: number, limit: number): number {
  if (text === undefined) return fallback;
  if (!/^\d+$/.test(text) || Number(text) > limit) throw problem(directive, `must be a number in range [0, ${limit}]: ${text}`);
  return Number(text);
}

function durationOf(directive: Directive, text: string | undefined, fallbackMs: number): number {
  if (text === undefined) return fallbackMs;
  try {
    return parseDurationMs(/^\d+$/.test(text) ? `${text}s` : text);
  } catch {
    throw problem(directive, `invalid duration ${text}`);
  }
}
