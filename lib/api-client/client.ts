// A typed client of the Kubernetes REST API: HTTP/2 where the server speaks it, JSON bodies, a deadline on every request.
// Errors that the server answers are thrown as StatusError; what does not reach a server is a TransportError.
import { context, propagation, SpanKind, trace } from '@opentelemetry/api';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { systemClock } from '#lib/environment/clock.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { ObjectMeta } from '#lib/kinds/types/meta-v1.ts';
import { failure, StatusError, type Status } from '#lib/machinery/status-error.ts';
import { withDeadline } from '#lib/service/abort.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { noteSpan } from '#lib/tracing/in-span.ts';
import { Http2Transport, NoHttp2Error } from './http2-transport.ts';
import { bodyText, type HttpMethod, type Transport, type TransportResponse } from './transport.ts';
import { readWatchEvents, type WatchEvent } from './watch-stream.ts';

/** How to reach an API server and as whom; what a kubeconfig or a service account mount holds. */
export interface ConnectionConfig {
  /** `https://192.168.1.10:6443` */
  readonly server: string;
  readonly caPem?: string | undefined;
  readonly certPem?: string | undefined;
  readonly keyPem?: string | undefined;
  readonly token?: string | undefined;
  /** A file that is read again at most once a minute: projected tokens are renewed in place. */
  readonly tokenFile?: string | undefined;
  /** Asked for a token before every request, for tokens that the process itself obtains; it caches and renews them. */
  readonly tokenSource?: (() => Promise<string>) | undefined;
  /** What to ask for instead of `application/json`, such as PartialObjectMetadata. */
  readonly accept?: string | undefined;
  readonly tlsServerName?: string | undefined;
  readonly insecureSkipTlsVerify?: boolean | undefined;
}

/** No answer came: connection refused or cut, name not found, deadline passed. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
}

/** An object to be created: the server gives it a name when `generateName` is set. */
export type NewObject<T extends KubernetesObject> = Omit<T, 'metadata' | 'apiVersion' | 'kind'> & {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly metadata: Partial<ObjectMeta>;
};

export interface ListOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly limit?: number | undefined;
  readonly continue?: string | undefined;
  /** `0`: whatever the server has in memory. */
  readonly resourceVersion?: string | undefined;
}
export interface ListResult<T> {
  readonly items: T[];
  readonly resourceVersion: string;
  readonly continue?: string | undefined;
}
export interface WatchOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly resourceVersion: string;
  readonly timeoutSeconds?: number | undefined;
  readonly signal: AbortSignal;
  /** The server has accepted the watch; events may come much later. */
  readonly onOpen?: (() => void) | undefined;
}
export interface DeleteOptions {
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground' | undefined;
  readonly preconditions?: { readonly uid?: string | undefined; readonly resourceVersion?: string | undefined } | undefined;
}
export type PatchType = 'json' | 'merge' | 'strategic';
const PATCH_CONTENT_TYPES: Readonly<Record<PatchType, string>> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
};

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Longest wait for the answer; milliseconds. */
  readonly timeoutMs?: number | undefined;
}

/** Longest wait for an answer to anything but a watch; milliseconds. Source: client-go discovery's 32 s. */
const REQUEST_TIMEOUT_MS = 32_000;
const TOKEN_REFRESH_MS = 60_000;
/** Of a request that the server asks to send again later. Source: client-go rest/request.go, maxRetries. */
const MAX_ATTEMPTS = 11;

const tracer = trace.getTracer('k8s.io/client-go');

export function objectPath(kind: Kind<never> | PathKind, namespace: string | undefined, name?: string, subresource?: string): string {
  const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const scope = kind.namespaced && namespace !== undefined && namespace !== '' ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  const tail = name === undefined ? '' : `/${encodeURIComponent(name)}${subresource === undefined ? '' : `/${subresource}`}`;
  return `${root}${scope}/${kind.plural}${tail}`;
}
interface PathKind {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

function queryOf(parameters: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined && value !== '') query.set(name, String(value));
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

/**
 * The connections of one or more clients of the same server; made when the first request is sent. Clients that differ
 * only in their tokens can share it.
 */
export function transportFor({ server, caPem, certPem, keyPem, tlsServerName, insecureSkipTlsVerify }: ConnectionConfig): Transport {
  const { protocol, hostname, port } = new URL(server);
  const security = {
    // Made once: reading the certificates again for each connection costs more than all else.
    secureContext: createSecureContext({ ca: caPem, cert: certPem, key: keyPem }), servername: tlsServerName, rejectUnauthorized: insecureSkipTlsVerify !== true,
  };
  const http2 = protocol === 'https:' ? new Http2Transport({ ...security, host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 443) }) : undefined;
  let http1: Promise<Transport> | undefined;
  const useHttp1 = (): Promise<Transport> => (http1 ??= import('./http1-transport.ts').then(({ http1Transport }) => http1Transport({ ...security, origin: server })));
  return {
    async send(request) {
      if (http2 && !http1) {
        try {
          return await http2.send(request);
        } catch (error) {
          if (!(error instanceof NoHttp2Error)) throw error;
        }
      }
      return (await useHttp1()).send(request);
    },
    get bytesRead() {
      return http2?.bytesRead ?? 0;
    },
    drop: () => http2?.drop(),
    close: async () => {
      await Promise.all([http2?.close(), http1?.then((transport) => transport.close())]);
    },
  };
}

export class ApiClient {
  readonly server: string;
  readonly #transport: Transport;
  readonly #userAgent: string;
  readonly #config: ConnectionConfig;
  #token: { value: string; readAtMs: number } | undefined;

  /** `transport`: connections that it shares with others, see `transportFor`. */
  constructor(config: ConnectionConfig, userAgent: string, transport = transportFor(config)) {
    this.server = config.server;
    this.#config = config;
    this.#userAgent = userAgent;
    this.#transport = transport;
  }

  get<T extends KubernetesObject>(kind: Kind<T>, namespace: string | undefined, name: string, options?: RequestOptions): Promise<T> {
    return this.request<T>('GET', objectPath(kind, namespace, name), undefined, options);
  }

  async list<T extends KubernetesObject>(kind: Kind<T>, selection: ListOptions = {}, options?: RequestOptions): Promise<ListResult<T>> {
    const { namespace, ...query } = selection;
    const body = await this.request<{ items?: T[] | null; metadata?: { resourceVersion?: string; continue?: string } }>(
      'GET', objectPath(kind, namespace) + queryOf(query), undefined, options);
    return { items: body.items ?? [], resourceVersion: body.metadata?.resourceVersion ?? '', continue: body.metadata?.continue };
  }

  create<T extends KubernetesObject>(kind: Kind<T>, object: NewObject<T>, options?: RequestOptions): Promise<T> {
    return this.request<T>('POST', objectPath(kind, object.metadata.namespace), { ...object, apiVersion: kind.apiVersion, kind: kind.kind }, options);
  }

  update<T extends KubernetesObject>(kind: Kind<T>, object: T, options?: RequestOptions): Promise<T> {
    return this.#put(kind, object, undefined, options);
  }

  updateStatus<T extends KubernetesObject>(kind: Kind<T>, object: T, options?: RequestOptions): Promise<T> {
    return this.#put(kind, object, 'status', options);
  }

  #put<T extends KubernetesObject>(kind: Kind<T>, object: T, subresource: string | undefined, options?: RequestOptions): Promise<T> {
    const { namespace, name } = object.metadata;
    return this.request<T>('PUT', objectPath(kind, namespace, name, subresource), { ...object, apiVersion: kind.apiVersion, kind: kind.kind }, options);
  }

  patch<T extends KubernetesObject>(
    kind: Kind<T>, namespace: string | undefined, name: string, patch: unknown,
    { type = 'merge', subresource, signal }: { type?: PatchType; subresource?: string } & RequestOptions = {},
  ): Promise<T> {
    return this.request<T>('PATCH', objectPath(kind, namespace, name, subresource), patch, { signal }, PATCH_CONTENT_TYPES[type]);
  }

  /** Resolves with what the server answers: the object while it is being deleted, or a Status. */
  delete<T extends KubernetesObject>(kind: Kind<T>, namespace: string | undefined, name: string, deletion: DeleteOptions = {}, options?: RequestOptions): Promise<unknown> {
    return this.request('DELETE', objectPath(kind, namespace, name), { apiVersion: 'v1', kind: 'DeleteOptions', ...deletion }, options);
  }

  deleteCollection<T extends KubernetesObject>(kind: Kind<T>, selection: ListOptions, deletion: DeleteOptions = {}, options?: RequestOptions): Promise<unknown> {
    const { namespace, ...query } = selection;
    return this.request('DELETE', objectPath(kind, namespace) + queryOf(query), { apiVersion: 'v1', kind: 'DeleteOptions', ...deletion }, options);
  }

  /** POST to a subresource: binding, eviction, token. */
  createSubresource<R>(kind: PathKind, namespace: string | undefined, name: string, subresource: string, body: unknown, options?: RequestOptions): Promise<R> {
    return this.request<R>('POST', objectPath(kind, namespace, name, subresource), body, options);
  }

  /**
   * Events after `resourceVersion`, until the server ends the watch (the iteration just ends) or the signal aborts.
   * Throws StatusError for an ERROR event or a refusal (410 when the version is too old), TransportError when cut off.
   */
  async *watch<T extends KubernetesObject>(kind: Kind<T>, { namespace, signal, onOpen, ...selection }: WatchOptions): AsyncGenerator<WatchEvent<T>> {
    const path = objectPath(kind, namespace) + queryOf({ ...selection, watch: true, allowWatchBookmarks: true });
    const response = await this.#send('GET', path, undefined, undefined, signal);
    if (response.statusCode >= 300) throw await statusErrorOf(response);
    onOpen?.();
    try {
      yield* readWatchEvents<T>(response.body);
    } catch (error) {
      if (error instanceof StatusError || signal.aborted) throw error;
      throw new TransportError(`watch of ${kind.plural} was cut`, { cause: error });
    }
  }

  /** A request to any path, for what has no kind. `body` undefined: none. */
  async request<R>(method: HttpMethod, path: string, body?: unknown, options?: RequestOptions, contentType = 'application/json'): Promise<R> {
    return withDeadline(options?.timeoutMs ?? REQUEST_TIMEOUT_MS, options?.signal, async (signal) => {
      const response = await this.#send(method, path, body === undefined ? undefined : JSON.stringify(body), contentType, signal);
      if (response.statusCode >= 300) throw await statusErrorOf(response);
      const type = response.headers['content-type'];
      const text = await textOf(response);
      return (typeof type === 'string' && type.startsWith('application/json') ? parsedAnswer(text) : text) as R;
    });
  }

  async #send(method: HttpMethod, path: string, body: string | undefined, contentType: string | undefined, signal: AbortSignal): Promise<TransportResponse> {
    const token = await this.#bearerToken();
    const headers: Record<string, string> = { accept: this.#config.accept ?? 'application/json', 'user-agent': this.#userAgent };
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
    if (body !== undefined && contentType !== undefined) headers['content-type'] = contentType;
    const startTime = Date.now();
    const active = context.active();
    if (method !== 'GET') propagation.inject(active, headers, { set: (carrier, name, value) => { carrier[name] = value; } });
    try {
      for (let attempt = 1; ; attempt += 1) {
        const response = await this.#transport.send({ method, path, headers, body, signal });
        const waitMs = attempt < MAX_ATTEMPTS ? askedToWaitMs(response) : undefined;
        if (waitMs === undefined) return response;
        response.body.on('error', () => undefined).resume(); // of no interest, but it has to be read
        await systemClock.sleep(waitMs, signal);
      }
    } catch (error) {
      // What reached a server is told by the server.
      if ('traceparent' in headers) noteSpan(tracer, `HTTP ${method}`, { root: false, kind: SpanKind.CLIENT, startTime, attributes: { [attribute.httpMethod]: method, [attribute.urlPath]: path } }, error);
      throw new TransportError(`${method} ${this.server}${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  async #bearerToken(): Promise<string | undefined> {
    const { token, tokenFile, tokenSource } = this.#config;
    if (tokenSource !== undefined) return tokenSource();
    if (tokenFile === undefined) return token;
    const nowMs = performance.now();
    if (!this.#token || nowMs - this.#token.readAtMs > TOKEN_REFRESH_MS) {
      this.#token = { value: (await readFile(tokenFile, 'utf8')).trim(), readAtMs: nowMs };
    }
    return this.#token.value;
  }

  /** From the server, on the connections there are: unchanged while nothing comes. */
  get bytesRead(): number {
    return this.#transport.bytesRead;
  }

  /** Breaks off all connections, watches included; whatever comes next makes new ones. */
  dropConnections(): void {
    this.#transport.drop();
  }

  /** Ends all connections, watches included. */
  async close(): Promise<void> {
    await this.#transport.close();
  }
}

/** A server that is overloaded or not ready says when to come again, whatever the request is. Source: client-go rest/with_retry.go, checkWait. */
function askedToWaitMs({ statusCode, headers }: TransportResponse): number | undefined {
  if (statusCode !== 429 && statusCode < 500) return undefined;
  const seconds = headers['retry-after'];
  return typeof seconds === 'string' && /^\d{1,6}$/.test(seconds) ? Number(seconds) * 1000 : undefined;
}

async function textOf(response: TransportResponse): Promise<string> {
  try {
    return await bodyText(response);
  } catch (error) {
    throw new TransportError('the answer was cut off', { cause: error });
  }
}

/** Without a content-length, an answer that ends early looks like one that is whole. */
function parsedAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TransportError('the answer was cut off', { cause: error });
  }
}

async function statusErrorOf(response: TransportResponse): Promise<StatusError> {
  const text = await textOf(response);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined; // a plain text answer, such as that of priority and fairness or of a proxy in between
  }
  if (typeof parsed === 'object' && parsed !== null && (parsed as { kind?: unknown }).kind === 'Status') return new StatusError(parsed as Status);
  return failure(response.statusCode, undefined, text.trim() === '' ? `the server answered ${response.statusCode}` : text.trim().slice(0, 1024));
}

/** `component/version`, as upstream's clients call themselves. */
export function connectToApiserver(config: ConnectionConfig, component: string, transport?: Transport): ApiClient {
  return new ApiClient(config, `${component}/v1.36.2 (linux/amd64) kubernetes/kubreak`, transport);
}
