// Wires the name server: the Corefile decides about ports and plugins, informers feed the names of the cluster. A changed
// Corefile takes effect without closing sockets that stay.
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connectToApiserver } from '#lib/api-client/client.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { loadInClusterConfig, loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { aborted } from '#lib/service/abort.ts';
import type { Flags } from '#lib/service/flags.ts';
import { newMetrics, startHealthServer } from '#lib/service/health-server.ts';
import { readinessRoute } from '#lib/service/readiness-route.ts';
import type { ClusterView } from './core/cluster-records.ts';
import { configurationFrom, type Configuration } from './core/configuration.ts';
import { CorefileError } from './core/corefile.ts';
import { InformerView } from './edge/cluster-view.ts';
import { DnsServer } from './edge/dns-server.ts';
import { LoopCheck } from './edge/loop-check.ts';
import { DnsMetrics } from './edge/metrics.ts';
import { Resolver } from './edge/resolver.ts';
import type { coreDnsFlags } from './flags.ts';

const VERSION = '1.14.2';
/** Below the 1 s that a probe waits. */
const READY_HOLD_MS = 800;

const NO_CLUSTER: ClusterView = {
  hasSynced: true, ownAddresses: [], hasNamespace: () => false, service: () => undefined, slicesOf: () => [], servicesByIp: () => [], slicesByIp: () => [],
};

export async function startCoreDns(
  flags: Flags<typeof coreDnsFlags>, variables: Readonly<Record<string, string | undefined>>, environment: Environment, signal: AbortSignal,
): Promise<void> {
  const { clock, random, log } = environment;
  const host = flags.emulatorBindAddress;
  const read = async (): Promise<{ text: string; configuration: Configuration }> => {
    const text = await readFile(flags.conf, 'utf8');
    return { text, configuration: configurationFrom(text, { defaultPort: flags['dns.port'], variables }) };
  };
  let { text, configuration } = await read();

  // Questions are answered during the lame duck time after the signal, so everything runs until that is over.
  const serving = new AbortController();
  setMaxListeners(0, serving.signal); // informers, servers and forwarders all wait for it
  const registry = newMetrics();
  const metrics = new DnsMetrics(registry, VERSION);
  const usesCluster = configuration.servers.some(({ kubernetes }) => kubernetes !== undefined);
  const api = usesCluster ? connectToApiserver(flags.kubeconfig === '' ? await loadInClusterConfig(variables) : await loadKubeconfig(flags.kubeconfig), 'coredns') : undefined;
  const view = api ? new InformerView(api, environment) : undefined;

  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  const loopCheck = new LoopCheck(random, (name) => fail(new Error(`Loop detected for zone ".", see https://coredns.io/plugins/loop#troubleshooting. Query: "HINFO ${name}."`)));
  const resolvers = new Map<number, Resolver>();
  const servers = new Map<number, DnsServer>();

  const apply = async (next: Configuration): Promise<void> => {
    const fresh = resolversOf(next, (configs) => new Resolver(configs, { view: view ?? NO_CLUSTER, metrics, environment }));
    for (const port of fresh.keys()) {
      if (servers.has(port)) continue;
      const server = new DnsServer({ host, port, resolver: () => resolvers.get(port) as Resolver, onQuestion: (question) => loopCheck.notice(question), metrics, log });
      resolvers.set(port, fresh.get(port) as Resolver);
      await server.listen();
      servers.set(port, server);
      log.info({ port: server.port, upstreams: resolvers.get(port)?.forwarders.flatMap(({ upstreams }) => upstreams) }, 'serving DNS');
    }
    for (const [port, resolver] of fresh) resolvers.set(port, resolver);
    for (const [port, server] of servers) {
      if (fresh.has(port)) continue;
      server.close();
      servers.delete(port);
    }
  };

  const reload = async (): Promise<void> => {
    while (!serving.signal.aborted && configuration.reloadMs !== undefined) {
      await clock.sleep(configuration.reloadMs * (0.75 + random.fraction() / 2), serving.signal).catch(() => undefined);
      if (serving.signal.aborted) return;
      try {
        const next = await read();
        if (next.text === text) continue;
        await apply(next.configuration);
        ({ text, configuration } = next);
        log.info('Reloading complete');
      } catch (error) {
        if (!(error instanceof CorefileError) && (error as NodeJS.ErrnoException).code === undefined) throw error;
        log.error({ err: error }, 'Corefile changed but reload failed, the old one stays in force');
      }
    }
  };

  const ok = (_: unknown, response: { writeHead(code: number): { end(text: string): void } }): void => response.writeHead(200).end('OK');
  const serve = (address: string | undefined, routes: Parameters<typeof startHealthServer>[0]['routes']): Promise<unknown> | undefined =>
    address === undefined ? undefined : startHealthServer({ ...hostPort(address, host), metrics: registry, routes: routes ?? {}, signal: serving.signal });

  const running = view?.run(serving.signal);
  await Promise.all([
    apply(configuration),
    serve(configuration.health?.address, { '/health': ok }),
    serve(configuration.ready, { '/ready': readinessRoute({ check: () => (view === undefined || view.hasSynced ? undefined : 'kubernetes'), holdMs: READY_HOLD_MS, ok: { code: 200, text: 'OK' } }) }),
    serve(configuration.prometheus, {}),
  ]);
  for (const [port, resolver] of resolvers) {
    const server = servers.get(port);
    const isLoopPossible = configuration.servers.some((config) => config.port === port && config.checksLoop) && resolver.forwarders.some(({ upstreams }) => upstreams.length > 0);
    if (server && isLoopPossible) loopCheck.start(host, server.port, serving.signal);
  }

  const lameDuck = async (): Promise<void> => {
    await aborted(signal);
    const lameduckMs = configuration.health?.lameduckMs ?? 0;
    if (lameduckMs > 0) {
      log.info({ milliseconds: lameduckMs }, 'Going into lameduck mode');
      await clock.sleep(lameduckMs);
    }
    serving.abort(signal.reason);
    for (const server of servers.values()) server.close();
  };
  await Promise.race([Promise.all([running, reload(), lameDuck()]), failed]);
  await api?.close();
}

function resolversOf({ servers }: Configuration, create: (configs: Configuration['servers']) => Resolver): Map<number, Resolver> {
  return new Map([...new Set(servers.map(({ port }) => port))].map((port) => [port, create(servers.filter((server) => server.port === port))]));
}

/** `:8080` listens where DNS does. */
function hostPort(address: string, host: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  const name = address.slice(0, at);
  return { host: name === '' ? host : name === 'localhost' ? '127.0.0.1' : name, port: Number(address.slice(at + 1)) };
}
