// The small HTTP(S) server beside a component's work: /healthz, /livez, /readyz (each with ?verbose and /NAME) and
// /metrics, as k8s.io/apiserver's healthz package and component-base answer them.
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { listenUntilAborted } from './listen.ts';
import { requestUrl } from './request-url.ts';

export interface HealthCheck {
  readonly name: string;
  /** Returns nothing when healthy, else a short reason. */
  readonly check: () => string | undefined | Promise<string | undefined>;
}

export interface HealthServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** With a certificate the server speaks HTTPS. */
  readonly tls?: { readonly key: string; readonly cert: string; /** Clients are asked for a certificate; who they are is checked by `authorize` and the routes. */ readonly clientCaPem?: string };
  /** Checks of /healthz and /livez; `ping` is always there. */
  readonly live?: readonly HealthCheck[];
  /** Further checks of /readyz. */
  readonly ready?: readonly HealthCheck[];
  readonly metrics: Registry;
  /** Decides on everything but the health paths (delegated authorization); returns an HTTP status, 200 to go on. */
  readonly authorize?: (request: IncomingMessage) => Promise<number>;
  /** More paths, by exact path without query. */
  readonly routes?: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void | Promise<void>>>;
  /** Answers every path that nothing else here answers, instead of 404. */
  readonly otherwise?: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * How often the event loop's delay is sampled. Milliseconds. prom-client's default of 10 wakes every idle process a hundred
 * times a second, which is a tenth of a processor for the whole cluster.
 */
const LOOP_DELAY_SAMPLE_MS = 1000;

/** A metrics registry with the process metrics that every component exposes. */
export function newMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_DELAY_SAMPLE_MS });
  return registry;
}

const ping: HealthCheck = { name: 'ping', check: () => undefined };

async function answerHealth(checks: readonly HealthCheck[], path: string, url: URL, response: ServerResponse): Promise<void> {
  const [, endpoint = '', only] = path.split('/');
  const chosen = only === undefined ? checks : checks.filter(({ name }) => name === only);
  if (chosen.length === 0) return void response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found\n');
  const excluded = new Set(url.searchParams.getAll('exclude'));
  const results = await Promise.all(chosen.map(async ({ name, check }) =>
    excluded.has(name) ? { name, text: `[+]${name} excluded: ok`, failed: false }
      : Promise.resolve().then(check).catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
        .then((reason) => (reason === undefined ? { name, text: `[+]${name} ok`, failed: false } : { name, text: `[-]${name} failed: ${reason}`, failed: true }))));
  const failed = results.some((result) => result.failed);
  const verbose = failed || url.searchParams.has('verbose');
  const body = verbose ? `${results.map(({ text }) => text).join('\n')}\n${endpoint} check ${failed ? 'failed' : 'passed'}\n` : 'ok';
  response.writeHead(failed ? 500 : 200, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }).end(body);
}

/** Listens, and resolves with the port; the server closes when `signal` aborts. Rejects when the address is taken. */
export async function startHealthServer(options: HealthServerOptions): Promise<number> {
  const live = [ping, ...(options.live ?? [])];
  const ready = [...live, ...(options.ready ?? [])];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = requestUrl(request.url);
    const path = url.pathname;
    if (/^\/(healthz|livez)(\/|$)/.test(path)) return answerHealth(live, path, url, response);
    if (/^\/readyz(\/|$)/.test(path)) return answerHealth(ready, path, url, response);
    const status = (await options.authorize?.(request)) ?? 200;
    if (status !== 200) return void response.writeHead(status, { 'content-type': 'text/plain' }).end(status === 401 ? 'Unauthorized' : 'Forbidden');
    if (path === '/metrics') {
      return void response.writeHead(200, { 'content-type': options.metrics.contentType }).end(await options.metrics.metrics());
    }
    const route = options.routes?.[path];
    if (route) return route(request, response);
    if (options.otherwise) return options.otherwise(request, response);
    response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found\n');
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    handle(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(error instanceof Error ? error.message : 'internal error');
    });
  };
  const { key, cert, clientCaPem } = options.tls ?? {};
  const clientCertificates = clientCaPem === undefined ? {} : { ca: clientCaPem, requestCert: true, rejectUnauthorized: false };
  const server: Server = options.tls ? createHttpsServer({ key, cert, ...clientCertificates }, listener) : createHttpServer(listener);
  return listenUntilAborted(server, options, options.signal);
}
