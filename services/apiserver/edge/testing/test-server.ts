// An API server with everything real but storage, which is in memory, and access, which lets everybody in as an admin.
import pino from 'pino';
import { Registry } from 'prom-client';
import { systemClock } from '#lib/environment/clock.ts';
import { seededRandom } from '#lib/environment/random.ts';
import { anyKind, type Kind, type KubernetesObject } from '#lib/kinds/define-kind.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { serviceAccountKind } from '#lib/kinds/core/service-account.ts';
import { allKinds } from '#lib/kinds/registry.ts';
import { isAlreadyExists } from '#lib/machinery/status-error.ts';
import type { AuthenticationRequest, Authorizer, User } from '../../core/access.ts';
import type { Aggregator } from '../../aggregation/aggregator.ts';
import { ApiFaults } from '../../core/faults/api-faults.ts';
import { chainAdmission } from '../../core/admission/admission.ts';
import { admissionPlugins } from '../../core/admission/default-plugins.ts';
import { namespaceObject } from '../../core/bootstrap/objects.ts';
import { serviceReservations } from '../../core/services/reservations.ts';
import { parsePortRange, ServiceNetworking } from '../../core/services/service-networking.ts';
import type { ObjectReader } from '../../core/object-reader.ts';
import { MemoryStorage } from '../../core/testing/memory-storage.ts';
import { WatchCache } from '../../core/watch-cache.ts';
import { buildApiserverApp } from '../app.ts';
import type { Auditor } from '../audit/auditor.ts';
import { chargeQuotaWith } from '../charge-quota.ts';
import { cachedObjects } from '../cached-objects.ts';
import { feedCache, waitUntilFresh } from '../cache-feed.ts';
import { CustomResources } from '../../extensions/custom-resources.ts';
import { definitionChecks } from '../../extensions/definition-checks.ts';
import type { ApiserverExtension } from '../extension.ts';
import { asServer } from '../hooks/ensure.ts';
import { apiserverMetrics } from '../metrics.ts';
import { ObjectStore } from '../object-store.ts';
import { servedKinds } from '../served-kinds.ts';

const ADMIN: User = { name: 'admin', groups: ['system:masters', 'system:authenticated'] };

export interface TestServerOptions {
  /** That others use, too. */
  readonly storage?: MemoryStorage;
  readonly extensions?: readonly ApiserverExtension[];
  /** Default: everybody is an admin. `x-test-user: system:node:n1` is that node. */
  readonly authenticate?: (request: AuthenticationRequest) => User | undefined;
  readonly authorize?: (user: User) => boolean;
  readonly requestTimeoutMs?: number;
  readonly aggregator?: (objects: ObjectReader) => Aggregator;
  readonly maxRequestsInflight?: number;
  readonly auditor?: Auditor;
}

const userOf = ({ headers }: AuthenticationRequest): User => {
  const name = headers['x-test-user'];
  return typeof name === 'string' ? { name, groups: name.startsWith('system:node:') ? ['system:nodes', 'system:authenticated'] : ['system:authenticated'] } : ADMIN;
};

export interface Answer {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | string[] | number | undefined>>;
  readonly text: string;
  // Whatever the server says; tests look into it by path.
  readonly json: Json;
}
/** A JSON value whose members are looked up without ceremony. */
export interface Json {
  readonly [key: string]: Json & string & number & boolean & Json[];
}

export async function startTestServer(options: TestServerOptions = {}) {
  const kinds = servedKinds(allKinds);
  const storage = options.storage ?? new MemoryStorage();
  const stop = new AbortController();
  const random = seededRandom(7);
  const clock = systemClock;
  const log = pino({ level: 'silent' });
  const registry = new Registry();
  const cache = new WatchCache(kinds, () => undefined);
  const objects = cachedObjects(cache, storage);
  const authorizer: Authorizer = { authorize: ({ user }) => ({ allowed: options.authorize?.(user) ?? true, reason: '' }) };
  const networking = new ServiceNetworking({ cidr: '10.96.0.0/12', nodePorts: parsePortRange('30000-32767'), random });
  const store: ObjectStore = new ObjectStore({
    storage, cache, kinds, clock, random, eventTtlSeconds: 3600, reservations: [serviceReservations(networking, objects)],
    admission: chainAdmission([...admissionPlugins({ objects, authorizer, chargeQuota: chargeQuotaWith(() => store), clock, random, tolerations: { notReadySeconds: 300, unreachableSeconds: 300 }, enabled: ['NodeRestriction'], disabled: [] }), definitionChecks]),
  });
  const aggregator = options.aggregator?.(objects);
  const customResources = new CustomResources({ objects, cache, storage, clock, log });
  const cut: string[] = [];
  const apiFaults = new ApiFaults({ nowMs: () => clock.nowMs(), revision: () => cache.revision });
  const app = buildApiserverApp({
    kinds, storage, cache, store, objects, clock, random, log, metrics: apiserverMetrics(registry, () => []), metricsRegistry: registry,
    customResources, ...(aggregator ? { aggregator } : {}), extensions: options.extensions ?? [], waitUntilFresh: (signal) => waitUntilFresh({ storage, cache, clock }, signal),
    authenticator: { authenticate: async (request) => (options.authenticate ?? userOf)(request) },
    authorizer,
    health: { healthz: [{ name: 'ping', check: () => undefined }], livez: [{ name: 'ping', check: () => undefined }], readyz: [{ name: 'ping', check: () => undefined }, { name: 'etcd', check: () => 'down' }] },
    serverAddress: '192.0.2.1:6443', maxRequestsInflight: options.maxRequestsInflight ?? 400, maxMutatingRequestsInflight: 200,
    requestTimeoutMs: options.requestTimeoutMs ?? 60_000, minRequestTimeoutMs: 1_800_000, onWatch: () => undefined, onWatchCut: (kind) => cut.push(kind.plural), apiFaults,
    ...(options.auditor ? { auditor: options.auditor } : {}),
  });
  const feeding = feedCache({ storage, cache, clock, log, signal: stop.signal });
  await cache.waitFor(1, stop.signal);
  const unlessThere = (error: unknown): void => {
    if (!isAlreadyExists(error)) throw error;
  };
  await store.create(anyKind(namespaceKind), '', namespaceObject('default'), asServer).catch(unlessThere);
  await store.create(anyKind(serviceAccountKind), 'default', { metadata: { name: 'default' } } as KubernetesObject, asServer).catch(unlessThere);
  customResources.start(store, stop.signal);
  await app.ready();

  async function request(method: string, url: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const response = await app.inject({
      method: method as 'GET', url, headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { payload: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body) }),
    });
    const { statusCode, body: text } = response;
    return { code: statusCode, headers: response.headers, text, get json() { return JSON.parse(text) as Json; } };
  }
  return {
    app, storage, cache, store, objects, aggregator, cut, apiFaults, request,
    get: (url: string, headers?: Readonly<Record<string, string>>) => request('GET', url, undefined, headers),
    post: (url: string, body: unknown, headers?: Readonly<Record<string, string>>) => request('POST', url, body, headers),
    put: (url: string, body: unknown, headers?: Readonly<Record<string, string>>) => request('PUT', url, body, headers),
    delete: (url: string, body?: unknown, headers?: Readonly<Record<string, string>>) => request('DELETE', url, body, headers),
    patch: (url: string, type: 'json' | 'merge' | 'strategic-merge', body: unknown) => request('PATCH', url, body, { 'content-type': `application/${type}-patch+json` }),
    create: async <T extends KubernetesObject>(kind: Kind<T>, namespace: string, object: object): Promise<void> => {
      const copy = structuredClone(object) as T;
      kind.applyDefaults?.(copy);
      await store.create(kind as never, namespace, copy, asServer);
    },
    async close() {
      stop.abort();
      await app.close();
      await feeding;
    },
  };
}
export type TestServer = Awaited<ReturnType<typeof startTestServer>>;
