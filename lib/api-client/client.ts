// A typed client of the Kubernetes REST API over undici: one connection pool, JSON bodies, a deadline on every request.
// Errors that the server answers are thrown as StatusError; what does not reach a server is a TransportError.
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Dispatcher } from 'undici';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { ObjectMeta } from '#lib/kinds/types/meta-v1.ts';
import { failure, StatusError, type Status } from '#lib/machinery/status-error.ts';
import { newHttpPool, sendRequest, type HttpPool } from './http-pool.ts';
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
  /** Requests in flight at once; more wait. Default: unlimited, since each watch takes a connection. */
  readonly maxConnections?: number | undefined;
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
}

/** Longest wait for an answer to anything but a watch; milliseconds. Source: client-go discovery's 32 s. */
const REQUEST_TIMEOUT_MS = 32_000;
/**
 * A watch without any byte for this long is given up: the server sends a bookmark about every 60 s.
 * Milliseconds. Stands in for client-go's HTTP/2 pings, which find a dead peer in about 45 s.
 */
const WATCH_SILENCE_MS = 90_000;
const TOKEN_REFRESH_MS = 60_000;

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

export class ApiClient {
  readonly server: string;
  readonly #pool: HttpPool;
  readonly #userAgent: string;
  readonly #config: ConnectionConfig;
  #token: { value: string; readAtMs: number } | undefined;

  constructor(config: ConnectionConfig, userAgent: string) {
    this.server = config.server;
    this.#config = config;
    this.#userAgent = userAgent;
    this.#pool = newHttpPool(config.server, {
      connect: {
        // Made once: every watch has a connection of its own, and reading the certificates again for each costs more than all else.
        secureContext: createSecureContext({ ca: config.caPem, cert: config.certPem, key: config.keyPem }),
        ...(config.tlsServerName === undefined ? {} : { servername: config.tlsServerName }),
        rejectUnauthorized: config.insecureSkipTlsVerify !== true,
        timeout: 10_000,
      },
      connections: config.maxConnections ?? null,
      keepAliveTimeout: 30_000,
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: WATCH_SILENCE_MS,
    });
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
  async *watch<T extends KubernetesObject>(kind: Kind<T>, { namespace, signal, ...selection }: WatchOptions): AsyncGenerator<WatchEvent<T>> {
    const path = objectPath(kind, namespace) + queryOf({ ...selection, watch: true, allowWatchBookmarks: true });
    const response = await this.#send('GET', path, undefined, undefined, signal);
    if (response.statusCode >= 300) throw await statusErrorOf(response);
    try {
      yield* readWatchEvents<T>(response.body);
    } catch (error) {
      if (error instanceof StatusError || signal.aborted) throw error;
      throw new TransportError(`watch of ${kind.plural} was cut`, { cause: error });
    }
  }

  /** A request to any path, for what has no kind. `body` undefined: none. */
  async request<R>(method: Dispatcher.HttpMethod, path: string, body?: unknown, options?: RequestOptions, contentType = 'application/json'): Promise<R> {
    const deadline = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    const signal = options?.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
    const response = await this.#send(method, path, body === undefined ? undefined : JSON.stringify(body), contentType, signal);
    if (response.statusCode >= 300) throw await statusErrorOf(response);
    const type = response.headers['content-type'];
    const text = await bodyText(response);
    return (typeof type === 'string' && type.startsWith('application/json') ? JSON.parse(text) : text) as R;
  }

  async #send(method: Dispatcher.HttpMethod, path: string, body: string | undefined, contentType: string | undefined, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const token = await this.#bearerToken();
    const headers: Record<string, string> = { accept: this.#config.accept ?? 'application/json', 'user-agent': this.#userAgent };
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
    if (body !== undefined && contentType !== undefined) headers['content-type'] = contentType;
    try {
      // reset: undici would close the connection after every DELETE that has a body
      return await sendRequest(this.#pool, { method, path, headers, reset: false, ...(body === undefined ? {} : { body }), signal });
    } catch (error) {
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

  /** Ends all connections, watches included. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

async function bodyText(response: Dispatcher.ResponseData): Promise<string> {
  try {
    return await response.body.text();
  } catch (error) {
    throw new TransportError('the answer was cut off', { cause: error });
  }
}

async function statusErrorOf(response: Dispatcher.ResponseData): Promise<StatusError> {
  const text = await bodyText(response);
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
export function connectToApiserver(config: ConnectionConfig, component: string): ApiClient {
  return new ApiClient(config, `${component}/v1.36.2 (linux/amd64) kubernetes/kubreak`);
}
