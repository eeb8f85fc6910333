// A client of etcd v3: typed calls with deadlines, one connection that grpc-js keeps alive and re-opens, resuming watches.
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { context, propagation } from '@opentelemetry/api';
import { Client, credentials, status as grpcStatus, Metadata, type ChannelCredentials, type ServiceError } from '@grpc/grpc-js';
import { systemClock, type Clock } from '#lib/environment/clock.ts';
import { fromServiceError, isUnavailable } from './errors.ts';
import type {
  DeleteRangeRequestInput, DeleteRangeResponse, LeaseGrantResponse, LeaseLeasesResponse, LeaseTimeToLiveResponse, MemberListResponse,
  PutRequestInput, PutResponse, RangeRequestInput, RangeResponse, ResponseHeader, StatusResponse, TxnRequestInput, TxnResponse,
} from './messages.ts';
import { clusterService, kvService, leaseService, maintenanceService, watchService, type EtcdMethod } from './services.ts';
export { prefixEnd } from './prefix.ts';
import { resumingWatch, type EtcdWatch, type WatchOptions } from './watch.ts';

export interface EtcdClientOptions {
  /** `https://192.168.1.10:2379`, or `http://...` without TLS. More than one: all by IP address. */
  readonly endpoints: readonly string[];
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Take any certificate of the server. */
  readonly insecureSkipTlsVerify?: boolean;
  /** For a call that names no deadline. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Calls wait for the connection until their deadline, so a restart of etcd shows as latency. Reads are repeated when the
 * connection breaks; a write whose answer is lost fails with UNAVAILABLE, as nobody knows whether it happened.
 * All errors are EtcdError. Byte fields of answers are views of the received message.
 */
export interface EtcdClient {
  range(request: RangeRequestInput, options?: CallOptions): Promise<RangeResponse>;
  put(request: PutRequestInput, options?: CallOptions): Promise<PutResponse>;
  deleteRange(request: DeleteRangeRequestInput, options?: CallOptions): Promise<DeleteRangeResponse>;
  txn(request: TxnRequestInput, options?: CallOptions): Promise<TxnResponse>;
  compact(request: { revision: number; physical?: boolean }, options?: CallOptions): Promise<{ header: ResponseHeader | undefined }>;
  leaseGrant(request: { TTL: number; ID?: bigint }, options?: CallOptions): Promise<LeaseGrantResponse>;
  leaseRevoke(request: { ID: bigint }, options?: CallOptions): Promise<{ header: ResponseHeader | undefined }>;
  leaseTimeToLive(request: { ID: bigint; keys?: boolean }, options?: CallOptions): Promise<LeaseTimeToLiveResponse>;
  leaseLeases(options?: CallOptions): Promise<LeaseLeasesResponse>;
  memberList(options?: CallOptions): Promise<MemberListResponse>;
  status(options?: CallOptions): Promise<StatusResponse>;
  /** `CANCEL` needs no version. Answers with the cluster version of before. */
  downgrade(request: { action: 'VALIDATE' | 'ENABLE' | 'CANCEL'; version?: string }, options?: CallOptions): Promise<{ version: string }>;
  /** The state of the member that answers, as a file in pieces. Throws EtcdError when it breaks off. */
  snapshot(): AsyncIterable<Uint8Array>;
  watch(options: WatchOptions): EtcdWatch;
  close(): void;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** Pause before a read is repeated. Source: clientv3 defaultBackoffWaitBetween. */
const RETRY_PAUSE_MS = 25;

const CHANNEL_OPTIONS = {
  // Source: kube-apiserver, storage/storagebackend/factory/etcd3.go.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // An etcd restarts within seconds; the default of up to two minutes between attempts would outlast it by far.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': 2 * 1024 * 1024, // Source: clientv3 defaultClientMaxCallSendMsgSize.
  'grpc.enable_retries': 0,
};

/** Throws when a certificate file cannot be read. Does not wait for the connection. */
export function connectToEtcd(options: EtcdClientOptions): EtcdClient {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, clock = systemClock } = options;
  const client = new Client(targetOf(options.endpoints), credentialsOf(options), { ...CHANNEL_OPTIONS, ...serverNameOptions(options.endpoints) });
  const requireLeader = new Metadata({ waitForReady: true });
  requireLeader.set('hasleader', 'true');

  function attempt<Q, R>(method: EtcdMethod<unknown, Q, R, never>, request: Q, deadlineMs: number, signal: AbortSignal | undefined, metadata = new Metadata({ waitForReady: true })): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      signal?.throwIfAborted();
      const call = client.makeUnaryRequest<Q, R>(
        method.path, method.requestSerialize, method.responseDeserialize, request, metadata, { deadline: deadlineMs },
        (error: ServiceError | null, response?: R) => {
          signal?.removeEventListener('abort', cancel);
          if (error !== null) reject(signal?.aborted ? (signal.reason as Error) : fromServiceError(error));
          else resolve(response as R);
        });
      const cancel = (): void => call.cancel();
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  const write = <Q, R>(method: EtcdMethod<unknown, Q, R, never>, request: Q, call: CallOptions = {}): Promise<R> => {
    const metadata = new Metadata({ waitForReady: true });
    propagation.inject(context.active(), metadata, { set: (carrier, name, value) => carrier.set(name, value) });
    return attempt(method, request, clock.nowMs() + (call.timeoutMs ?? timeoutMs), call.signal, metadata);
  };

  const read = async <Q, R>(method: EtcdMethod<unknown, Q, R, never>, request: Q, call: CallOptions = {}): Promise<R> => {
    const deadlineMs = clock.nowMs() + (call.timeoutMs ?? timeoutMs);
    for (;;) {
      try {
        return await attempt(method, request, deadlineMs, call.signal);
      } catch (error) {
        const outOfTime = clock.nowMs() + RETRY_PAUSE_MS >= deadlineMs;
        if (outOfTime || !isUnavailable(error) || (error as { code: number }).code !== grpcStatus.UNAVAILABLE) throw error;
        await clock.sleep(RETRY_PAUSE_MS, call.signal);
      }
    }
  };

  return {
    range: (request, call) => read(kvService.Range, request, call),
    put: (request, call) => write(kvService.Put, request, call),
    deleteRange: (request, call) => write(kvService.DeleteRange, request, call),
    txn: (request, call) => write(kvService.Txn, request, call),
    compact: (request, call) => write(kvService.Compact, request, call),
    leaseGrant: (request, call) => write(leaseService.LeaseGrant, request, call),
    leaseRevoke: (request, call) => write(leaseService.LeaseRevoke, request, call),
    leaseTimeToLive: (request, call) => read(leaseService.LeaseTimeToLive, request, call),
    leaseLeases: (call) => read(leaseService.LeaseLeases, {}, call),
    memberList: (call) => read(clusterService.MemberList, { linearizable: true }, call),
    status: (call) => read(maintenanceService.Status, {}, call),
    downgrade: (request, call) => write(maintenanceService.Downgrade, request, call),
    watch: (watchOptions) => {
      const { path, requestSerialize, responseDeserialize } = watchService.Watch;
      return resumingWatch(() => client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, requireLeader.clone()), clock, watchOptions);
    },
    async *snapshot() {
      const { path, requestSerialize, responseDeserialize } = maintenanceService.Snapshot;
      const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {}, new Metadata({ waitForReady: true }));
      try {
        for await (const { blob } of call as AsyncIterable<{ readonly blob: Uint8Array }>) yield blob;
      } catch (error) {
        throw fromServiceError(error as ServiceError);
      }
    },
    close: () => client.close(),
  };
}

interface Endpoint {
  readonly host: string;
  /** host:port, as gRPC writes it. */
  readonly address: string;
}

function parseEndpoint(text: string): Endpoint {
  const { hostname, port } = new URL(text.includes('://') ? text : `http://${text}`);
  return { host: hostname.replace(/^\[|\]$/g, ''), address: `${hostname}:${port || '2379'}` };
}

function targetOf(endpoints: readonly string[]): string {
  const hosts = endpoints.map(parseEndpoint);
  const [first] = hosts;
  if (first === undefined) throw new Error('no etcd endpoint is given');
  const versions = new Set(hosts.map(({ host }) => isIP(host)));
  if (hosts.length === 1 && versions.has(0)) return `dns:${first.address}`;
  if (versions.size > 1 || versions.has(0)) throw new Error(`several etcd endpoints must all be IPv4 or all be IPv6 addresses: ${endpoints.join(',')}`);
  return `${versions.has(4) ? 'ipv4' : 'ipv6'}:${hosts.map(({ address }) => address).join(',')}`;
}

/**
 * TLS has no server name for an IP address (RFC 6066), and grpc-js would send the first address to every endpoint. So a
 * fixed name is sent, and the certificate is checked against the addresses (see credentialsOf).
 */
const serverNameOptions = (endpoints: readonly string[]): { 'grpc.ssl_target_name_override'?: string } =>
  (endpoints.some((endpoint) => isIP(parseEndpoint(endpoint).host) !== 0) ? { 'grpc.ssl_target_name_override': 'etcd' } : {});

function credentialsOf({ endpoints, caFile, certFile, keyFile, insecureSkipTlsVerify = false }: EtcdClientOptions): ChannelCredentials {
  if (!endpoints.some((endpoint) => endpoint.startsWith('https:'))) return credentials.createInsecure();
  const file = (path: string | undefined): Buffer | null => (path === undefined || path === '' ? null : readFileSync(path));
  return credentials.createSsl(file(caFile), file(keyFile), file(certFile), insecureSkipTlsVerify ? { rejectUnauthorized: false } : { checkServerIdentity: (_name, certificate) => checkIdentity(endpoints, certificate) });
}

/** The certificate must name one of the endpoints. */
function checkIdentity(endpoints: readonly string[], certificate: PeerCertificate): Error | undefined {
  const failures = endpoints.map((endpoint) => checkServerIdentity(parseEndpoint(endpoint).host, certificate));
  return failures.includes(undefined) ? undefined : failures[0];
}
