// Custom resources and other servers' types in the documents.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fastify from 'fastify';
import pino from 'pino';
import { systemClock } from '#lib/environment/clock.ts';
import type { CustomResourceDefinition } from '#lib/kinds/types/apiextensions-v1.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { remoteOpenApi, type RemoteSource } from '../aggregation/remote-openapi.ts';
import { customKinds } from '../extensions/custom-kind.ts';
import type { CustomType } from './custom-types.ts';
import { openApiExtension } from './routes.ts';

const definition = (description: string) => ({
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com', scope: 'Namespaced', names: { plural: 'widgets', kind: 'Widget' },
    versions: [{
      name: 'v1', served: true, storage: true, subresources: { status: {}, scale: { specReplicasPath: '.spec.size', statusReplicasPath: '.status.size' } },
      schema: { openAPIV3Schema: { type: 'object', description, properties: { spec: { type: 'object', required: ['size', 'gone'], properties: {
        size: { type: 'integer', minimum: 1, description: 'How large.' }, gone: { type: 'string', nullable: true }, port: { 'x-kubernetes-int-or-string': true, 'anyOf': [{ type: 'integer' }, { type: 'string' }] },
        free: { 'type': 'object', 'x-kubernetes-preserve-unknown-fields': true }, pod: { 'type': 'object', 'x-kubernetes-embedded-resource': true },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
      } } } } },
    }],
  },
}) as unknown as CustomResourceDefinition;
let serial = 0;
const typesOf = (description: string): CustomType[] => customKinds(definition(description), (serial += 1)).map(({ kind, published }) => ({ kind, schema: published }));

const metrics: Record<string, unknown> = {
  '/openapi/v3': { paths: { 'apis/metrics.k8s.io/v1beta1': { serverRelativeURL: '/openapi/v3/m' }, 'api/v1': { serverRelativeURL: '/evil' } } },
  '/openapi/v3/m': { openapi: '3.0.0', components: { schemas: { 'io.k8s.metrics.PodMetrics': { type: 'object' } } } },
  '/openapi/v2': { paths: { '/apis/metrics.k8s.io/v1beta1/pods': { get: { responses: {} } }, '/api/v1/pods': { get: { description: 'not its business' } } }, definitions: { 'io.k8s.metrics.PodMetrics': { type: 'object' } } },
};
const asked: string[] = [];
let sources: RemoteSource[] = [];
const source: RemoteSource = { group: 'metrics.k8s.io', version: 'v1beta1', identity: 'a', fetch: async (path) => {
  asked.push(path);
  return metrics[path];
} };
let types: CustomType[] = [];
const app = fastify();
openApiExtension({ kinds: [anyKind(configMapKind)], version: 'v1.36.2', customTypes: () => types, remote: remoteOpenApi(() => sources, { clock: systemClock, log: pino({ level: 'silent' }) }) }).routes?.(app);

type Schema = Record<string, unknown> & { readonly properties: Record<string, Schema> };
const json = async <T>(url: string): Promise<T> => (await app.inject(url)).json<T>();
const index = async (): Promise<Record<string, string>> => Object.fromEntries(Object.entries((await json<{ paths: Record<string, { serverRelativeURL: string }> }>('/openapi/v3')).paths).map(([path, { serverRelativeURL }]) => [path, serverRelativeURL]));

test('a custom resource has a document of its own, which changes with the definition and goes with it', async () => {
  types = [];
  const without = await index();
  assert.deepEqual(Object.keys(without), ['api/v1']);
  types = typesOf('A widget.');
  const url = (await index())['apis/example.com/v1'] ?? '';
  assert.match(url, /^\/openapi\/v3\/apis\/example.com\/v1\?hash=[0-9A-F]{128}$/);
  const { components, paths } = await json<{ components: { schemas: Record<string, Schema> }; paths: Record<string, Record<string, { operationId: string; requestBody: { content: object } }>> }>(url);
  const widget = components.schemas['com.example.v1.Widget'];
  assert.deepEqual(widget?.['x-kubernetes-group-version-kind'], [{ group: 'example.com', kind: 'Widget', version: 'v1' }]);
  assert.deepEqual(widget.properties['spec']?.properties['size'], { type: 'integer', minimum: 1, description: 'How large.' });
  assert.deepEqual(Object.keys(widget.properties['spec']?.properties['pod']?.properties ?? {}), ['apiVersion', 'kind', 'metadata']);
  assert.ok(components.schemas['com.example.v1.WidgetList'] && components.schemas['io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta']);
  assert.deepEqual(Object.keys(paths['/apis/example.com/v1/namespaces/{namespace}/widgets/{name}']?.['patch']?.requestBody.content ?? {}), ['application/json-patch+json', 'application/merge-patch+json', 'application/apply-patch+yaml']);
  assert.equal(paths['/apis/example.com/v1/namespaces/{namespace}/widgets']?.['get']?.operationId, 'listExampleComV1NamespacedWidget');
  const text = JSON.stringify(components);
  for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) assert.ok(components.schemas[name], name);

  types = typesOf('A widget.');
  assert.equal((await index())['apis/example.com/v1'], url, 'the same definition, taken up again');
  types = typesOf('Another widget.');
  assert.notEqual((await index())['apis/example.com/v1'], url);
  types = [];
  assert.deepEqual(await index(), without);
  assert.equal((await app.inject('/openapi/v3/apis/example.com/v1')).statusCode, 500, 'a StatusError, which the server turns into 404');
});

test('v2 shows what it can say of a custom resource, in protobuf too', async () => {
  types = typesOf('A widget.');
  const { definitions, paths } = await json<{ definitions: Record<string, Schema>; paths: object }>('/openapi/v2');
  const spec = definitions['com.example.v1.Widget']?.properties['spec'];
  assert.deepEqual(spec?.['required'], ['size']);
  const { gone, port, free, labels } = spec.properties;
  assert.deepEqual([gone, port, free, labels], [{}, { 'x-kubernetes-int-or-string': true }, { 'x-kubernetes-preserve-unknown-fields': true }, { type: 'object', additionalProperties: { type: 'string' } }]);
  assert.ok('/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/scale' in paths);
  const protobuf = await app.inject({ url: '/openapi/v2', headers: { 'accept': 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf', 'accept-encoding': 'gzip' } });
  assert.ok(gunzipSync(protobuf.rawPayload).includes('com.example.v1.Widget'));
  types = [];
  assert.ok(!('com.example.v1.Widget' in (await json<{ definitions: object }>('/openapi/v2')).definitions));
});

test('what an aggregated server publishes about its own group is passed on, and fetched once', async () => {
  sources = [source];
  const url = (await index())['apis/metrics.k8s.io/v1beta1'] ?? '';
  assert.deepEqual(await json(url), metrics['/openapi/v3/m']);
  const { definitions, paths } = await json<{ definitions: object; paths: Record<string, unknown> }>('/openapi/v2');
  assert.ok('io.k8s.metrics.PodMetrics' in definitions && '/apis/metrics.k8s.io/v1beta1/pods' in paths && !('/api/v1/pods' in paths));
  await index();
  assert.deepEqual(asked, ['/openapi/v3', '/openapi/v3/m', '/openapi/v2']);
  sources = [{ ...source, identity: 'b', fetch: () => Promise.reject(new Error('gone')) }];
  assert.equal((await index())['apis/metrics.k8s.io/v1beta1'], url, 'what it said before');
  sources = [];
  assert.equal((await index())['apis/metrics.k8s.io/v1beta1'], undefined);
});
