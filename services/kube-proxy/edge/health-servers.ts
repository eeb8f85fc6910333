// Health checks: of the proxy itself on one port, and of each Service that a load balancer asks about on its own.
import { createServer, type Server } from 'node:http';
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { listenUntilAborted } from '#lib/service/listen.ts';
import type { HostPort } from '../core/configuration.ts';
import type { LocalHealth } from '../core/service-table.ts';

export interface ProxyHealth {
  readonly lastUpdatedMs: number;
  /** Changes are written to the kernel in time. */
  readonly isHealthy: boolean;
  readonly isNodeEligible: boolean;
}

export interface HealthCounters {
  readonly healthz: (code: number) => void;
  readonly livez: (code: number) => void;
}

/** /healthz and /livez. Rejects when the address is taken. */
export async function serveProxyHealth(
  { host, port }: HostPort, { health, clock, counters, signal }: { health: () => ProxyHealth; clock: Clock; counters: HealthCounters; signal: AbortSignal },
): Promise<void> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0];
    if (path !== '/healthz' && path !== '/livez') return void response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found\n');
    const { lastUpdatedMs, isHealthy, isNodeEligible } = health();
    const code = isHealthy && (path === '/livez' || isNodeEligible) ? 200 : 503;
    counters[path === '/healthz' ? 'healthz' : 'livez'](code);
    response.writeHead(code, { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' }).end(JSON.stringify({
      lastUpdated: new Date(lastUpdatedMs).toISOString(), currentTime: new Date(clock.nowMs()).toISOString(),
      ...(path === '/healthz' ? { nodeEligible: isNodeEligible } : {}),
    }));
  });
  await listenUntilAborted(server, { host, port }, signal);
}

/** One server for each healthCheckNodePort, on all addresses. */
export class ServiceHealthServers {
  readonly #servers = new Map<string, { readonly port: number; readonly server: Server; state: LocalHealth }>();
  readonly #isProxyHealthy: () => boolean;
  readonly #log: Logger;

  constructor({ isProxyHealthy, log }: { isProxyHealthy: () => boolean; log: Logger }) {
    this.#isProxyHealthy = isProxyHealthy;
    this.#log = log;
  }

  sync(wanted: readonly LocalHealth[]): void {
    const names = new Map(wanted.map((entry) => [entry.service, entry]));
    for (const [service, { port, server }] of this.#servers) {
      if (names.get(service)?.port === port) continue;
      server.close();
      server.closeAllConnections();
      this.#servers.delete(service);
    }
    for (const state of wanted) {
      const known = this.#servers.get(state.service);
      if (known) known.state = state;
      else this.#open(state);
    }
  }

  close(): void {
    this.sync([]);
  }

  #open(state: LocalHealth): void {
    const { service, port } = state;
    const server = createServer((_request, response) => {
      const localEndpoints = this.#servers.get(service)?.state.localEndpoints ?? 0;
      const serviceProxyHealthy = this.#isProxyHealthy();
      const [namespace, name] = service.split('/');
      response.writeHead(localEndpoints > 0 && serviceProxyHealthy ? 200 : 503, {
        'content-type': 'application/json', 'x-content-type-options': 'nosniff', 'x-load-balancing-endpoint-weight': String(localEndpoints),
      }).end(JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy }));
    });
    server.once('error', (error) => {
      this.#log.error({ err: error, service, port }, 'cannot serve the health check of a service');
      this.#servers.delete(service); // the next sync tries again
    });
    server.listen(port);
    this.#servers.set(service, { port, server, state });
  }
}
