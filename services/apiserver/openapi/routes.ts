// /openapi/v2 and /openapi/v3: built when first asked for, kept gzipped, told apart by hash.
// Source: kube-openapi pkg/handler and pkg/handler3.
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AnyKind } from '#lib/kinds/define-kind.ts';
import { definitions, listKeys } from '#lib/kinds/openapi/schemas.ts';
import { notFound } from '#lib/machinery/status-error.ts';
import type { ApiserverExtension } from '../edge/extension.ts';
import { NO_DESCRIPTIONS, type Descriptions } from './descriptions.ts';
import { v2Json, v2Parts, v3Json } from './documents.ts';
import { v2Protobuf } from './v2-protobuf.ts';

/** Changes when the documents come out differently from the same definitions; clients keep documents by their hash. */
const LAYOUT = '2';
const PROTOBUF_V2 = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';
const YEAR_SECONDS = 365 * 24 * 3600;

interface Stored {
  readonly gzipped: Buffer;
  readonly etag: string;
}

export interface OpenApiOptions {
  readonly kinds: readonly AnyKind[];
  readonly version: string;
  /** Text of openapi-descriptions.json; read when a document is made and not kept: it is a megabyte. */
  readonly descriptions?: () => string;
}

export function openApiExtension({ kinds, version, descriptions: readDescriptions = () => JSON.stringify(NO_DESCRIPTIONS) }: OpenApiOptions): ApiserverExtension {
  const source = (of: readonly AnyKind[]) => ({ kinds: of, version, descriptions: JSON.parse(readDescriptions()) as Descriptions });
  const byPath = new Map<string, AnyKind[]>();
  for (const kind of kinds) {
    const path = kind.group === '' ? `api/${kind.version}` : `apis/${kind.group}/${kind.version}`;
    byPath.set(path, [...(byPath.get(path) ?? []), kind]);
  }
  const remember = new Map<string, Stored>();
  const stored = (key: string, build: () => Buffer): Stored => {
    const known = remember.get(key);
    if (known) return known;
    const bytes = build();
    const made = { gzipped: gzipSync(bytes), etag: hashOf(bytes) };
    remember.set(key, made);
    return made;
  };
  const v3Hashes = lazily(() => hashesOf(byPath, version + hashOf(readDescriptions())));

  const routes = (app: FastifyInstance): void => {
    app.get('/openapi/v2', (request, reply) => {
      const wantsProtobuf = /proto-openapi\.spec\.v2[.@]v1\.0\+protobuf/.test(request.headers.accept ?? '');
      const document = wantsProtobuf
        ? stored('v2 protobuf', () => v2Protobuf(v2Parts(source(kinds))))
        : stored('v2 json', () => v2Json(source(kinds)));
      return send(request, reply, document, wantsProtobuf ? PROTOBUF_V2 : 'application/json');
    });
    const index = (request: FastifyRequest, reply: FastifyReply) => {
      const document = stored('v3 index', () => Buffer.from(JSON.stringify({
        paths: Object.fromEntries([...v3Hashes()].map(([path, hash]) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }])),
      })));
      return send(request, reply, document, 'application/json');
    };
    app.get('/openapi/v3', index);
    app.get('/openapi/v3/', index);
    app.get<{ Params: { '*': string }; Querystring: { hash?: string } }>('/openapi/v3/*', (request, reply) => {
      const path = request.params['*'];
      const ofPath = byPath.get(path);
      const hash = v3Hashes().get(path);
      if (!ofPath || hash === undefined) throw notFound({ group: '', plural: 'openapi' }, path);
      const asked = request.query.hash;
      if (asked !== undefined && asked !== hash) return reply.redirect(`/openapi/v3/${path}?hash=${hash}`, 301);
      const document = stored(path, () => v3Json(source(ofPath)));
      if (asked !== undefined) {
        void reply.header('cache-control', `public, immutable, max-age=${YEAR_SECONDS}`);
        void reply.header('expires', new Date(Date.now() + YEAR_SECONDS * 1000).toUTCString());
      }
      return send(request, reply, { ...document, etag: hash }, 'application/json');
    });
  };
  return { routes, paths: ['/openapi/v2', '/openapi/v3', '/openapi/v3/'] };
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

const hashOf = (content: string | Uint8Array): string => createHash('sha512').update(content).digest('hex').toUpperCase();

/** A document follows from the kinds and the definitions: hashing those spares building every document for the index. */
function hashesOf(byPath: ReadonlyMap<string, readonly AnyKind[]>, version: string): Map<string, string> {
  const common = hashOf(JSON.stringify([LAYOUT, version, definitions, listKeys]));
  return new Map([...byPath].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, kinds]) => [path, hashOf(JSON.stringify([common, kinds.map((kind) =>
    [kind.apiVersion, kind.kind, kind.plural, kind.listKind, kind.namespaced, kind.verbs, kind.schema, kind.subresources])]))]));
}

function send(request: FastifyRequest, reply: FastifyReply, { gzipped, etag }: Stored, contentType: string): FastifyReply {
  void reply.header('etag', `"${etag}"`).header('vary', 'Accept-Encoding, Accept').header('content-type', contentType);
  if (request.headers['if-none-match'] === `"${etag}"`) return reply.code(304).send();
  const takesGzip = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
  if (!takesGzip) return reply.send(gunzipSync(gzipped));
  return reply.header('content-encoding', 'gzip').send(gzipped);
}
