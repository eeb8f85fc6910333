// How a handler becomes a gRPC method: answers are promises, errors are EtcdErrors, calls are counted.
import { once } from 'node:events';
import {
  status, type handleUnaryCall, type sendUnaryData, type ServerUnaryCall, type ServerWritableStream, type ServiceDefinition, type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { EtcdError } from '#lib/etcd-api/errors.ts';
import type { EtcdMethod } from '#lib/etcd-api/services.ts';
import type { Caller } from './caller.ts';
import type { EtcdMetrics } from './metrics.ts';
import type { ResponseSink } from './snapshot-stream.ts';

export interface GrpcService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

export interface CallContext {
  readonly metrics: EtcdMetrics;
  readonly log: Logger;
}

type Methods = Readonly<Record<string, EtcdMethod<unknown, never, unknown, never>>>;
type RequestOf<M> = M extends { readonly requestDeserialize: (bytes: Buffer) => infer R } ? R : never;
type ResponseOf<M> = M extends { readonly responseSerialize: (value: infer R) => Buffer } ? R : never;
type UnaryHandlers<S> = { readonly [N in keyof S]: (request: RequestOf<S[N]>, sizeBytes: number, caller: Caller) => Promise<ResponseOf<S[N]>> };

/** `sizeBytes`: of the request as received. */
interface Received<R> {
  readonly message: R;
  readonly sizeBytes: number;
}

export function unaryService<S extends Methods>(methods: S, handlers: UnaryHandlers<S>, context: CallContext): GrpcService {
  const definition: Record<string, unknown> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(methods)) {
    definition[name] = {
      ...method,
      requestDeserialize: (bytes: Buffer): Received<unknown> => ({ message: method.requestDeserialize(bytes), sizeBytes: bytes.length }),
    };
    implementation[name] = unary(method.path, handlers[name] as unknown as UnaryHandler, context);
  }
  return { definition: definition as ServiceDefinition, implementation };
}

type UnaryHandler = (request: unknown, sizeBytes: number, caller: Caller) => Promise<unknown>;

function unary(path: string, handler: UnaryHandler, context: CallContext): handleUnaryCall<Received<unknown>, unknown> {
  const [, service = '', method = ''] = path.split('/');
  return (call: ServerUnaryCall<Received<unknown>, unknown>, callback: sendUnaryData<unknown>) => {
    const finish = context.metrics.startCall('unary', service, method);
    handler(call.request.message, call.request.sizeBytes, callerOf(call)).then(
      (response) => {
        finish(status.OK);
        callback(null, response);
      },
      (error: unknown) => {
        const refusal = asEtcdError(error, path, context.log);
        finish(refusal.code);
        callback(refusal);
      });
  };
}

type StreamCall = ServerWritableStream<unknown, unknown>;

/** A method whose answer is a stream. */
export function serverStream<Request, Response>(
  { path }: { readonly path: string }, handler: (request: Request, sink: ResponseSink<Response>, caller: Caller) => Promise<void>, { metrics, log }: CallContext,
): (call: StreamCall) => void {
  const [, service = '', method = ''] = path.split('/');
  return (call) => {
    const finish = metrics.startCall('server_stream', service, method);
    const gone = new AbortController();
    for (const event of ['cancelled', 'error', 'close']) call.on(event, () => gone.abort());
    const sink: ResponseSink<Response> = {
      send: (response) => gone.signal.aborted || call.write(response), signal: gone.signal,
      drained: async () => {
        await once(call, 'drain', { signal: gone.signal }).catch((error: unknown) => {
          if (!gone.signal.aborted) throw error;
        });
      },
    };
    handler(call.request as Request, sink, callerOf(call)).then(
      () => {
        finish(call.cancelled ? status.CANCELLED : status.OK);
        call.end();
      },
      (error: unknown) => {
        const refusal = asEtcdError(error, path, log);
        finish(refusal.code);
        call.emit('error', refusal);
      });
  };
}

/** Of any kind of call. */
export function callerOf(call: Pick<ServerUnaryCall<unknown, unknown>, 'metadata' | 'getAuthContext'>): Caller {
  return {
    header: (name) => call.metadata.get(name)[0]?.toString(),
    get commonName() {
      const { CN } = call.getAuthContext().sslPeerCertificate?.subject ?? {};
      return Array.isArray(CN) ? CN[0] : CN; // Node's types do not know that a name may stand there twice
    },
  };
}

/** What is no EtcdError is a defect: it is logged, and the client learns no more than that. */
export function asEtcdError(error: unknown, path: string, log: Logger): EtcdError {
  if (error instanceof EtcdError) return error;
  log.error({ err: error, method: path }, 'call failed');
  return new EtcdError(status.INTERNAL, 'etcdserver: internal error');
}
