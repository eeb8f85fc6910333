// One client's way to one member: nothing is repeated behind the caller's back, and an error tells whether the request can have arrived.
import { readFileSync } from 'node:fs';
import { Client, credentials, Metadata, status, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import { fromServiceError, type EtcdError } from '#lib/etcd-api/errors.ts';
import type { WatchCreateRequestInput, WatchResponse } from '#lib/etcd-api/messages.ts';
import { leaseService, watchService, type EtcdMethod } from '#lib/etcd-api/services.ts';

export interface ClientFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export type WatchCall = ClientDuplexStream<{ createRequest?: WatchCreateRequestInput; progressRequest?: Record<string, never> }, WatchResponse>;

const CHANNEL_OPTIONS = {
  'grpc.initial_reconnect_backoff_ms': 100, 'grpc.min_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 500, 'grpc.enable_retries': 0,
  'grpc.max_receive_message_length': -1, 'grpc.keepalive_time_ms': 6_000, 'grpc.keepalive_timeout_ms': 2_000, 'grpc.use_local_subchannel_pool': 1,
};
/** Refused before anything was proposed. Source: etcd v3.6, server/etcdserver/v3_server.go. */
const REFUSALS = new Set(['TooManyRequests', 'LeaseNotFound', 'LeaseExists', 'Compacted', 'FutureRevision', 'NoSpace']);

export class Connection {
  private readonly client: Client;

  constructor(endpoint: string, { caFile, certFile, keyFile }: ClientFiles) {
    const [ca, key, cert] = [caFile, keyFile, certFile].map((file) => readFileSync(file));
    this.client = new Client(new URL(endpoint).host, credentials.createSsl(ca, key, cert), { ...CHANNEL_OPTIONS, 'grpc.ssl_target_name_override': 'localhost' });
  }

  /** Rejects with an EtcdError. */
  call<Q, R>(method: EtcdMethod<unknown, Q, R, never>, request: Q, timeoutMs: number): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      this.client.makeUnaryRequest<Q, R>(method.path, method.requestSerialize, method.responseDeserialize, request, new Metadata(), { deadline: Date.now() + timeoutMs },
        (error: ServiceError | null, response?: R) => (error === null ? resolve(response as R) : reject(fromServiceError(error))));
    });
  }

  watch(): WatchCall {
    const metadata = new Metadata();
    metadata.set('hasleader', 'true');
    const { path, requestSerialize, responseDeserialize } = watchService.Watch;
    return this.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  }

  /** The seconds that the lease lives on; 0 when there is none. */
  keepAlive(id: bigint, timeoutMs: number): Promise<number> {
    const { path, requestSerialize, responseDeserialize } = leaseService.LeaseKeepAlive;
    return new Promise((resolve, reject) => {
      const call = this.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata(), { deadline: Date.now() + timeoutMs });
      call.on('data', ({ TTL }: { TTL: number }) => {
        resolve(TTL);
        call.end();
      });
      call.on('error', (error: ServiceError) => reject(fromServiceError(error)));
      call.on('end', () => reject(new Error('the stream ended without an answer')));
      call.write({ ID: id });
    });
  }

  close(): void {
    this.client.close();
  }
}

/** It surely had no effect and will have none. */
export function hadNoEffect({ code, details, reason }: EtcdError): boolean {
  return (code === status.UNAVAILABLE && details.startsWith('No connection established')) || (reason !== undefined && REFUSALS.has(reason));
}
