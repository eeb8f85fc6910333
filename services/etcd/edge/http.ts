// What etcd answers over plain HTTP, on the client port and on --listen-metrics-urls: /health /livez /readyz /version
// /metrics, and on the client port /debug/vars and the JSON gateway. Source: etcd v3.6, server/etcdserver/api/etcdhttp.
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { requestUrl } from '#lib/service/request-url.ts';
import type { Gateway } from './gateway.ts';
import type { EtcdMetrics } from './metrics.ts';
import { versionsJson } from './version.ts';

export interface HttpOptions {
  readonly registry: Registry;
  readonly metrics: EtcdMetrics;
  readonly alarms: () => readonly { readonly alarm: string }[];
  /** Where /v3/ is served. */
  readonly gateway?: Gateway;
  /** Rejects when the member cannot answer a read; a serializable one needs no other member. */
  readonly read: (isSerializable: boolean) => Promise<unknown>;
  readonly hasLeader: () => boolean;
  readonly clusterVersion: () => string;
  readonly isLearner: () => boolean;
  /** What /debug/vars shows, where it is served. */
  readonly debugVars?: () => string;
}

type Check = () => Promise<string | undefined>;

export function newHttpHandler({ registry, metrics, alarms, gateway, read, hasLeader, isLearner, clusterVersion, debugVars }: HttpOptions): RequestListener {
  const readable = (isSerializable: boolean): Check => () => read(isSerializable).then(() => undefined, (error: unknown) => (error instanceof Error ? error.message : String(error)));
  const votes: Check = () => Promise.resolve(isLearner() ? 'not supported for learner' : undefined);
  const intact: Check = () => Promise.resolve(alarms().some(({ alarm }) => alarm === 'CORRUPT') ? 'alarm activated: CORRUPT' : undefined);
  const checks: Readonly<Record<string, Readonly<Record<string, Check>>>> = {
    livez: { serializable_read: readable(true) },
    readyz: { data_corruption: intact, serializable_read: readable(true), linearizable_read: readable(false), non_learner: votes },
  };

  async function health(url: URL, response: ServerResponse): Promise<void> {
    const excluded = url.searchParams.getAll('exclude');
    const raised = alarms().find(({ alarm }) => !excluded.includes(alarm));
    const isSerializable = url.searchParams.get('serializable') === 'true';
    const reason = raised !== undefined ? `ALARM ${raised.alarm}` : !isSerializable && !hasLeader() ? 'RAFT NO LEADER' : await failureOf(isSerializable);
    metrics.countHealth(reason === '');
    response.writeHead(reason === '' ? 200 : 503, { 'content-type': 'text/plain; charset=utf-8' }).end(JSON.stringify({ health: String(reason === ''), reason }));
  }

  async function failureOf(isSerializable: boolean): Promise<string> {
    const failure = await readable(isSerializable)();
    return failure === undefined ? '' : `RANGE ERROR:${failure}`;
  }

  async function runChecks(chosen: Readonly<Record<string, Check>>, url: URL, response: ServerResponse): Promise<void> {
    const excluded = new Set(url.searchParams.getAll('exclude'));
    const lines = await Promise.all(Object.entries(chosen).filter(([name]) => !excluded.has(name)).map(async ([name, check]) => {
      const failure = await check();
      return { line: failure === undefined ? `[+]${name} ok\n` : `[-]${name} failed: ${failure}\n`, failed: failure !== undefined };
    }));
    const report = lines.map(({ line }) => line).join('');
    const failed = lines.some((result) => result.failed);
    const body = failed ? `${report}\n` : `${url.searchParams.has('verbose') ? report : ''}ok\n`;
    response.writeHead(failed ? 503 : 200, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }).end(body);
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = requestUrl(request.url);
    if (gateway !== undefined && url.pathname.startsWith('/v3/')) return gateway(request, response, url.pathname);
    if (debugVars !== undefined && url.pathname === '/debug/vars' && request.method === 'GET') return void response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(debugVars());
    const [, root = '', name, ...rest] = url.pathname.split('/');
    const group = checks[root];
    const chosen = name === undefined ? group : group?.[name] && { [name]: group[name] };
    if (!['health', 'version', 'metrics'].includes(root) && (!chosen || rest.length > 0)) {
      return void response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end('404 page not found\n');
    }
    if (request.method !== 'GET') {
      return void response.writeHead(405, { allow: 'GET', 'content-type': 'text/plain; charset=utf-8' }).end('Method Not Allowed\n');
    }
    if (chosen) return runChecks(chosen, url, response);
    if (root === 'health') return health(url, response);
    if (root === 'metrics') return void response.writeHead(200, { 'content-type': registry.contentType }).end(await metrics.scrape());
    response.writeHead(200, { 'content-type': 'application/json' })
      .end(versionsJson(clusterVersion()));
  }

  return (request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain; charset=utf-8' });
      response.end(error instanceof Error ? error.message : 'internal error');
    });
  };
}
