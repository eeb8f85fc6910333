// APIServices: which groups and versions other servers answer for, whether these can be reached, and the way to them.
// Local ones are registered for everything that this server serves by itself.
// Source: kube-aggregator pkg/apiserver, pkg/controllers/{status,autoregister}.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { apiServiceKind } from '#lib/kinds/apiregistration/api-service.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import type { APIService } from '#lib/kinds/types/apiregistration-v1.ts';
import { isConflict, isNotFound, StatusError } from '#lib/machinery/status-error.ts';
import { formatTime } from '#lib/machinery/time.ts';
import type { RemoteGroupVersion } from '../core/discovery.ts';
import { localApiServices, type LocalGroupVersion } from '../core/api-services.ts';
import { statusRules } from '../core/lifecycle/write.ts';
import type { ObjectReader } from '../core/object-reader.ts';
import { serviceEndpoint } from '../access/proxy/addresses.ts';
import { dialErrorText, type Backend } from '../access/proxy/backend.ts';
import { answerOf, moveBody, openRequest } from '../access/proxy/http-proxy.ts';
import { endToEndHeaders } from '../access/proxy/headers.ts';
import { tunnel } from '../access/proxy/tunnel.ts';
import { asServer, ensure } from '../edge/hooks/ensure.ts';
import type { ObjectStore } from '../edge/object-store.ts';
import { pendingUpgrade } from '../edge/pipeline.ts';
import { availableCondition, clusterAddress, DEFAULT_PORT, failedDiscovery, isAvailable, LOCAL, obstacle, PASSED, withFinding, type Finding } from './availability.ts';
import { aggregatedResources } from './remote-discovery.ts';
import type { RemoteSource } from './remote-openapi.ts';
import { backendOf, fetchDocument, remoteHeaders, secureContextFor, userHeaders, type ProxyClient } from './remote-server.ts';

/** A server is asked again after this long whatever happens, and sooner while it fails. Milliseconds. */
const RECHECK_MS = 30_000;
const FIRST_RETRY_MS = 250;
/** Questions that may fail before the server counts as gone: behind a Service one of several may be. */
const ATTEMPTS = 5;

export interface AggregatorOptions {
  readonly objects: ObjectReader;
  readonly clock: Clock;
  readonly log: Logger;
  readonly client: ProxyClient;
  /** --enable-aggregator-routing: endpoints are dialled directly, not the Service's address. */
  readonly routesToEndpoints: boolean;
  /** In [0, 1): which endpoint. */
  readonly fraction: () => number;
}

interface Known {
  readonly apiService: Readonly<APIService>;
  resources: readonly unknown[];
  isReachable: boolean;
  failures: number;
  timer: AbortController | undefined;
  isChecking: boolean;
  isStale: boolean;
}

export class Aggregator {
  readonly #options: AggregatorOptions;
  /** Remote ones by `group/version`. */
  readonly #remote = new Map<string, Known>();
  readonly #listeners = new Set<() => void>();
  #store: ObjectStore | undefined;
  #signal: AbortSignal = AbortSignal.abort();

  constructor(options: AggregatorOptions) {
    this.#options = options;
  }

  /** Calls back whenever discovery has to be written anew. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }
  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  remoteGroupVersions(): RemoteGroupVersion[] {
    return [...this.#remote.values()].map(({ apiService: { spec }, resources, isReachable }) => ({
      group: spec.group ?? '', version: spec.version ?? '', groupPriority: spec.groupPriorityMinimum, versionPriority: spec.versionPriority, resources, isFresh: isReachable,
    }));
  }

  /** Servers that answer, for what they publish about themselves. */
  openApiSources(): RemoteSource[] {
    return [...this.#remote.values()].filter(({ isReachable }) => isReachable).map(({ apiService }) => ({
      group: apiService.spec.group ?? '', version: apiService.spec.version ?? '', identity: JSON.stringify(apiService.spec),
      fetch: async (path) => fetchDocument(this.#backend(apiService, true), path, this.#signal),
    }));
  }

  /** The remote server that answers for `path`. */
  serves(path: string): Readonly<APIService> | undefined {
    if (this.#remote.size === 0) return undefined;
    const [, group = '', version = ''] = /^\/apis\/([^/]+)\/([^/]+)(?:\/|$)/.exec(path) ?? [];
    return this.#remote.get(`${group}/${version}`)?.apiService;
  }

  #address({ spec }: Readonly<APIService>): { readonly host: string; readonly port: number } {
    const { objects, routesToEndpoints, fraction } = this.#options;
    const { name = '', namespace = '', port = DEFAULT_PORT } = spec.service ?? {};
    const service = objects.cached(serviceKind, namespace, name);
    if (!service) throw new Error(`service ${JSON.stringify(name)} not found`);
    if (routesToEndpoints) return serviceEndpoint(service, this.#slices(namespace, name), String(port), fraction());
    const address = clusterAddress(service, port);
    if (typeof address === 'string') throw new Error(address);
    return address;
  }
  #slices(namespace: string, name: string) {
    return this.#options.objects.listCached(endpointSliceKind, namespace).filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === name);
  }
  #backend(apiService: Readonly<APIService>, trust: boolean): Backend {
    return backendOf(apiService, this.#address(apiService), secureContextFor(apiService, this.#options.client, trust), trust);
  }

  /** Passes the request on and its answer back. */
  async proxy(apiService: Readonly<APIService>, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const refuse = (text: string) => reply.code(503).header('content-type', 'text/plain; charset=utf-8').header('x-content-type-options', 'nosniff').send(`${text}\n`);
    if (!isAvailable(apiService)) return refuse('service unavailable');
    const { raw, api } = request;
    const target = raw.url ?? '/';
    let backend: Backend;
    try {
      backend = this.#backend(apiService, true);
    } catch (error) {
      this.#options.log.warn({ err: error, apiservice: apiService.metadata.name }, 'cannot resolve the server of an APIService');
      return refuse('service unavailable');
    }
    const { signal } = api.abort;
    const upgrade = pendingUpgrade(raw);
    if (upgrade) {
      reply.hijack();
      reply.raw.detachSocket(upgrade.socket as Parameters<typeof reply.raw.detachSocket>[0]);
      const headerLines = Object.entries(userHeaders(api.user)).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one.replace(/[\r\n]/g, '')}`));
      try {
        await tunnel(raw, upgrade.socket, upgrade.head, { backend, target, signal, headerLines });
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        if (!upgrade.socket.destroyed) upgrade.socket.end(`HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text) + 1}\r\nConnection: close\r\n\r\n${text}\n`);
      }
      return undefined;
    }
    try {
      const outgoing = await openRequest(backend, { method: raw.method ?? 'GET', target, headers: remoteHeaders(raw, api.user), signal });
      raw.pipe(outgoing);
      const answer = await answerOf(outgoing);
      for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) reply.raw.setHeader(name, value);
      reply.hijack();
      reply.raw.writeHead(answer.statusCode ?? 502, endToEndHeaders(answer.headers));
      reply.raw.flushHeaders();
      await moveBody(answer, reply.raw);
      return undefined;
    } catch (error) {
      if (signal.aborted) throw error;
      if (reply.raw.headersSent) return void reply.raw.destroy();
      return refuse(`error trying to reach service: ${dialErrorText(backend, error)}`);
    }
  }

  /** Watches APIServices and what is behind them until `signal` aborts. */
  start(store: ObjectStore, signal: AbortSignal): void {
    const { objects } = this.#options;
    this.#store = store;
    this.#signal = signal;
    const recheckOf = (namespace: string, name: string): void => {
      for (const known of this.#remote.values()) {
        const { service } = known.apiService.spec;
        if (service?.name === name && service.namespace === namespace) this.#check(known);
      }
    };
    const stops = [
      objects.subscribe(apiServiceKind, ({ type, object }) => this.#take(object, type === 'DELETED')),
      objects.subscribe(serviceKind, ({ object: { metadata } }) => this.#remote.size > 0 && recheckOf(metadata.namespace ?? '', metadata.name)),
      objects.subscribe(endpointSliceKind, ({ object: { metadata } }) => this.#remote.size > 0 && recheckOf(metadata.namespace ?? '', metadata.labels?.['kubernetes.io/service-name'] ?? '')),
    ];
    signal.addEventListener('abort', () => {
      stops.forEach((stop) => stop());
      for (const { timer } of this.#remote.values()) timer?.abort();
    }, { once: true });
  }

  #take(apiService: Readonly<APIService>, isGone: boolean): void {
    const { spec, metadata } = apiService;
    const key = `${spec.group ?? ''}/${spec.version ?? ''}`;
    const known = this.#remote.get(key);
    if (isGone || !spec.service) {
      if (known?.apiService.metadata.name === metadata.name) {
        known.timer?.abort();
        this.#remote.delete(key);
        this.#changed();
      }
      if (!isGone && availableCondition(apiService)?.reason !== LOCAL.reason) this.#report(metadata.name, LOCAL);
      return;
    }
    if (known) {
      const isSame = JSON.stringify(known.apiService.spec) === JSON.stringify(spec);
      Object.assign(known, { apiService });
      if (isSame) return;
    }
    const next: Known = known ?? { apiService, resources: [], isReachable: false, failures: 0, timer: undefined, isChecking: false, isStale: false };
    this.#remote.set(key, next);
    this.#changed();
    this.#check(next);
  }

  /** One check at a time; what is asked for meanwhile makes another. */
  #check(known: Known): void {
    if (known.isChecking) return void (known.isStale = true);
    known.timer?.abort();
    known.isChecking = true;
    known.isStale = false;
    void this.#examine(known).catch((error: unknown) => this.#options.log.warn({ err: error, apiservice: known.apiService.metadata.name }, 'cannot check an APIService')).finally(() => {
      known.isChecking = false;
      if (this.#signal.aborted || !this.#isKnown(known)) return;
      if (known.isStale) return this.#check(known);
      const waitMs = known.failures === 0 ? RECHECK_MS : Math.min(RECHECK_MS, FIRST_RETRY_MS * 2 ** (known.failures - 1));
      const timer = (known.timer = new AbortController());
      this.#options.clock.sleep(waitMs, timer.signal).then(() => this.#check(known), () => undefined);
    });
  }
  #isKnown(known: Known): boolean {
    const { spec } = known.apiService;
    return this.#remote.get(`${spec.group ?? ''}/${spec.version ?? ''}`) === known;
  }

  async #examine(known: Known): Promise<void> {
    const { objects } = this.#options;
    const { apiService } = known;
    const { name = '', namespace = '' } = apiService.spec.service ?? {};
    const slices = this.#slices(namespace, name);
    let finding = obstacle(apiService, objects.cached(serviceKind, namespace, name), slices);
    let resources: readonly unknown[] = known.resources;
    if (!finding) {
      try {
        resources = await this.#probe(apiService);
        finding = PASSED;
      } catch (error) {
        finding = failedDiscovery(error instanceof Error ? error.message : String(error));
      }
    }
    const isReachable = finding.status === 'True';
    known.failures = isReachable ? 0 : known.failures + 1;
    if (known.isReachable !== isReachable || JSON.stringify(known.resources) !== JSON.stringify(resources)) {
      Object.assign(known, { isReachable, resources });
      this.#changed();
    }
    await this.#report(apiService.metadata.name, finding);
  }

  async #probe(apiService: Readonly<APIService>): Promise<readonly unknown[]> {
    const { group = '', version = '' } = apiService.spec;
    const once = async () => aggregatedResources(group, version, await fetchDocument(this.#backend(apiService, false), `/apis/${group}/${version}`, this.#signal));
    try {
      return await once();
    } catch {
      return await Promise.any(Array.from({ length: ATTEMPTS - 1 }, once)).catch((error: AggregateError) => {
        throw error.errors.at(-1);
      });
    }
  }

  async #report(name: string, finding: Finding): Promise<void> {
    const now = formatTime(this.#options.clock.nowMs());
    const known = this.#options.objects.cached(apiServiceKind, '', name);
    if (known && !withFinding(known, finding, now)) return;
    await this.#store?.update({
      kind: anyKind(apiServiceKind), namespace: '', name, subresource: 'status', rules: statusRules,
      change: (current) => withFinding(current as APIService, finding, now) ?? (structuredClone(current) as APIService),
    }, asServer).catch((error: unknown) => {
      if (!isNotFound(error) && !isConflict(error) && !(error instanceof StatusError)) throw error;
    });
  }

  /** With the status that they will have: it needs no looking at. */
  localOnes(served: readonly LocalGroupVersion[]): APIService[] {
    const now = formatTime(this.#options.clock.nowMs());
    return localApiServices(served).map((one) => withFinding(one, LOCAL, now) ?? one);
  }

  /** Makes the APIServices of what this server serves itself; one that a user has put a Service into stays. */
  async registerLocal(store: ObjectStore, served: readonly LocalGroupVersion[]): Promise<void> {
    const { objects } = this.#options;
    await Promise.all(localApiServices(served).map((desired) => ensure({ store, objects }, apiServiceKind, desired)));
  }
}
