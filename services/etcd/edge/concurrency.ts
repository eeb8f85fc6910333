// What locks and elections have in common: calls that may wait long, as a client of the member's own.
import type { EtcdMethod } from '#lib/etcd-api/services.ts';
import { GrpcError, grpcStatus } from '#lib/grpc/status.ts';
import { callerOf, serverStreamMethod, unaryService, type CallContext, type GrpcService } from './grpc-server.ts';
import { LocalClient, type LocalClientOptions } from './local-client.ts';

export interface ConcurrencyOptions extends CallContext, LocalClientOptions {}

/** etcd's locks and elections are clients of it: what goes wrong for them has a text, but no code. */
export class ConcurrencyError extends GrpcError {
  override readonly name = 'ConcurrencyError';

  constructor(text: string, options?: ErrorOptions) {
    super(grpcStatus.UNKNOWN, text, options);
  }
}

/** The key by which the holder of a lease takes part. */
export const heldKey = (prefix: Buffer, lease: bigint): Buffer => Buffer.concat([prefix, Buffer.from(lease.toString(16))]);

type Methods = Readonly<Record<string, EtcdMethod<unknown, never, unknown, never>>>;
type RequestOf<M> = M extends { readonly requestDeserialize: (bytes: Buffer) => infer R } ? R : never;
type ResponseOf<M> = M extends { readonly responseSerialize: (value: infer R) => Buffer } ? R : never;
type Handlers<S> = { readonly [N in keyof S]: (request: RequestOf<S[N]>, client: LocalClient) => Promise<ResponseOf<S[N]>> };
type AnyHandler = (request: unknown, client: LocalClient) => Promise<unknown>;

/** Unary methods that end when their caller goes. */
export function waitingService<S extends Methods>(methods: S, handlers: Handlers<S>, options: ConcurrencyOptions): GrpcService {
  const service = unaryService(methods, Object.fromEntries(Object.entries(handlers as Record<string, AnyHandler>).map(([name, handle]) =>
    [name, (request: unknown, _: number, caller: ReturnType<typeof callerOf>) => asUnknown(handle(request, new LocalClient(options, caller, caller.signal)))])) as never, options);
  return service;
}

/** A method that answers again and again, until its caller goes. */
export function watchingMethod<Request, Response>(
  method: EtcdMethod<Request, never, unknown, Response>, follow: (request: Request, client: LocalClient) => AsyncIterable<Response>, options: ConcurrencyOptions,
): GrpcService[number] {
  return serverStreamMethod(method, async (request, call) => {
    const caller = callerOf(call);
    await asUnknown((async () => {
      for await (const response of follow(request, new LocalClient(options, caller, call.signal))) if (!call.send(response)) await call.drained();
    })());
  }, options);
}

export async function asUnknown<R>(work: Promise<R>): Promise<R> {
  try {
    return await work;
  } catch (error) {
    const isOurs = error instanceof ConcurrencyError || !(error instanceof GrpcError) || error.code === grpcStatus.CANCELLED || error.code === grpcStatus.DEADLINE_EXCEEDED;
    throw isOurs ? error : new ConcurrencyError(error.message, { cause: error });
  }
}
