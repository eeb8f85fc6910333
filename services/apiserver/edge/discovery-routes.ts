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

export function discoveryRoutes(app: FastifyInstance, documents: DiscoveryDocuments, morePaths: readonly string[]): void {
  const aggregated = new Map<string, { body: Buffer; etag: string }>();
  const root = (isCore: boolean) => (request: FastifyRequest, reply: FastifyReply): unknown => {
    void reply.header('vary', 'Accept');
    const version = aggregatedVersion(request.headers.accept);
    if (version === undefined) return sendPlainObject(reply, 200, isCore ? documents.coreVersions : documents.groupList, negotiate(request.headers.accept).format);
    const key = `${isCore} ${version}`;
    let cached = aggregated.get(key);
    if (!cached) {
      const body = Buffer.from(JSON.stringify(documents.aggregated(isCore, version)));
      aggregated.set(key, (cached = { body, etag: `"${createHash('sha512').update(body).digest('hex').toUpperCase()}"` }));
    }
    void reply.header('etag', cached.etag);
    if (request.headers['if-none-match'] === cached.etag) return reply.code(304).send();
    return reply.header('content-type', `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`).send(cached.body);
  };
  const plain = (path: string, document: unknown): void => {
    const answer = (request: FastifyRequest, reply: FastifyReply): unknown => sendPlainObject(reply, 200, document, negotiate(request.headers.accept).format);
    app.get(path, answer);
    app.get(`${path}/`, answer);
  };
  app.get('/api', root(true));
  app.get('/api/', root(true));
  app.get('/apis', root(false));
  app.get('/apis/', root(false));
  const paths = ['/api', '/apis', '/version'];
  for (const { group, versions } of documents.groups) {
    if (group !== '') {
      plain(`/apis/${group}`, documents.group(group));
      paths.push(`/apis/${group}`);
    }
    for (const version of versions) {
      const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
      plain(path, documents.resources(group, version));
      paths.push(path);
    }
  }
  plain('/version', VERSION);
  const index = Buffer.from(JSON.stringify({ paths: [...paths, ...morePaths].sort() }, null, 2));
  app.get('/', (_request, reply) => reply.header('content-type', 'application/json').send(index));
}
