// The HTTP side of the API server as a fastify app: who asks, whether he may, how much at once; then the routes.
// Build it with fakes and `inject` requests in tests; service.ts gives it TLS and a port.
import { randomUUID } from 'node:crypto';
import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Http2ServerRequest, SecureServerOptions } from 'node:http2';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Clock } from '#lib/environment/clock.ts';
import { failure, forbidden, methodNotAllowed, resourceNotServed, StatusError, unauthorized } from '#lib/machinery/status-error.ts';
import type { Aggregator } from '../aggregation/aggregator.ts';
import type { AuthenticationRequest, Authenticator, Authorizer, Impersonator, User } from '../core/access.ts';
import { describeApi, type DiscoveryDocuments } from '../core/discovery.ts';
import { parseRequestInfo, type RequestInfo } from '../core/request-info.ts';
import { asStatusError, RequestTimeoutError, sendPlainObject } from './answer.ts';
import { MAX_BODY_BYTES, unsupportedMediaType } from './body.ts';
import { compressAnswers } from './compression.ts';
import { discoveryRoutes, groupDocument } from './discovery-routes.ts';
import { healthRoutes, type HealthEndpoints } from './health-routes.ts';
import { auditAnswers, type Auditor } from './audit/auditor.ts';
import type { ApiFaultControl } from './faults/control.ts';
import { misbehaveOnDemand } from './faults/misbehave.ts';
import { createHttpServer } from './http-server.ts';
import type { ApiserverMetrics } from './metrics.ts';
import { negotiate } from './negotiation.ts';
import { bodyTooLarge, isLongRunning, pendingUpgrade, setPendingUpgrade, type ApiCall } from './pipeline.ts';
import { ResourceRoutes, type ResourceServices } from './resource-routes.ts';
import { startRequestSpan, withSpan } from './spans.ts';

export interface ApiserverDependencies extends ResourceServices {
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly impersonator?: Impersonator;
  readonly health: HealthEndpoints;
  readonly metrics: ApiserverMetrics;
  readonly metricsRegistry: Registry;
  readonly log: Logger;
  readonly clock: Clock;
  /** `host:port` that discovery names. */
  readonly serverAddress: string;
  readonly maxRequestsInflight: number;
  readonly maxMutatingRequestsInflight: number;
  readonly requestTimeoutMs: number;
  /** Groups that other servers answer for. */
  readonly aggregator?: Aggregator;
  /** Given with the flag that lets this server misbehave on demand. */
  readonly apiFaultControl?: ApiFaultControl;
  /** Given with an audit policy and a log. */
  readonly auditor?: Auditor;
  /** Without it the app speaks plain HTTP (tests). */
  readonly tls?: SecureServerOptions;
}

const MUTATING: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
/** Answered whatever the state of things: never counted against the limits. */
const ALWAYS_ADMITTED = /^\/(healthz|livez|readyz)(\/|$)/;
/** Made once: an abort without a reason would make an exception with a stack for every request. */
const ENDED = new Error('the request has ended');
const NO_CALL = undefined as unknown as ApiCall;

export function buildApiserverApp(dependencies: ApiserverDependencies): FastifyInstance {
  const { log, tls, extensions } = dependencies;
  let stopping = false;
  const app = fastify({
    bodyLimit: MAX_BODY_BYTES, requestTimeout: 0, forceCloseConnections: true, exposeHeadRoutes: false,
    routerOptions: { ignoreTrailingSlash: false, maxParamLength: 2048 },
    clientErrorHandler: refuseGarbage,
    frameworkErrors: (_error, _request, reply) => void (reply as FastifyReply).code(400).type('text/plain; charset=utf-8').send('400 Bad Request'), // a URL that cannot be decoded
    serverFactory: (handler) => {
      const server = createHttpServer(tls, handler);
      server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
        // through the same hooks as every request; whoever takes the connection over finds it here
        socket.on('error', () => socket.destroy());
        setPendingUpgrade(request, { socket, head });
        const response = new ServerResponse(request);
        response.assignSocket(socket);
        response.shouldKeepAlive = false;
        response.on('finish', () => socket.end());
        handler(request, response);
      });
      return server;
    },
  });
  const routes = new ResourceRoutes(dependencies);
  app.decorateRequest('api', NO_CALL);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request, payload, done) => {
    if (routes.connectHandler(request.api) || dependencies.aggregator?.serves(request.api.info.path)) return done(null, undefined); // reads it by itself
    readBody(payload as IncomingMessage, request).then((bytes) => done(null, bytes), (error: unknown) => done(error as Error));
  });

  const inflight = { readOnly: 0, mutating: 0 };
  app.addHook('onRequest', async (request, reply) => {
    const raw = request.raw;
    const url = raw.url ?? '/';
    const at = url.indexOf('?');
    const path = at < 0 ? url : url.slice(0, at);
    const query = new URLSearchParams(at < 0 ? '' : url.slice(at + 1));
    const info = parseRequestInfo(request.method, path, query);
    const abort = new AbortController();
    request.api = { info, query, startMs: performance.now(), isLongRunning: isLongRunning(info), user: { name: '', groups: [] }, abort, warnings: [], auditId: String(request.headers['audit-id'] ?? randomUUID()), span: startRequestSpan(request, reply, info) };
    void reply.header('audit-id', request.api.auditId).header('cache-control', 'no-cache, private');
    watchForEnd(request, reply, dependencies);
    if (stopping && raw.httpVersionMajor < 2) void reply.header('connection', 'close');

    const authentication = authenticationRequest(raw);
    if (dependencies.apiFaultControl?.serves(path)) return dependencies.apiFaultControl.admit(authentication);
    const user = await dependencies.authenticator.authenticate(authentication);
    if (!user) throw unauthorized();
    request.api.user = dependencies.impersonator ? await dependencies.impersonator.impersonate(user, authentication) : user;
    dependencies.auditor?.begin(request, user);
    await authorize(dependencies.authorizer, request.api.user, info, query);

    if (request.api.isLongRunning || ALWAYS_ADMITTED.test(path)) return;
    const slot = MUTATING.has(request.method) ? 'mutating' : 'readOnly';
    const limit = slot === 'mutating' ? dependencies.maxMutatingRequestsInflight : dependencies.maxRequestsInflight;
    if (limit > 0 && inflight[slot] >= limit) {
      return reply.code(429).header('retry-after', '1').type('text/plain; charset=utf-8').send('Too many requests, please try again later.\n');
    }
    inflight[slot] += 1;
    dependencies.metrics.inflight.set({ request_kind: slot }, inflight[slot]);
    reply.raw.once('close', () => {
      inflight[slot] -= 1;
      dependencies.metrics.inflight.set({ request_kind: slot }, inflight[slot]);
    });
    return undefined;
  });
  if (dependencies.auditor) auditAnswers(app);
  if (dependencies.apiFaults) misbehaveOnDemand(app, dependencies.apiFaults, dependencies.clock);
  app.addHook('onSend', (request, reply, payload, done) => {
    if (request.api && request.api.warnings.length > 0) {
      void reply.header('warning', request.api.warnings.map((text) => `299 - "${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replace(/[\r\n]+/g, ' ')}"`));
    }
    done(null, payload);
  });
  compressAnswers(app);
  app.addHook('preClose', async () => {
    stopping = true;
  });

  app.setErrorHandler((error: Error, request, reply) => {
    const { code } = error as { code?: string };
    const status = code === 'FST_ERR_CTP_BODY_TOO_LARGE' ? bodyTooLarge(MAX_BODY_BYTES)
      : code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' ? unsupportedMediaType()
        : code === 'FST_ERR_NOT_FOUND' ? methodNotAllowed() : asStatusError(error); // HTTP/2 lets methods through that nobody knows
    if (status.code >= 500 && !(error instanceof StatusError)) log.error({ err: error, method: request.method, url: request.url }, 'request failed');
    return sendStatus(request, reply, status);
  });
  app.setNotFoundHandler((request, reply) => {
    const { info } = request.api;
    if (info.isResourceRequest && routes.servesGroupVersion(info.apiGroup, info.apiVersion)) return sendStatus(request, reply, resourceNotServed());
    return reply.code(404).type('text/plain; charset=utf-8').send('404 page not found\n');
  });

  let documents: DiscoveryDocuments | undefined;
  const forgetDocuments = (): void => {
    documents = undefined;
  };
  dependencies.aggregator?.onChange(forgetDocuments);
  dependencies.customResources?.onChange(forgetDocuments);
  const kindsNow = () => [...dependencies.kinds, ...(dependencies.customResources?.kinds() ?? [])];
  const discovery = (): DiscoveryDocuments => (documents ??= describeApi(kindsNow(), dependencies.serverAddress, dependencies.aggregator?.remoteGroupVersions()));

  const resources = (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const { info, isLongRunning: unlimited, abort } = request.api;
    const remote = dependencies.aggregator?.serves(info.path);
    if (remote && dependencies.aggregator) return dependencies.aggregator.proxy(remote, request, reply);
    if (!info.isResourceRequest && request.method === 'GET') {
      const document = groupDocument(info.path, discovery());
      if (document !== undefined) return Promise.resolve(sendPlainObject(reply, 200, document, negotiate(request.headers.accept).format));
    }
    if (!info.isResourceRequest || !routes.servesGroupVersion(info.apiGroup, info.apiVersion)) return Promise.resolve(reply.callNotFound());
    const work = withSpan(request.api.span, () => routes.handle(request, reply));
    return unlimited ? work : withTimeout(work, dependencies.requestTimeoutMs, abort);
  };
  app.all('/api/*', resources);
  app.all('/apis/*', resources);
  discoveryRoutes(app, { documents: discovery }, [
    '/healthz', '/livez', '/readyz', '/metrics', ...['healthz', 'livez', 'readyz'].flatMap((endpoint) =>
      dependencies.health[endpoint as keyof HealthEndpoints].map(({ name }) => `/${endpoint}/${name}`)),
    ...extensions.flatMap(({ paths = [] }) => paths),
  ]);
  healthRoutes(app, dependencies.health, (endpoint, failed) => log.warn({ endpoint, failed: failed.map(({ name, reason }) => `${name}: ${reason ?? ''}`) }, 'health check failed'));
  app.get('/metrics', async (_request, reply) => reply.type(dependencies.metricsRegistry.contentType).send(await dependencies.metricsRegistry.metrics()));
  for (const { routes: register } of extensions) register?.(app);
  dependencies.apiFaultControl?.register(app);
  return app;
}

/** What is no HTTP is answered as Go's server does, and cut off. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : '400 Bad Request';
  if (socket.writable) socket.write(`HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${status}`);
  socket.destroy();
}

async function authorize(authorizer: Authorizer, user: User, info: RequestInfo, query: URLSearchParams): Promise<void> {
  const { verb, isResourceRequest, apiGroup, apiVersion, resource, subresource, namespace, name, path } = info;
  const fieldSelector = query.get('fieldSelector');
  const decision = await authorizer.authorize({
    user, verb, isResourceRequest, apiGroup, apiVersion, resource, subresource, namespace, name, path, ...(fieldSelector === null ? {} : { fieldSelector }),
  });
  if (decision.allowed) return;
  const reason = decision.reason === '' ? '' : `: ${decision.reason}`;
  if (!isResourceRequest) throw failure(403, 'Forbidden', `forbidden: User "${user.name}" cannot ${verb} path "${path}"${reason}`, {});
  const what = `User "${user.name}" cannot ${verb} resource "${subresource === '' ? resource : `${resource}/${subresource}`}" in API group "${apiGroup}"`;
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  throw forbidden({ group: apiGroup, plural: resource }, name, `${what} ${where}${reason}`);
}

function sendStatus(request: FastifyRequest, reply: FastifyReply, { status, code }: StatusError): FastifyReply {
  request.api?.audit?.failed(status);
  const retryAfter = status.details?.retryAfterSeconds;
  if (retryAfter !== undefined && retryAfter > 0) void reply.header('retry-after', String(retryAfter));
  let format: 'json' | 'yaml' = 'json';
  try {
    format = negotiate(request.headers.accept).format;
  } catch {
    // whoever accepts nothing we speak is told in JSON
  }
  return sendPlainObject(reply, code, status, format);
}

/** DER chains by connection: reading one out of TLS costs as much as the rest of a request. */
const chains = new WeakMap<object, readonly Uint8Array[]>();

function certificateChain(socket: Socket): readonly Uint8Array[] {
  if (!(socket instanceof TLSSocket)) return [];
  let chain = chains.get(socket);
  if (!chain) {
    const found: Uint8Array[] = [];
    const seen = new Set<string>();
    let at = socket.getPeerCertificate(true);
    while (at?.raw && !seen.has(at.fingerprint256)) {
      seen.add(at.fingerprint256);
      found.push(at.raw);
      at = at.issuerCertificate;
    }
    chains.set(socket, (chain = found));
  }
  return chain;
}

function authenticationRequest(raw: IncomingMessage): AuthenticationRequest {
  // A request over HTTP/2 has a view of the socket of its own; the session's is the same for all of them.
  const socket = (raw as unknown as Partial<Http2ServerRequest>).stream?.session?.socket ?? raw.socket;
  return { headers: raw.headers, remoteAddress: socket.remoteAddress ?? '', connection: socket, clientCertificates: () => certificateChain(socket) };
}

async function readBody(payload: IncomingMessage, { api }: FastifyRequest): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of payload as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > MAX_BODY_BYTES) throw bodyTooLarge(MAX_BODY_BYTES);
    api.abort.signal.throwIfAborted();
    parts.push(part);
  }
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
}

/** Fails the request when it takes too long, and lets the work know. */
async function withTimeout<T>(work: Promise<T>, timeoutMs: number, abort: AbortController): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new RequestTimeoutError('request did not complete within requested timeout');
      abort.abort(error);
      reject(error);
    }, timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined); // it may still fail after the answer has gone out
  }
}

const scopeOf = ({ isResourceRequest, namespace, name }: RequestInfo): string =>
  (!isResourceRequest ? '' : name !== '' ? 'resource' : namespace !== '' ? 'namespace' : 'cluster');

/** Metrics, and the abort of work whose client has gone. */
function watchForEnd(request: FastifyRequest, reply: FastifyReply, { metrics }: ApiserverDependencies): void {
  const { api } = request;
  const { info } = api;
  const labels = {
    verb: info.isResourceRequest ? (info.verb === 'update' ? 'PUT' : info.verb === 'create' ? 'POST' : info.verb.toUpperCase()) : request.method,
    group: info.apiGroup, version: info.apiVersion, resource: info.resource, subresource: info.isResourceRequest ? info.subresource : info.path.length < 40 ? info.path : '',
    scope: scopeOf(info), component: 'apiserver',
  };
  if (api.isLongRunning) metrics.longRunning.inc(labels);
  const end = (): void => {
    api.abort.abort(ENDED);
    if (api.isLongRunning) metrics.longRunning.dec(labels);
    api.audit?.tell('ResponseComplete', reply.raw.statusCode);
    const dryRun = api.query.get('dryRun') ?? '';
    metrics.requestTotal.inc({ ...labels, dry_run: dryRun, code: String(reply.raw.statusCode) });
    if (!api.isLongRunning) metrics.requestDuration.observe({ ...labels, dry_run: dryRun }, (performance.now() - api.startMs) / 1000);
  };
  const upgrade = pendingUpgrade(request.raw);
  if (upgrade) upgrade.socket.once('close', end);
  else reply.raw.once('close', end);
}
