// From Ingresses, Services, EndpointSlices and Secrets to what nginx is to serve. Two Ingresses that claim the same host
// and path: the older one has it. Source: ingress-nginx internal/ingress/controller/controller.go.
import type { Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import type { HTTPIngressPath, Ingress, IngressBackend, IngressClass } from '#lib/kinds/types/networking-v1.ts';
import { settingsOf, type LocationSettings } from './annotations.ts';

export interface Upstream {
  /** `namespace-service-port`. */
  readonly name: string;
  /** `address:port`, sorted; none: nobody serves. */
  readonly servers: readonly string[];
  /** The name behind an ExternalName Service. */
  readonly externalName?: string;
  readonly externalPort?: number;
  readonly sticky: boolean;
}

export interface Location {
  readonly path: string;
  readonly pathType: 'Exact' | 'Prefix' | 'ImplementationSpecific';
  readonly upstream: string;
  readonly settings: LocationSettings;
  /** `namespace/name` of the Ingress, and the Service, for the access log. */
  readonly ingress: string;
}

export interface VirtualServer {
  /** `_`: whoever asks for no host that is known. */
  readonly host: string;
  readonly aliases: readonly string[];
  /** `namespace/name` of the Secret; undefined: no TLS of its own. */
  readonly secret: string | undefined;
  readonly hasTls: boolean;
  readonly locations: readonly Location[];
}

export interface Model {
  readonly servers: readonly VirtualServer[];
  readonly upstreams: readonly Upstream[];
  /** What could not be used, for the log: sentences. */
  readonly problems: readonly string[];
}

export interface Sources {
  /** Only those of our class. */
  readonly ingresses: readonly Ingress[];
  readonly service: (namespace: string, name: string) => Service | undefined;
  readonly slices: (namespace: string, service: string) => readonly EndpointSlice[];
  readonly hasSecret: (namespace: string, name: string) => boolean;
}

const CLASS_ANNOTATION = 'kubernetes.io/ingress.class';
const DEFAULT_CLASS_ANNOTATION = 'ingressclass.kubernetes.io/is-default-class';
export const DEFAULT_HOST = '_';

export interface ClassSettings {
  readonly controller: string;
  /** The value of the old annotation that means us. */
  readonly annotation: string;
  readonly watchWithoutClass: boolean;
}

/** Whether an Ingress is for this controller. */
export function isOfClass({ metadata, spec }: Ingress, classes: readonly IngressClass[], { controller, annotation, watchWithoutClass }: ClassSettings): boolean {
  const name = spec.ingressClassName;
  if (name !== undefined) return classes.some((one) => one.metadata.name === name && one.spec.controller === controller);
  const old = metadata.annotations?.[CLASS_ANNOTATION];
  if (old !== undefined && old !== '') return old === annotation;
  return watchWithoutClass || classes.some((one) => one.spec.controller === controller && one.metadata.annotations?.[DEFAULT_CLASS_ANNOTATION] === 'true');
}

const idOf = ({ metadata }: Ingress): string => `${metadata.namespace ?? ''}/${metadata.name}`;
const byAge = (a: Ingress, b: Ingress): number => {
  const [left, right] = [`${a.metadata.creationTimestamp ?? ''} ${idOf(a)}`, `${b.metadata.creationTimestamp ?? ''} ${idOf(b)}`];
  return left < right ? -1 : left > right ? 1 : 0;
};

interface OpenServer {
  host: string;
  aliases: Set<string>;
  secret: string | undefined;
  hasTls: boolean;
  locations: Map<string, Location>;
}

export function buildModel(sources: Sources): Model {
  const problems: string[] = [];
  const servers = new Map<string, OpenServer>();
  const upstreams = new Map<string, Upstream>();
  const serverOf = (host: string): OpenServer => {
    let server = servers.get(host);
    if (!server) servers.set(host, (server = { host, aliases: new Set(), secret: undefined, hasTls: false, locations: new Map() }));
    return server;
  };
  serverOf(DEFAULT_HOST);
  const upstreamOf = (ingress: Ingress, backend: IngressBackend, sticky: boolean): string | undefined => {
    const upstream = resolveBackend(ingress, backend, sources, sticky);
    if (typeof upstream === 'string') {
      problems.push(`${idOf(ingress)}: ${upstream}`);
      return undefined;
    }
    upstreams.set(upstream.name, upstream);
    return upstream.name;
  };
  for (const ingress of [...sources.ingresses].sort(byAge)) {
    const { namespace = '' } = ingress.metadata;
    const ignored: string[] = [];
    const settings = settingsOf(ingress, ignored);
    problems.push(...ignored.map((text) => `${idOf(ingress)}: annotation ${text} is ignored`));
    const add = (host: string, { path, pathType, backend }: HTTPIngressPath): void => {
      const name = upstreamOf(ingress, backend, settings.affinity);
      if (name === undefined) return;
      const location: Location = { path: path || '/', pathType: pathType as Location['pathType'], upstream: name, settings, ingress: idOf(ingress) };
      const key = `${location.pathType === 'Exact' ? '=' : ''}${location.path}`;
      const { locations } = serverOf(host);
      const other = locations.get(key);
      if (!other) locations.set(key, location);
      else if (other.ingress !== location.ingress) problems.push(`${idOf(ingress)}: host ${host}, path ${location.path} belongs to ${other.ingress}`);
    };
    const hosts: string[] = [];
    for (const { host: asked, http } of ingress.spec.rules ?? []) {
      const host = asked || DEFAULT_HOST;
      hosts.push(host);
      for (const alias of settings.serverAlias) serverOf(host).aliases.add(alias);
      for (const path of http?.paths ?? []) add(host, path);
    }
    if (ingress.spec.defaultBackend) {
      // For what no path of the Ingress's hosts takes; without rules for everything that no other Ingress takes.
      for (const host of hosts.length === 0 ? [DEFAULT_HOST] : new Set(hosts)) add(host, { path: '/', pathType: 'Prefix', backend: ingress.spec.defaultBackend });
    }
    for (const { hosts: named, secretName } of ingress.spec.tls ?? []) {
      const known = secretName !== undefined && secretName !== '' && sources.hasSecret(namespace, secretName);
      if (secretName !== undefined && secretName !== '' && !known) problems.push(`${idOf(ingress)}: secret ${namespace}/${secretName} was not found or holds no certificate; the default certificate is used`);
      for (const host of named && named.length > 0 ? named : hosts) {
        const server = servers.get(host);
        if (!server) continue;
        server.hasTls = true;
        if (known) server.secret ??= `${namespace}/${secretName}`;
      }
    }
  }
  const claimed = new Set(servers.keys());
  return {
    servers: [...servers.values()].map(({ aliases, locations, ...server }) => ({ ...server, aliases: [...aliases].filter((alias) => !claimed.has(alias)).sort(), locations: [...locations.values()] }))
      .sort((a, b) => (a.host < b.host ? -1 : 1)),
    upstreams: [...upstreams.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    problems,
  };
}

/** The upstream, or why there is none. */
function resolveBackend({ metadata }: Ingress, { service: wanted, resource }: IngressBackend, { service: serviceOf, slices }: Sources, sticky: boolean): Upstream | string {
  if (!wanted) return `backend ${resource?.kind ?? ''} ${resource?.name ?? ''} is not a Service`;
  const { namespace = '' } = metadata;
  const portText = wanted.port?.name || String(wanted.port?.number ?? '');
  const name = `${namespace}-${wanted.name}-${portText}`;
  const service = serviceOf(namespace, wanted.name);
  if (!service?.spec) return `service "${namespace}/${wanted.name}" does not exist`;
  const port = service.spec.ports?.find(({ name: portName, port: number }) => (wanted.port?.name ? portName === wanted.port.name : number === wanted.port?.number));
  if (service.spec.type === 'ExternalName') {
    const number = port?.port ?? wanted.port?.number;
    if (number === undefined) return `service "${namespace}/${wanted.name}" does not have any port "${portText}"`;
    return { name, servers: [], externalName: service.spec.externalName ?? '', externalPort: number, sticky };
  }
  if (!port) return `service "${namespace}/${wanted.name}" does not have any active Endpoint for port "${portText}"`;
  const servers = new Set(slices(namespace, wanted.name).filter(({ addressType }) => addressType === 'IPv4').flatMap((slice) => {
    const number = slice.ports?.find(({ name: portName }) => (portName ?? '') === (port.name ?? ''))?.port;
    return number === undefined ? [] : (slice.endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false).flatMap(({ addresses }) => addresses.map((address) => `${address}:${number}`));
  }));
  return { name, servers: [...servers].sort(), sticky };
}
