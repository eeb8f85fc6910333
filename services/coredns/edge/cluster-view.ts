// Services, EndpointSlices and Namespaces from the API server, indexed as lookups need them.
import { networkInterfaces } from 'node:os';
import type { ApiClient } from '#lib/api-client/client.ts';
import { Informer } from '#lib/api-client/informer.ts';
import { untilListening } from '#lib/api-client/wait-for-apiserver.ts';
import type { Clock } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import type { Namespace, Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { clusterIps, type ClusterView } from '../core/cluster-records.ts';

export class InformerView implements ClusterView {
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #namespaces: Informer<Namespace>;
  readonly #server: string;
  readonly #clock: Clock;

  constructor(api: ApiClient, { clock, random, log }: Environment) {
    const common = { api, clock, random, log };
    this.#server = api.server;
    this.#clock = clock;
    this.#services = new Informer<Service>({ ...common, kind: serviceKind, transform: leanService }).addIndex('address', clusterIps);
    this.#slices = new Informer<EndpointSlice>({ ...common, kind: endpointSliceKind, transform: leanSlice })
      .addIndex('service', ({ metadata }) => [`${metadata.namespace ?? ''}/${metadata.labels?.['kubernetes.io/service-name'] ?? ''}`])
      .addIndex('address', ({ endpoints }) => (endpoints ?? []).flatMap(({ addresses }) => addresses));
    this.#namespaces = new Informer<Namespace>({ ...common, kind: namespaceKind, transform: leanNamespace });
  }

  /** On a host that has just started there may be no way to the API server's address yet: a list that fails would cost the informers a wait. */
  async run(signal: AbortSignal): Promise<void> {
    await untilListening(this.#server, this.#clock, signal);
    await Promise.all([this.#services.run(signal), this.#slices.run(signal), this.#namespaces.run(signal)]);
  }

  get hasSynced(): boolean {
    return this.#services.hasSynced && this.#slices.hasSynced && this.#namespaces.hasSynced;
  }
  hasNamespace(name: string): boolean {
    return this.#namespaces.get(undefined, name) !== undefined;
  }
  service(namespace: string, name: string): Service | undefined {
    return this.#services.get(namespace, name);
  }
  slicesOf(namespace: string, service: string): readonly EndpointSlice[] {
    return this.#slices.byIndex('service', `${namespace}/${service}`);
  }
  servicesByIp(address: string): readonly Service[] {
    return this.#services.byIndex('address', address);
  }
  slicesByIp(address: string): readonly EndpointSlice[] {
    return this.#slices.byIndex('address', address);
  }

  /** The cluster IPs of the Services that this process is an endpoint of; without one, its own addresses. */
  get ownAddresses(): readonly string[] {
    const local = Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).filter(({ internal }) => !internal).map(({ address }) => address));
    const services = local.flatMap((address) => this.slicesByIp(address)).flatMap(({ metadata }) =>
      this.service(metadata.namespace ?? '', metadata.labels?.['kubernetes.io/service-name'] ?? '') ?? []);
    const addresses = [...new Set(services.flatMap(clusterIps))];
    return addresses.length > 0 ? addresses : local;
  }
}

/** Drops what no name follows from; a cluster has many of these. */
const leanService = ({ metadata: { name, namespace, uid, resourceVersion }, spec }: Service): Service => ({
  metadata: { name, namespace, uid, resourceVersion },
  spec: { clusterIP: spec?.clusterIP, clusterIPs: spec?.clusterIPs, type: spec?.type, externalName: spec?.externalName, ports: spec?.ports },
});
const leanNamespace = ({ metadata: { name, uid, resourceVersion } }: Namespace): Namespace => ({ metadata: { name, uid, resourceVersion }, spec: {}, status: {} });
const leanSlice = (slice: EndpointSlice): EndpointSlice => {
  const { name, namespace, uid, resourceVersion, labels } = slice.metadata;
  return { ...slice, metadata: { name, namespace, uid, resourceVersion, labels } };
};
