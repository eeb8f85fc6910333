// The JSON gateway: the gRPC methods as `POST /v3/...` with JSON on the client port, for curl. Streams are one JSON object a
// line. Source: etcd v3.6, server/embed/serve.go, and grpc-gateway v2.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { fromJson, JsonError, toJson } from '#lib/etcd-api/json.ts';
import { authService, clusterService, electionService, kvService, leaseService, lockService, maintenanceService, watchService, type EtcdMethod } from '#lib/etcd-api/services.ts';
import type { CallContext, Handler, StreamCall } from '#lib/grpc/call.ts';
import { Peer } from '#lib/grpc/peer.ts';
import { GrpcError, grpcStatus, type GrpcStatus } from '#lib/grpc/status.ts';
import { EncodedRange } from './encoded-range.ts';
import { JsonSplitter } from './json-splitter.ts';

type AnyMethod = Pick<EtcdMethod<unknown, never, unknown, never>, 'path' | 'messages' | 'requestDeserialize'>;

/** Method names as paths where they are not simply in lower case. */
const PATHS: Readonly<Record<string, readonly string[]>> = {
  '/v3/kv/compaction': ['Compact'], '/v3/cluster/member/': ['MemberAdd', 'MemberRemove', 'MemberUpdate', 'MemberList', 'MemberPromote'],
  '/v3/maintenance/transfer-leadership': ['MoveLeader'], '/v3/auth/user/changepw': ['UserChangePassword'], '/v3/auth/user/grant': ['UserGrantRole'],
  '/v3/auth/user/revoke': ['UserRevokeRole'], '/v3/auth/role/grant': ['RoleGrantPermission'], '/v3/auth/role/revoke': ['RoleRevokePermission'],
};

function pathOf(service: string, name: string): string {
  for (const [path, names] of Object.entries(PATHS)) if (names.includes(name)) return path.endsWith('/') ? `${path}${name.slice('Member'.length).toLowerCase()}` : path;
  const [, kind, verb] = /^(Auth|User|Role|Lease)(.+)$/.exec(name) ?? [];
  if (service === 'auth' && kind !== undefined && verb !== undefined && name !== 'Authenticate') return `/v3/auth/${kind === 'Auth' ? '' : `${kind.toLowerCase()}/`}${verb.toLowerCase()}`;
  return `/v3/${service}/${(service === 'lease' ? verb ?? name : name).toLowerCase()}`;
}

const SERVICES = { kv: kvService, lease: leaseService, cluster: clusterService, maintenance: maintenanceService, auth: authService, lock: lockService, election: electionService };

const routes: ReadonlyMap<string, AnyMethod> = new Map([
  ['/v3/watch', watchService.Watch as unknown as AnyMethod],
  ...Object.entries(SERVICES).flatMap(([service, methods]) => Object.entries(methods as unknown as Record<string, AnyMethod>).map(([name, method]): [string, AnyMethod] => [pathOf(service, name), method])),
  ...(['LeaseRevoke', 'LeaseTimeToLive', 'LeaseLeases'] as const).map((name): [string, AnyMethod] => [pathOf('lease', name).replace('/v3/', '/v3/kv/'), leaseService[name] as unknown as AnyMethod]),
]);

/** Source: grpc-gateway, runtime.HTTPStatusFromCode. */
const HTTP_STATUS: Readonly<Record<GrpcStatus, number>> = { 0: 200, 1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500, 14: 503, 15: 500, 16: 401 };
const ANSWER_HEADERS = { 'content-type': 'application/json', 'grpc-metadata-content-type': 'application/grpc' };

export interface GatewayOptions {
  readonly handlers: readonly Handler[];
  /** Of a JSON object in a request. */
  readonly maxRequestBytes: number;
}

/** Answers requests for /v3/. */
export type Gateway = (request: IncomingMessage, response: ServerResponse, path: string) => Promise<void>;

export function newGateway({ handlers, maxRequestBytes }: GatewayOptions): Gateway {
  const byPath = new Map(handlers.map((handler) => [handler.method.path, handler]));
  return async (request, response, path) => {
    const method = routes.get(path);
    const handler = method && byPath.get(method.path);
    if (method === undefined || handler === undefined) return fail(response, new GrpcError(grpcStatus.NOT_FOUND, 'Not Found'));
    if (request.method !== 'POST') return fail(response, new GrpcError(grpcStatus.UNIMPLEMENTED, 'Method Not Allowed'));
    const call = new GatewayCall(request, response, method, maxRequestBytes);
    try {
      if (handler.kind === 'unary') {
        const answer = await handler.handle(await call.onlyRequest(), call);
        answerWith(response, 200, ANSWER_HEADERS, toJson(method.messages.response, answer instanceof EncodedRange ? method.messages.response.decode(answer.bytes) : answer));
      } else {
        await (handler.kind === 'bidi' ? handler.handle(call) : handler.handle(await call.onlyRequest(), call));
        call.start();
        response.end();
      }
    } catch (error) {
      fail(response, error instanceof GrpcError ? error : new GrpcError(grpcStatus.INTERNAL, 'internal error'));
    } finally {
      call.close();
    }
  };
}

/** A stream that has begun gets the error as its last line. */
function fail(response: ServerResponse, { code, message }: GrpcError): void {
  const status = { code, message };
  if (response.headersSent) response.end(`${JSON.stringify({ error: status })}\n`);
  else answerWith(response, HTTP_STATUS[code], { 'content-type': 'application/json' }, status);
}

function answerWith(response: ServerResponse, status: number, headers: Readonly<Record<string, string>>, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { ...headers, 'content-length': bytes.length }).end(bytes);
}

class GatewayCall implements CallContext, StreamCall<unknown, unknown> {
  readonly path: string;
  readonly peer: Peer;
  readonly signal: AbortSignal;
  requestBytes = 0;
  private readonly request: IncomingMessage;
  private readonly response: ServerResponse;
  private readonly method: AnyMethod;
  private readonly splitter: JsonSplitter;
  private readonly gone = new AbortController();
  private readonly onClose = (): void => this.gone.abort(new GrpcError(grpcStatus.CANCELLED, 'context canceled'));

  constructor(request: IncomingMessage, response: ServerResponse, method: AnyMethod, maxRequestBytes: number) {
    this.path = method.path;
    this.peer = new Peer(request.socket);
    this.signal = this.gone.signal;
    this.request = request;
    this.response = response;
    this.method = method;
    this.splitter = new JsonSplitter(maxRequestBytes);
    response.once('close', this.onClose);
  }

  get isCancelled(): boolean {
    return this.signal.aborted;
  }

  /** `Grpc-Metadata-Token: T` is the header `token`. The certificate is that of a browser or proxy, not a user's. */
  metadata(name: string): string | undefined {
    if (name === 'grpcgateway-accept') return '*/*';
    const value = this.request.headers[`grpc-metadata-${name}`] ?? (name === 'authorization' ? this.request.headers.authorization : undefined);
    return Array.isArray(value) ? value[0] : value;
  }

  /** An empty body counts as an empty object. */
  async onlyRequest(): Promise<unknown> {
    for await (const request of this.bodies()) return request;
    return this.decode('{}');
  }

  get requests(): AsyncIterable<unknown> {
    return this.streamed();
  }

  /** A watch goes on when its requests have all been sent; other streams end. */
  private async *streamed(): AsyncGenerator<unknown> {
    yield* this.bodies();
    if (this.path !== watchService.Watch.path) return;
    await new Promise<void>((resolve) => {
      if (this.signal.aborted) resolve();
      else this.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    throw this.signal.reason as Error;
  }

  private async *bodies(): AsyncGenerator<unknown> {
    try {
      for await (const chunk of this.request as AsyncIterable<Buffer>) for (const text of this.splitter.push(chunk)) yield this.decode(text);
      this.splitter.end();
    } catch (error) {
      throw error instanceof JsonError ? new GrpcError(grpcStatus.INVALID_ARGUMENT, error.message, { cause: error }) : error;
    }
  }

  private decode(text: string): unknown {
    const { request } = this.method.messages;
    const bytes = request.encode(fromJson(request, text) as never);
    this.requestBytes = bytes.length;
    return this.method.requestDeserialize(bytes);
  }

  start(): void {
    if (!this.response.headersSent) this.response.writeHead(200, ANSWER_HEADERS).flushHeaders();
  }

  sendHeaders(): void {
    this.start();
  }

  send(answer: unknown): boolean {
    if (this.signal.aborted) return true;
    this.start();
    return this.response.write(`${JSON.stringify({ result: toJson(this.method.messages.response, answer) })}\n`);
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.response.off('drain', done);
        this.signal.removeEventListener('abort', done);
        resolve();
      };
      this.response.once('drain', done);
      this.signal.addEventListener('abort', done, { once: true });
      if (this.signal.aborted || !this.response.writableNeedDrain) done();
    });
  }

  close(): void {
    this.response.off('close', this.onClose);
    this.onClose();
  }
}
