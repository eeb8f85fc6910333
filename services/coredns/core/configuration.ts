// What a Corefile asks for: which zones on which port, answered by which plugins. Plugins run in CoreDNS's fixed order,
// whatever the order in the file: loadbalance and cache, then rewrite and hosts, then kubernetes, forward last.
import { parseDurationMs } from '#lib/service/flags.ts';
import { isIpv4OrIpv6 } from './addresses.ts';
import type { RewriteRule } from './rewrite.ts';
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
  readonly rewrite: readonly RewriteRule[];
  readonly hosts: HostsConfig | undefined;
}
export interface HostsConfig {
  readonly zones: readonly string[];
  readonly file: string;
  readonly lines: readonly { readonly address: string; readonly names: readonly string[] }[];
  readonly ttlSeconds: number;
  readonly reverse: boolean;
  /** Time between looks at the file; milliseconds, 0: never again. */
  readonly reloadMs: number;
  readonly fallthrough: readonly string[];
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

const KNOWN = new Set(['errors', 'log', 'health', 'ready', 'kubernetes', 'prometheus', 'forward', 'cache', 'loop', 'reload', 'loadbalance', 'hosts', 'rewrite']);
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
  const hosts = find('hosts');
  return [...byPort].map(([port, zones]) => ({
    zones, port,
    logsErrors: find('errors') !== undefined,
    logsQueries: find('log') !== undefined,
    shuffles: find('loadbalance') !== undefined,
    checksLoop: find('loop') !== undefined,
    kubernetes: kubernetes && kubernetesFrom(kubernetes, zones),
    cache: cache && cacheFrom(cache, zones),
    forward: directives.filter(({ name }) => name === 'forward').map(forwardFrom),
    rewrite: directives.filter(({ name }) => name === 'rewrite').map(rewriteFrom),
    hosts: hosts && hostsFrom(hosts, zones),
  }));
}

function kubernetesFrom(directive: Directive, serverZones: readonly string[]): KubernetesConfig {
  const supported = new Set(['pods', 'ttl', 'fallthrough', 'endpoint_pod_names']);
  for (const entry of directive.block) if (!supported.has(entry.name)) throw problem(entry, `unknown property '${entry.name}'`);
  const pods = option(directive, 'pods')?.args[0] ?? 'disabled';
  if (pods !== 'disabled' && pods !== 'insecure') throw problem(directive, `pods ${pods} is not offered: disabled and insecure are`);
  return {
    zones: directive.args.length > 0 ? directive.args.map(normalZone) : serverZones,
    ttlSeconds: numberOf(directive, option(directive, 'ttl')?.args[0], 5, 3600),
    pods,
    fallthrough: fallthroughOf(directive),
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

function hostsFrom(directive: Directive, serverZones: readonly string[]): HostsConfig {
  const [file = '/etc/hosts', ...zones] = directive.args;
  const isLine = ({ name }: Directive): boolean => isIpv4OrIpv6(name);
  const supported = new Set(['ttl', 'no_reverse', 'reload', 'fallthrough']);
  for (const entry of directive.block) if (!isLine(entry) && !supported.has(entry.name)) throw problem(entry, `unknown property '${entry.name}'`);
  return {
    zones: zones.length > 0 ? zones.map(normalZone) : serverZones, file,
    lines: directive.block.filter(isLine).map(({ name, args }) => ({ address: name, names: args.map((arg) => normalZone(arg).slice(0, -1)) })),
    ttlSeconds: numberOf(directive, option(directive, 'ttl')?.args[0], 3600, 65_535),
    reverse: option(directive, 'no_reverse') === undefined,
    reloadMs: durationOf(directive, option(directive, 'reload')?.args[0], 5_000),
    fallthrough: fallthroughOf(directive),
  };
}

function fallthroughOf(directive: Directive): string[] {
  const found = option(directive, 'fallthrough');
  return found === undefined ? [] : found.args.length === 0 ? ['.'] : found.args.map(normalZone);
}

const MATCHES = ['exact', 'prefix', 'suffix', 'substring', 'regex'] as const;

/** `rewrite [continue|stop] name [MATCH] FROM TO [answer auto | answer name FROM TO]...`, or the same in a block. */
function rewriteFrom(directive: Directive): RewriteRule {
  const words = [...directive.args, ...directive.block.flatMap(({ name, args }) => [name, ...args])];
  const mode = words[0] === 'continue' || words[0] === 'stop' ? words.shift() : 'stop';
  const field = words.shift();
  if (field !== 'name') throw problem(directive, `rewriting of ${field ?? 'nothing'} is not offered: only name is`);
  const end = words.indexOf('answer');
  const rule = end < 0 ? words : words.slice(0, end);
  const match = rule.length === 2 ? 'exact' : MATCHES.find((known) => known === rule[0]);
  const [from, to] = rule.slice(-2);
  if (match === undefined || from === undefined || to === undefined || rule.length > 3) throw problem(directive, `a name rule supports only exact, prefix, suffix, substring, and regex name matching, received: ${rule.join(' ')}`);
  const answers: RewriteRule['answers'][number][] = [];
  let isReverted = match === 'exact';
  for (let at = end; at >= 0 && at < words.length;) {
    const [, kind, answerFrom, answerTo] = words.slice(at);
    if (words[at] !== 'answer') throw problem(directive, `unexpected ${words[at] ?? ''}`);
    if (kind === 'auto') {
      isReverted = true;
      at += 2;
    } else if ((kind === 'name' || kind === 'value') && answerFrom !== undefined && answerTo !== undefined) {
      answers.push({ of: kind, from: pattern(directive, answerFrom), to: answerTo });
      at += 4;
    } else throw problem(directive, `invalid answer rule: ${words.slice(at).join(' ')}`);
  }
  const isWhole = match === 'exact' || match === 'suffix';
  if (match === 'regex') pattern(directive, from);
  return { match, from: isWhole ? normalZone(from) : match === 'regex' ? from : from.toLowerCase(), to: isWhole ? normalZone(to) : to.toLowerCase(), goesOn: mode === 'continue', isReverted, answers };
}

function pattern(directive: Directive, text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw problem(directive, `invalid regex pattern: ${text}`);
  }
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
