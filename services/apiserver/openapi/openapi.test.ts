// The documents for the kinds that are served: complete, consistent, and what kubectl looks for in them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fastify from 'fastify';
import { allKinds } from '#lib/kinds/registry.ts';
import { Reader } from '../protobuf/wire.ts';
import { openApiExtension } from './routes.ts';

const app = fastify();
openApiExtension({ kinds: allKinds, version: 'v1.36.2' }).routes?.(app);

interface Document {
  readonly paths: Record<string, Record<string, { 'x-kubernetes-group-version-kind'?: object; parameters?: { name: string }[]; requestBody?: { content: object } }>>;
  readonly definitions?: Record<string, Record<string, unknown>>;
  readonly components?: { readonly schemas: Record<string, Record<string, unknown>> };
}
const get = async (url: string, headers: Record<string, string> = {}) => await app.inject({ url, headers });
const json = async (url: string) => (await get(url)).json<Document>();

function unresolved(document: Document, prefix: string, defined: object): string[] {
  return [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref = '']) => ref.slice(prefix.length)).filter((name) => !(name in defined));
}

test('every reference of every document leads to a definition', async () => {
  const v2 = await json('/openapi/v2');
  assert.deepEqual(unresolved(v2, '#/definitions/', v2.definitions ?? {}), []);
  const index = (await get('/openapi/v3')).json<{ paths: Record<string, { serverRelativeURL: string }> }>();
  for (const { serverRelativeURL } of Object.values(index.paths)) {
    const document = await json(serverRelativeURL);
    assert.deepEqual(unresolved(document, '#/components/schemas/', document.components?.schemas ?? {}), [], serverRelativeURL);
  }
});

test('every kind has a definition and a patch operation that takes fieldValidation', async () => {
  const v2 = await json('/openapi/v2');
  for (const kind of allKinds) {
    assert.ok(v2.definitions?.[kind.schema], kind.kind);
    if (!kind.verbs.includes('patch')) continue;
    const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
    const patch = v2.paths[`${root}/${kind.namespaced ? 'namespaces/{namespace}/' : ''}${kind.plural}/{name}`]?.['patch'];
    assert.deepEqual(patch?.['x-kubernetes-group-version-kind'], { group: kind.group, kind: kind.kind, version: kind.version });
    assert.ok(patch?.parameters?.some(({ name }) => name === 'fieldValidation'), kind.kind);
  }
});

test('v3 says how containers merge and that strategic merge patch is taken', async () => {
  const core = await json('/openapi/v3/api/v1');
  const spec = core.components?.schemas['io.k8s.api.core.v1.PodSpec'] as { properties: Record<string, Record<string, unknown>>; required: string[] };
  assert.deepEqual(spec.required, ['containers']);
  assert.equal(spec.properties['containers']?.['x-kubernetes-patch-merge-key'], 'name');
  assert.ok('application/strategic-merge-patch+json' in (core.paths['/api/v1/namespaces/{namespace}/pods/{name}']?.['patch']?.requestBody?.content ?? {}));
  assert.ok(core.paths['/api/v1/namespaces/{namespace}/pods/{name}/log']);
});

test('v2 in protobuf holds the same paths and definitions as in JSON', async () => {
  const answer = await get('/openapi/v2', { accept: 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf', 'accept-encoding': 'gzip' });
  assert.equal(answer.headers['content-type'], 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf');
  const names = (field: number, entry: number): string[] => [...new Reader(gunzipSync(answer.rawPayload))].filter(({ number }) => number === field)
    .flatMap((map) => [...new Reader(map.bytes())]).filter(({ number }) => number === entry).map((one) => [...new Reader(one.bytes())][0]?.text() ?? '');
  const v2 = await json('/openapi/v2');
  assert.deepEqual(names(8, 2), Object.keys(v2.paths));
  assert.deepEqual(names(9, 1), Object.keys(v2.definitions ?? {}));
});

test('a document named by its hash may be kept, an old hash leads to the new one, an ETag spares the body', async () => {
  const index = (await get('/openapi/v3')).json<{ paths: Record<string, { serverRelativeURL: string }> }>();
  const url = index.paths['apis/apps/v1']?.serverRelativeURL ?? '';
  const document = await get(url);
  assert.match(String(document.headers['cache-control']), /immutable/);
  assert.equal((await get(url, { 'if-none-match': String(document.headers['etag']) })).statusCode, 304);
  const old = await get('/openapi/v3/apis/apps/v1?hash=OLD');
  assert.deepEqual([old.statusCode, old.headers.location], [301, url]);
  assert.equal((await get('/openapi/v3/apis/none/v1')).statusCode, 500, 'a StatusError, which the server turns into 404');
});
