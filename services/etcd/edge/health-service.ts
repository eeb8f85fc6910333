// gRPC service grpc.health.v1.Health. Like etcd it knows of no parts. Source: etcd v3.6, server/etcdserver/api/v3rpc/health.go.
import { healthService } from '#lib/etcd-api/services.ts';
import { GrpcError, grpcStatus } from '#lib/grpc/status.ts';
import { serverStreamMethod, unaryService, type CallContext, type GrpcService } from './grpc-server.ts';

/** What is told to those who ask whether this member serves. */
export class ServingStatus {
  private readonly listeners = new Set<() => void>();
  private isServing = true;

  get current(): 'SERVING' | 'NOT_SERVING' {
    return this.isServing ? 'SERVING' : 'NOT_SERVING';
  }

  /** It does not serve until `work` has ended. */
  async stoppedDuring(work: () => Promise<void>): Promise<void> {
    this.set(false);
    try {
      await work();
    } finally {
      this.set(true);
    }
  }

  /** Resolves at the next change, or when the signal aborts. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.listeners.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.listeners.add(done);
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }

  private set(isServing: boolean): void {
    this.isServing = isServing;
    for (const listener of [...this.listeners]) listener();
  }
}

export function newHealthService(status: ServingStatus, context: CallContext): GrpcService {
  const { Watch, ...unaryMethods } = healthService;
  return [
    ...unaryService(unaryMethods, {
      Check: async ({ service }) => {
        if (service !== '') throw new GrpcError(grpcStatus.NOT_FOUND, 'unknown service');
        return { status: status.current };
      },
    }, context),
    serverStreamMethod(Watch, async ({ service }, call) => {
      while (!call.signal.aborted) {
        call.send({ status: service === '' ? status.current : 'SERVICE_UNKNOWN' });
        await status.changed(call.signal);
      }
    }, context),
  ];
}
