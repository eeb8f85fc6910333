// How a handler becomes a gRPC method: answers are promises, errors are EtcdErrors, calls are counted.
import { propagation, ROOT_CONTEXT, SpanKind, trace, type Span } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import type { EtcdMethod } from '#lib/etcd-api/services.ts';
import type { CallContext as GrpcCall, Handler, StreamCall } from '#lib/grpc/call.ts';
import { GrpcError, grpcStatus } from '#lib/grpc/status.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { failSpan } from '#lib/tracing/in-span.ts';
import type { Caller } from './caller.ts';
import type { Gate } from './gate.ts';
import type { CallCounter, EtcdMetrics } from './metrics.ts';
import { slowReadOf, statsOf, type FinishedCall } from './slow-requests.ts';

/** The methods of a service, for `GrpcServer.add`. */
export type GrpcService = readonly Handler[];

export interface CallContext {
  readonly gate: Gate;
  readonly metrics: EtcdMetrics;
  readonly log: Logger;
  /** Calls that take longer are warned of; and reads, which etcd warns of as it does of what takes long to be applied. */
  readonly warningUnaryMs: number;
  readonly warningApplyMs: number;
  readonly onSlowRead: () => void;
}

type Methods = Readonly<Record<string, EtcdMethod<unknown, never, unknown, never>>>;
type RequestOf<M> = M extends { readonly requestDeserialize: (bytes: Buffer) => infer R } ? R : never;
type ResponseOf<M> = M extends { readonly responseSerialize: (value: infer R) => Buffer } ? R : never;
/** `sizeBytes`: of the request as received. */
type UnaryHandlers<S> = { readonly [N in keyof S]: (request: RequestOf<S[N]>, sizeBytes: number, caller: Caller) => Promise<ResponseOf<S[N]>> };
type UnaryHandler = (request: unknown, sizeBytes: number, caller: Caller) => Promise<unknown>;

export function unaryService<S extends Methods>(methods: S, handlers: UnaryHandlers<S>, context: CallContext): GrpcService {
  const slow = new SlowCalls(context);
  return Object.entries(methods).map(([name, method]) => {
    const handle = handlers[name] as unknown as UnaryHandler;
    const counter = counterOf('unary', method.path, context);
    return {
      kind: 'unary', method: asServed(method, counter, context),
      handle: (request, call) => {
        const finish = counter.start();
        context.metrics.countClientRequest('unary', call.metadata(CLIENT_VERSION));
        const startUs = microseconds();
        const span = spanOf(call);
        return admitted(() => context.gate.admit(call, request), () => handle(request, call.requestBytes, callerOf(call))).then(
          (response) => {
            finish(grpcStatus.OK);
            const tookUs = since(startUs);
            if (tookUs > slow.fromUs) slow.tell({ call, request, response, tookMs: tookUs / 1000 });
            if (span) endSpan(span, response);
            return response;
          },
          (error: unknown) => {
            const refusal = asRefusal(error, method.path, context.log);
            finish(refusal.code);
            const tookUs = since(startUs);
            if (tookUs > slow.fromUs) slow.tell({ call, request, response: undefined, tookMs: tookUs / 1000 }, refusal);
            if (span) {
              failSpan(span, refusal);
              span.end();
            }
            throw refusal;
          });
      },
    };
  });
}

/** As etcd's clients say it. Source: etcd, rpctypes.MetadataClientAPIVersionKey. */
const CLIENT_VERSION = 'client-api-version';

/** Calls that took longer than the lower of both limits; all of them where etcd tells of all. */
class SlowCalls {
  readonly fromUs: number;
  private readonly context: CallContext;
  private readonly tellsOfAll: boolean;

  constructor(context: CallContext) {
    const { log, warningUnaryMs, warningApplyMs } = context;
    this.context = context;
    this.tellsOfAll = log.isLevelEnabled('debug');
    this.fromUs = this.tellsOfAll ? -1 : Math.min(warningUnaryMs, warningApplyMs) * 1000;
  }

  tell(finished: FinishedCall, error?: Error): void {
    const { log, warningUnaryMs, warningApplyMs, onSlowRead } = this.context;
    const read = finished.tookMs > warningApplyMs ? slowReadOf(finished, warningApplyMs, error) : undefined;
    if (read !== undefined) {
      onSlowRead();
      log.warn(read, 'apply request took too long');
    }
    if (this.tellsOfAll) log.debug(statsOf(finished, Date.now()), 'request stats');
    else if (finished.tookMs > warningUnaryMs) log.warn(statsOf(finished, Date.now()), 'request stats');
  }
}

/** Microseconds that go round: a small integer, which V8 keeps without allocating, where a number of milliseconds has to be boxed for a closure. */
const microseconds = (): number => (performance.now() * 1000) | 0;
/** For what takes less than an hour. */
const since = (startUs: number): number => (microseconds() - startUs) >>> 0;

const tracer = trace.getTracer('go.etcd.io/etcd');

/** In traces, when the caller's work is. */
function spanOf(call: GrpcCall): Span | undefined {
  if (call.metadata('traceparent') === undefined) return undefined;
  const parent = propagation.extract(ROOT_CONTEXT, call, { get: (carrier, header) => carrier.metadata(header), keys: () => [] });
  const [, service = '', method = ''] = call.path.split('/');
  return tracer.startSpan(`${service}/${method}`, { kind: SpanKind.SERVER, attributes: { [attribute.rpcSystem]: 'grpc', [attribute.rpcService]: service, [attribute.rpcMethod]: method } }, parent);
}

function endSpan(span: Span, response: unknown): void {
  const { header, succeeded } = response as { header?: { revision?: unknown }; succeeded?: boolean };
  if (header?.revision !== undefined && succeeded !== false) span.setAttribute(attribute.versionWritten, String(header.revision));
  if (succeeded === false) span.setAttribute(attribute.what, 'compare failed');
  span.end();
}

/** Request and response streams, both open as long as the client likes. */
export function bidiMethod<Request, ResponseInput>(
  method: EtcdMethod<Request, never, unknown, ResponseInput>, handle: (call: StreamCall<Request, ResponseInput>) => Promise<void>, context: CallContext,
): Handler {
  const counter = counterOf('bidi_stream', method.path, context);
  return {
    kind: 'bidi', method: asServed(method, counter, context),
    handle: (call) => counted(context.gate.stream(call, () => handle(call as StreamCall<Request, ResponseInput>)), call, method.path, counter, context),
  };
}

/** One request, any number of responses. */
export function serverStreamMethod<Request, ResponseInput>(
  method: EtcdMethod<Request, never, unknown, ResponseInput>, handle: (request: Request, call: StreamCall<Request, ResponseInput>) => Promise<void>, context: CallContext,
): Handler {
  const counter = counterOf('server_stream', method.path, context);
  return {
    kind: 'serverStream', method: asServed(method, counter, context),
    handle: (request, call) => counted(context.gate.stream(call, () => handle(request as Request, call as StreamCall<Request, ResponseInput>)), call, method.path, counter, context),
  };
}

/** Both may throw, or reject: all the same to who waits. */
function admitted(admit: () => void, handle: () => Promise<unknown>): Promise<unknown> {
  try {
    admit();
  } catch (error) {
    return Promise.reject(error as Error);
  }
  return handle();
}

/** What it takes and gives is known to its handler; the server only passes it on. */
function asServed(method: unknown, { received, sent }: CallCounter, { metrics: { traffic } }: CallContext): Handler['method'] {
  const served = method as Handler['method'];
  return {
    path: served.path,
    requestDeserialize: (bytes) => {
      traffic.received += bytes.length;
      received();
      return served.requestDeserialize(bytes);
    },
    responseSerialize: (value) => {
      const bytes = served.responseSerialize(value);
      traffic.sent += bytes.length;
      sent();
      return bytes;
    },
  };
}

function counterOf(type: Parameters<EtcdMetrics['callCounter']>[0], path: string, { metrics }: CallContext): CallCounter {
  const [, service = '', name = ''] = path.split('/');
  return metrics.callCounter(type, service, name);
}

async function counted(running: Promise<void>, call: GrpcCall, path: string, counter: CallCounter, { metrics, log }: CallContext): Promise<void> {
  const finish = counter.start();
  metrics.countClientRequest('stream', call.metadata(CLIENT_VERSION));
  try {
    await running;
    finish(call.isCancelled ? grpcStatus.CANCELLED : grpcStatus.OK);
  } catch (error) {
    const refusal = asRefusal(error, path, log);
    finish(refusal.code);
    throw refusal;
  }
}

/** Of any kind of call. */
export const callerOf = (call: GrpcCall): Caller => new CallerOf(call);

/** A class, for V8 makes an object with getters of its own for each call in microseconds. */
class CallerOf implements Caller {
  private readonly call: GrpcCall;

  constructor(call: GrpcCall) {
    this.call = call;
  }

  header(name: string): string | undefined {
    return this.call.metadata(name);
  }

  get signal(): AbortSignal {
    return this.call.signal;
  }

  get commonName(): string | undefined {
    const { CN } = this.call.peer.certificate?.subject ?? {};
    return Array.isArray(CN) ? CN[0] : CN; // Node's types do not know that a name may stand there twice
  }
}

/** What is no error for a client is a defect: it is logged, and the client learns no more than that. */
export function asRefusal(error: unknown, path: string, log: Logger): GrpcError {
  if (error instanceof GrpcError) return error;
  log.error({ err: error, method: path }, 'call failed');
  return new EtcdError(grpcStatus.INTERNAL, 'etcdserver: internal error');
}
