// /openapi/v2 and /openapi/v3: built when first asked for, kept gzipped, told apart by hash. Custom resources and the
// documents of aggregated servers are part of them.
// Source: kube-openapi pkg/handler and pkg/handler3; kube-aggregator pkg/controllers/openapi{,v3}.
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AnyKind } from '#lib/kinds/define-kind.ts';
import { definitions, listKeys } from '#lib/kinds/openapi/schemas.ts';
import { notFound } from '#lib/machinery/status-error.ts';
import type { ApiserverExtension } from '../edge/extension.ts';
import type { CustomType } from './custom-types.ts';
import { NO_DESCRIPTIONS, type Descriptions } from './descriptions.ts';
import { v2Json, v2Parts, v3Json, type DocumentSource, type RemoteV2 } from './documents.ts';
import { v2Protobuf } from './v2-protobuf.ts';

/** Changes when the documents come out differently from the same definitions; clients keep documents by their hash. */
const LAYOUT = '3';
const PROTOBUF_V2 = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';
const YEAR_SECONDS = 365 * 24 * 3600;
/** Documents in memory, each some tens of KiB; beyond, those not used for longest are made again when asked for. */
const MAX_DOCUMENTS = 64;

interface Stored {
  readonly gzipped: Buffer;
  readonly etag: string;
}

/** What servers behind APIServices publish. */
export interface RemoteOpenApi {
  /** By path, such as `apis/metrics.k8s.io/v1beta1`; servers that cannot be reached are left out. */
  v3(): Promise<ReadonlyMap<string, Buffer>>;
  v2(): Promise<readonly RemoteV2[]>;
}

export interface OpenApiOptions {
  readonly kinds: readonly AnyKind[];
  readonly version: string;
  /** Text of openapi-descriptions.json; read when a document is made and not kept: it is a megabyte. */
  readonly descriptions?: () => string;
  readonly customTypes?: () => readonly CustomType[];
  readonly remote?: RemoteOpenApi;
}

/** What stands in the document of one path. */
interface Part {
  readonly kinds: readonly AnyKind[];
  readonly custom: readonly CustomType[];
  readonly hash: string;
}

const pathOf = ({ group, version }: AnyKind): string => (group === '' ? `api/${version}` : `apis/${group}/${version}`);
function groupByPath<T>(items: readonly T[], kindOf: (item: T) => AnyKind): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(pathOf(kindOf(item)), [...(groups.get(pathOf(kindOf(item))) ?? []), item]);
  return groups;
}
const hashOf = (content: string | Uint8Array): string => createHash('sha512').update(content).digest('hex').toUpperCase();

export function openApiExtension({ kinds, version, descriptions: readDescriptions = () => JSON.stringify(NO_DESCRIPTIONS), customTypes = () => [], remote }: OpenApiOptions): ApiserverExtension {
  const source = (of: Omit<DocumentSource, 'version' | 'descriptions'>): DocumentSource => ({ ...of, version, descriptions: JSON.parse(readDescriptions()) as Descriptions });
  const byPath = groupByPath(kinds, (kind) => kind);
  const common = lazily(() => hashOf(JSON.stringify([LAYOUT, version, hashOf(readDescriptions()), ownDefinitions(), listKeysOf()])));
  const ownHashes = lazily(() => new Map([...byPath].map(([path, of]) => [path, hashOfKinds(common(), of)])));
  const documents = new DocumentStore();

  /** Hashes of custom resources cost a walk over their schemas: once for each state of the definitions. */
  let known: { readonly types: readonly CustomType[]; readonly parts: ReadonlyMap<string, Part> } | undefined;
  const parts = (): ReadonlyMap<string, Part> => {
    const types = customTypes();
    if (known && known.types.length === types.length && known.types.every(({ kind }, index) => kind === types[index]?.kind)) return known.parts;
    const custom = groupByPath(types, ({ kind }) => kind);
    const paths = [...new Set([...byPath.keys(), ...custom.keys()])].sort((a, b) => (a < b ? -1 : 1));
    const made = new Map(paths.map((path): [string, Part] => {
      const [own, added] = [ownHashes().get(path), custom.get(path) ?? []];
      const hash = added.length === 0 && own !== undefined ? own : hashOf(JSON.stringify([own ?? common(), hashOfKinds('', added.map(({ kind }) => kind)), added.map(({ schema }) => schema)]));
      return [path, { kinds: byPath.get(path) ?? [], custom: added, hash }];
    }));
    known = { types, parts: made };
    return made;
  };

  const routes = (app: FastifyInstance): void => {
    app.get('/openapi/v2', async (request, reply) => {
      const wantsProtobuf = /proto-openapi\.spec\.v2[.@]v1\.0\+protobuf/.test(request.headers.accept ?? '');
      const others = await remote?.v2() ?? [];
      const state = hashOf(JSON.stringify([[...parts().values()].map(({ hash }) => hash), others]));
      const whole = () => source({ kinds, custom: customTypes(), remote: others });
      const document = wantsProtobuf
        ? await documents.get('v2 protobuf', state, () => v2Protobuf(v2Parts(whole())))
        : await documents.get('v2 json', state, () => v2Json(whole()));
      return send(request, reply, document, wantsProtobuf ? PROTOBUF_V2 : 'application/json');
    });
    const index = async (request: FastifyRequest, reply: FastifyReply) => {
      const others = await remote?.v3() ?? new Map<string, Buffer>();
      const hashes = new Map([...[...parts()].map(([path, { hash }]) => [path, hash] as const), ...[...others].map(([path, bytes]) => [path, hashOf(bytes)] as const)]);
      const text = JSON.stringify({
        paths: Object.fromEntries([...hashes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, hash]) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }])),
      });
      return send(request, reply, await documents.get('v3 index', hashOf(text), () => Buffer.from(text)), 'application/json');
    };
    app.get('/openapi/v3', index);
    app.get('/openapi/v3/', index);
    app.get<{ Params: { '*': string }; Querystring: { hash?: string } }>('/openapi/v3/*', async (request, reply) => {
      const path = request.params['*'];
      const own = parts().get(path);
      const other = own ? undefined : (await remote?.v3())?.get(path);
      const hash = own?.hash ?? (other && hashOf(other));
      if (hash === undefined) throw notFound({ group: '', plural: 'openapi' }, path);
      const asked = request.query.hash;
      if (asked !== undefined && asked !== hash) return reply.redirect(`/openapi/v3/${path}?hash=${hash}`, 301);
      const document = await documents.get(path, hash, () => other ?? v3Json(source({ kinds: own?.kinds ?? [], custom: own?.custom ?? [] })));
      if (asked !== undefined) {
        void reply.header('cache-control', `public, immutable, max-age=${YEAR_SECONDS}`);
        void reply.header('expires', new Date(Date.now() + YEAR_SECONDS * 1000).toUTCString());
      }
      return send(request, reply, { ...document, etag: hash }, 'application/json');
    });
  };
  return { routes, paths: ['/openapi/v2', '/openapi/v3', '/openapi/v3/'] };
}

/** Made when asked for, and remade when what they are made of has changed. */
class DocumentStore {
  readonly #known = new Map<string, { readonly state: string; readonly document: Promise<Stored> }>();

  get(key: string, state: string, build: () => Buffer): Promise<Stored> {
    const known = this.#known.get(key);
    this.#known.delete(key); // the one used last stands last
    const kept = known?.state === state ? known : { state, document: compressed(build()) };
    this.#known.set(key, kept);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_DOCUMENTS) break;
      this.#known.delete(oldest);
    }
    return kept.document;
  }
}

const compressed = async (bytes: Buffer): Promise<Stored> => ({ gzipped: await promisify(gzip)(bytes), etag: hashOf(bytes) });

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** Definitions of custom resources stand among the others, under names that no other run would give them. */
const isOwn = ([name]: readonly [string, unknown]): boolean => !name.startsWith('custom.');
const ownDefinitions = () => Object.fromEntries(Object.entries(definitions).filter(isOwn));
const listKeysOf = () => Object.fromEntries(Object.entries(listKeys).filter(isOwn));

/** A document follows from the kinds and the definitions: hashing those spares building every document for the index. */
function hashOfKinds(common: string, kinds: readonly AnyKind[]): string {
  return hashOf(JSON.stringify([common, kinds.map((kind) => [kind.apiVersion, kind.kind, kind.plural, kind.listKind, kind.namespaced, kind.verbs, kind.isCustom ? '' : kind.schema, kind.subresources])]));
}

async function send(request: FastifyRequest, reply: FastifyReply, { gzipped, etag }: Stored, contentType: string): Promise<FastifyReply> {
  void reply.header('etag', `"${etag}"`).header('vary', 'Accept-Encoding, Accept').header('content-type', contentType);
  if (request.headers['if-none-match'] === `"${etag}"`) return reply.code(304).send();
  const takesGzip = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
  if (!takesGzip) return reply.send(await promisify(gunzip)(gzipped));
  return reply.header('content-encoding', 'gzip').send(gzipped);
}
