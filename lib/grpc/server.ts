// A gRPC server: takes connections that speak HTTP/2 (the listener is another's business) and runs the methods it was given.
import type { Duplex } from 'node:stream';
import { Call, MAX_CONNECTION_BYTES, refuse, resetAsNoCall, type CallContext, type CallOptions, type Handler, type Method, type StreamCall } from './call.ts';
import type { HeaderList } from './hpack.ts';
import { Http2Connection, type Http2Stream, type StreamReceiver } from './http2-connection.ts';
import { errorCode } from './http2-frames.ts';
import { Peer } from './peer.ts';
import { GrpcError, grpcStatus } from './status.ts';

export interface GrpcServerOptions {
  /** Of one message, without its prefix. */
  readonly maxReceiveBytes: number;
  readonly maxConcurrentStreams?: number;
  readonly keepAliveTimeMs?: number;
  readonly keepAliveTimeoutMs?: number;
  /** Pings more often than this cost a client its connection. */
  readonly minPingIntervalMs?: number;
  /** Gets what a handler threw that is no GrpcError; the client learns what is returned. */
  readonly onDefect?: (error: unknown, path: string) => GrpcError;
}

/** Calls of a connection whose handlers go on though the client has cancelled them. More, and the client is sent away. */
const MAX_ORPHANS = 4096;
const UNLIMITED = 2 ** 32 - 1;
/** Source: grpc-go, keepalive.ServerParameters and EnforcementPolicy. */
const DEFAULTS = { maxConcurrentStreams: UNLIMITED, keepAliveTimeMs: 2 * 60 * 60_000, keepAliveTimeoutMs: 20_000, minPingIntervalMs: 5 * 60_000 };
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
/** For streams that have no call: there is nobody to tell what comes in. */
const IGNORED: StreamReceiver = { onData: () => undefined, onEnd: () => undefined, onReset: () => undefined, onRoom: () => undefined };

export class GrpcServer {
  private readonly options: Required<GrpcServerOptions>;
  private readonly handlers = new Map<string, Handler>();
  private readonly services = new Set<string>();
  private readonly connections = new Set<Http2Connection>();
  private whenEmpty: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    this.options = { ...DEFAULTS, onDefect: () => new GrpcError(grpcStatus.INTERNAL, 'internal error'), ...options };
  }

  addUnary<Request, Response>(method: Method<Request, Response>, handle: (request: Request, call: CallContext) => Promise<Response> | Response): void {
    this.add({ kind: 'unary', method, handle } as Handler);
  }

  addServerStream<Request, Response>(method: Method<Request, Response>, handle: (request: Request, call: StreamCall<Request, Response>) => Promise<void>): void {
    this.add({ kind: 'serverStream', method, handle } as unknown as Handler);
  }

  addBidi<Request, Response>(method: Method<Request, Response>, handle: (call: StreamCall<Request, Response>) => Promise<void>): void {
    this.add({ kind: 'bidi', method, handle } as unknown as Handler);
  }

  add(handler: Handler): void {
    const { path } = handler.method;
    this.handlers.set(path, handler);
    this.services.add(path.slice(1, path.lastIndexOf('/')));
  }

  /** Takes over a connection on which the client's preface comes next. */
  accept(socket: Duplex): void {
    const peer = new Peer(socket);
    let orphans = 0;
    const callOptions: CallOptions = {
      maxReceiveBytes: this.options.maxReceiveBytes, onDefect: this.options.onDefect,
      countOrphans: (change) => {
        orphans += change;
        if (orphans > MAX_ORPHANS) connection.fail(errorCode.ENHANCE_YOUR_CALM, 'too many cancelled calls');
      },
    };
    const connection: Http2Connection = new Http2Connection(socket, {
      ...this.options,
      onRequest: (stream, headers) => this.onRequest(stream, headers, peer, callOptions),
      onClose: () => {
        this.connections.delete(connection);
        if (this.connections.size === 0) this.whenEmpty?.();
      },
    });
    this.connections.add(connection);
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  /** Says goodbye to all clients, and resolves when their calls have ended or the time is up. */
  async drain(graceMs: number): Promise<void> {
    for (const connection of this.connections) connection.drain();
    if (this.connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.whenEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  close(): void {
    for (const connection of [...this.connections]) connection.destroy();
  }

  private onRequest(stream: Http2Stream, headers: HeaderList, peer: Peer, callOptions: CallOptions): StreamReceiver {
    const request = readRequest(headers);
    if (request === undefined) {
      resetAsNoCall(stream);
      return IGNORED;
    }
    if ('refusal' in request) {
      refuse(stream, request.httpStatus, request.refusal.code, request.refusal.message);
      return IGNORED;
    }
    const handler = this.handlers.get(request.path);
    const refusal = handler === undefined ? this.unknownMethod(request.path)
      : request.encoding !== '' ? new GrpcError(grpcStatus.UNIMPLEMENTED, `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(request.encoding)}`)
        : stream.connection.heldBytes + stream.connection.queuedBytes > MAX_CONNECTION_BYTES ? new GrpcError(grpcStatus.RESOURCE_EXHAUSTED, 'grpc: the client does not read what it has asked for') : undefined;
    if (handler === undefined || refusal !== undefined) {
      if (refusal) refuse(stream, '200', refusal.code, refusal.message);
      return IGNORED;
    }
    const call = new Call(stream, headers, handler, peer, callOptions);
    call.start(request.timeoutMs);
    return call;
  }

  private unknownMethod(path: string): GrpcError {
    const at = path.lastIndexOf('/');
    const service = path.slice(1, at);
    if (!path.startsWith('/') || at <= 0) return new GrpcError(grpcStatus.UNIMPLEMENTED, `malformed method name: ${JSON.stringify(path)}`);
    return new GrpcError(grpcStatus.UNIMPLEMENTED, this.services.has(service) ? `unknown method ${path.slice(at + 1)} for service ${service}` : `unknown service ${service}`);
  }
}

interface RequestHead {
  readonly path: string;
  readonly encoding: string;
  readonly timeoutMs: number;
}

/** undefined when it is no request of gRPC at all. Texts and statuses are grpc-go's, http2_server.go. */
function readRequest(headers: HeaderList): RequestHead | { readonly httpStatus: string; readonly refusal: GrpcError } | undefined {
  let path = '';
  let method = '';
  let encoding = '';
  let contentType: string | undefined;
  let timeout: string | undefined;
  for (let at = 0; at < headers.length; at += 2) {
    const value = headers[at + 1] ?? '';
    switch (headers[at]) {
      case ':path': path = value; break;
      case ':method': method = value; break;
      case 'content-type': contentType = value; break;
      case 'grpc-timeout': timeout = value; break;
      case 'grpc-encoding': encoding = value === 'identity' ? '' : value; break;
      case 'connection': return undefined; // not of HTTP/2
      default:
    }
  }
  if (contentType === undefined) return undefined;
  if (!isGrpc(contentType)) return refusal('415', grpcStatus.INVALID_ARGUMENT, `invalid gRPC request content-type ${JSON.stringify(contentType)}`);
  if (method !== 'POST') return refusal('405', grpcStatus.INTERNAL, `Received a HEADERS frame with :method ${JSON.stringify(method)} which should be POST`);
  if (timeout === undefined) return { path, encoding, timeoutMs: Infinity };
  const timeoutMs = parseTimeoutMs(timeout);
  if (timeoutMs === undefined) return refusal('400', grpcStatus.INTERNAL, `malformed grpc-timeout: transport: timeout unit is not recognized: ${JSON.stringify(timeout)}`);
  return { path, encoding, timeoutMs };
}

const refusal = (httpStatus: string, code: ConstructorParameters<typeof GrpcError>[0], text: string): { httpStatus: string; refusal: GrpcError } =>
  ({ httpStatus, refusal: new GrpcError(code, text) });

/** application/grpc, with a subtype or parameters or not. */
const isGrpc = (contentType: string): boolean => {
  if (contentType === 'application/grpc') return true;
  const next = contentType.charAt('application/grpc'.length);
  return contentType.toLowerCase().startsWith('application/grpc') && (next === '+' || next === ';');
};

/** `8 digits and a unit`; undefined for anything else. */
function parseTimeoutMs(text: string): number | undefined {
  const unit = UNIT_MS[text.slice(-1)];
  const digits = text.slice(0, -1);
  return unit !== undefined && /^\d{1,8}$/.test(digits) ? Number(digits) * unit : undefined;
}
