// A client of a CRI runtime (ours, containerd, CRI-O) over its unix socket.
import { context, propagation, SpanKind, trace } from '@opentelemetry/api';
import { Client, credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { attribute } from '#lib/tracing/attributes.ts';
import { inSpan } from '#lib/tracing/in-span.ts';
import { serviceDefinition } from './codec.ts';
import type { ContainerEventResponse, ImageServiceMethods, RuntimeServiceMethods, Sent } from './messages.ts';

/** Time a call may take unless it is said otherwise. Milliseconds. Source: KubeletConfiguration.runtimeRequestTimeout. */
const REQUEST_TIMEOUT_MS = 120_000;
/** Answers may be large (ExecSync output, long lists). Bytes; source: kubelet's maxMsgSize. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** Longest wait between two attempts to reach the socket again after the runtime went away. Milliseconds. */
const MAX_RECONNECT_MS = 500;

/** Calls that change something: told in traces, when they are part of something that is. */
const TOLD: ReadonlySet<string> = new Set([
  'RunPodSandbox', 'StopPodSandbox', 'RemovePodSandbox', 'CreateContainer', 'StartContainer', 'StopContainer', 'RemoveContainer', 'UpdateContainerResources', 'PullImage', 'RemoveImage',
]);
const tracer = trace.getTracer('k8s.io/cri-client');

export interface CallOptions {
  /** Milliseconds; Infinity for calls with no limit (PullImage). */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

type Unary<M> = {
  readonly [N in keyof M & string as N extends 'GetContainerEvents' ? never : Uncapitalize<N>]:
  M[N] extends { request: infer Request; response: infer Response } ? (request: Sent<Request>, options?: CallOptions) => Promise<Response> : never;
};

export interface RuntimeConnection {
  readonly runtime: Unary<RuntimeServiceMethods> & {
    /** Ends when `signal` aborts; throws CriError when the runtime goes away or has no such call. */
    containerEvents(signal: AbortSignal): AsyncIterable<ContainerEventResponse>;
  };
  readonly images: Unary<ImageServiceMethods>;
  close(): void;
}

/** A call that failed; `code` is gRPC's, `message` is the runtime's own text without gRPC's prefix. */
export class CriError extends Error {
  override readonly name = 'CriError';
  readonly code: number;
  readonly call: string;

  constructor(call: string, { code, details }: ServiceError) {
    super(details);
    this.code = code;
    this.call = call;
  }
}

export const isNotFound = (error: unknown): error is CriError => error instanceof CriError && error.code === status.NOT_FOUND;
export const isUnavailable = (error: unknown): error is CriError => error instanceof CriError && error.code === status.UNAVAILABLE;
export const isUnimplemented = (error: unknown): error is CriError => error instanceof CriError && error.code === status.UNIMPLEMENTED;
export const isDeadlineExceeded = (error: unknown): error is CriError => error instanceof CriError && error.code === status.DEADLINE_EXCEEDED;

type Send = (request: object, options?: CallOptions, metadata?: Metadata) => Promise<unknown>;

const told = (service: string, name: string, send: Send): Send => (request, options) => {
  if (trace.getActiveSpan()?.isRecording() !== true) return send(request, options);
  return inSpan(tracer, `${service}/${name}`, { kind: SpanKind.CLIENT, attributes: { [attribute.rpcSystem]: 'grpc', [attribute.rpcService]: service, [attribute.rpcMethod]: name } }, () => {
    const metadata = new Metadata();
    propagation.inject(context.active(), metadata, { set: (carrier, key, value) => carrier.set(key, value) });
    return send(request, options, metadata);
  });
};

/** Does not wait: the first call connects, and later ones connect again after the runtime was away. */
export function connectToRuntime(endpoint: string, requestTimeoutMs = REQUEST_TIMEOUT_MS): RuntimeConnection {
  const client = new Client(endpoint.startsWith('/') ? `unix://${endpoint}` : endpoint, credentials.createInsecure(), {
    'grpc.default_authority': 'localhost', // without it the authority is the socket's path, which real containerd refuses
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': MAX_RECONNECT_MS,
    'grpc.enable_retries': 0,
  });

  const callsOf = (serviceName: 'RuntimeService' | 'ImageService'): Record<string, unknown> =>
    Object.fromEntries(Object.entries(serviceDefinition(serviceName)).filter(([, { responseStream }]) => !responseStream)
      .map(([name, method]) => {
        const send = (request: object, { timeoutMs = requestTimeoutMs, signal }: CallOptions = {}, metadata = new Metadata()) => new Promise<unknown>((resolve, reject) => {
          signal?.throwIfAborted();
          const deadline = Number.isFinite(timeoutMs) ? { deadline: Date.now() + timeoutMs } : {};
          const call = client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, metadata, deadline, (error, response) => {
            signal?.removeEventListener('abort', cancel);
            if (!error) resolve(response);
            else reject(signal?.aborted ? signal.reason as Error : new CriError(name, error));
          });
          const cancel = (): void => call.cancel();
          signal?.addEventListener('abort', cancel, { once: true });
        });
        return [`${name[0]?.toLowerCase()}${name.slice(1)}`, TOLD.has(name) ? told(`runtime.v1.${serviceName}`, name, send) : send];
      }));

  async function* containerEvents(signal: AbortSignal): AsyncGenerator<ContainerEventResponse> {
    if (signal.aborted) return;
    const method = serviceDefinition('RuntimeService')['GetContainerEvents'];
    if (!method) throw new Error('the definition of CRI lacks GetContainerEvents');
    const stream = client.makeServerStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, {});
    const cancel = (): void => stream.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for await (const event of stream) yield event as ContainerEventResponse;
    } catch (error) {
      if (signal.aborted) return;
      throw new CriError('GetContainerEvents', error as ServiceError);
    } finally {
      signal.removeEventListener('abort', cancel);
      stream.cancel();
    }
  }

  return {
    runtime: { ...callsOf('RuntimeService') as Unary<RuntimeServiceMethods>, containerEvents },
    images: callsOf('ImageService') as Unary<ImageServiceMethods>,
    close: () => client.close(),
  };
}
