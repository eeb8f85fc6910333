// /api, /apis and below, /version, and the index at /.
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { DiscoveryDocuments } from '../core/discovery.ts';
import { sendPlainObject } from './answer.ts';
import { negotiate, parseAccept } from './negotiation.ts';
import { VERSION } from './version.ts';

/** The aggregated version that a client prefers over the plain lists, if any. */
function aggregatedVersion(accept: string | undefined): 'v2' | 'v2beta1' | undefined {
  for (const { type, parameters } of parseAccept(accept ?? '')) {
    if (type !== 'application/json') continue;
    if (parameters['as'] === undefined) return undefined;
    const { as, g, v } = parameters;
    if (as === 'APIGroupDiscoveryList' && g === 'apidiscovery.k8s.io' && (v === 'v2' || v === 'v2beta1')) return v;
  }
  return undefined;
}

export interface DiscoverySource {
  /** The same object until something has changed. */
  readonly documents: () => DiscoveryDocuments;
}

export function discoveryRoutes(app: FastifyInstance, { documents }: DiscoverySource, morePaths: readonly string[]): void {
  const aggregated = new WeakMap<DiscoveryDocuments, Map<string, { body: Buffer; etag: string }>>();
  const aggregatedDocument = (current: DiscoveryDocuments, isCore: boolean, version: 'v2' | 'v2beta1') => {
    const known = aggregated.get(current) ?? new Map<string, { body: Buffer; etag: string }>();
    aggregated.set(current, known);
    const key = `${isCore} ${version}`;
    let document = known.get(key);
    if (!document) {
      const body = Buffer.from(JSON.stringify(current.aggregated(isCore, version)));
      known.set(key, (document = { body, etag: `"${createHash('sha512').update(body).digest('hex').toUpperCase()}"` }));
    }
    return document;
  };
  const root = (isCore: boolean) => (request: FastifyRequest, reply: FastifyReply): unknown => {
    void reply.header('vary', 'Accept');
    const current = documents();
    const version = aggregatedVersion(request.headers.accept);
    if (version === undefined) return sendPlainObject(reply, 200, isCore ? current.coreVersions : current.groupList, negotiate(request.headers.accept).format);
    const { body, etag } = aggregatedDocument(current, isCore, version);
    void reply.header('etag', etag);
    if (request.headers['if-none-match'] === etag) return reply.code(304).send();
    return reply.header('content-type', `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`).send(body);
  };
  const at = (path: string, answer: (request: FastifyRequest, reply: FastifyReply) => unknown): void => {
    app.get(path, answer);
    app.get(`${path}/`, answer);
  };
  at('/api', root(true));
  at('/apis', root(false));
  at('/version', (request, reply) => sendPlainObject(reply, 200, VERSION, negotiate(request.headers.accept).format));
  app.get('/', (_request, reply) => {
    const paths = documents().groups.flatMap(({ group, versions }) =>
      (group === '' ? versions.map((version) => `/api/${version}`) : [`/apis/${group}`, ...versions.map((version) => `/apis/${group}/${version}`)]));
    return reply.header('content-type', 'application/json').send(Buffer.from(JSON.stringify({ paths: ['/api', '/apis', '/version', ...paths, ...morePaths].sort() }, null, 2)));
  });
}

/** The document of one group, or of one group and version; undefined for any other path. */
export function groupDocument(path: string, documents: DiscoveryDocuments): unknown {
  const [, prefix, rest = ''] = /^\/(apis?)\/(.+?)\/?$/.exec(path) ?? [];
  const parts = rest.split('/');
  if (prefix === 'api') return parts.length === 1 ? documents.resources('', rest) : undefined;
  const [group = '', version] = parts;
  if (prefix === undefined || parts.length > 2 || group === '') return undefined;
  return version === undefined ? documents.group(group) : documents.resources(group, version);
}
