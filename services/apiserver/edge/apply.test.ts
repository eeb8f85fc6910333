// Server-side apply and managedFields over HTTP, as kubectl uses them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '#lib/testing/eventually.ts';
import { startTestServer, type Answer, type TestServer } from './testing/test-server.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.close());

const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';
const deployment = (name: string, spec: object = {}) => ({
  apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name },
  spec: {
    replicas: 1, selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'web', image: 'nginx', ports: [{ containerPort: 80 }] }] } }, ...spec,
  },
});

const apply = (url: string, body: object, query = 'fieldManager=kubectl&force=false'): Promise<Answer> =>
  server.request('PATCH', `${url}?${query}`, JSON.stringify(body), { 'content-type': 'application/apply-patch+yaml' });

interface Entry {
  readonly manager: string;
  readonly operation: string;
  readonly apiVersion: string;
  readonly subresource?: string;
  readonly time?: string;
  readonly fieldsV1: Record<string, unknown>;
}
const entries = ({ json }: Answer): Entry[] => (json['metadata']?.['managedFields'] ?? []) as unknown as Entry[];

test('apply creates what is not there, and owns what it stated and no defaults', async () => {
  const answer = await apply(`${DEPLOYMENTS}/made`, deployment('made'));
  assert.equal(answer.code, 201, answer.text);
  assert.equal(answer.json['spec']?.['strategy']?.['type'], 'RollingUpdate', 'defaults are filled in');
  const [entry, ...others] = entries(answer);
  assert.equal(others.length, 0);
  assert.deepEqual({ ...entry, time: undefined }, {
    manager: 'kubectl', operation: 'Apply', apiVersion: 'apps/v1', time: undefined, fieldsType: 'FieldsV1',
    fieldsV1: {
      'f:spec': {
        'f:replicas': {}, 'f:selector': {},
        'f:template': {
          'f:metadata': { 'f:labels': { 'f:app': {} } },
          'f:spec': {
            'f:containers': {
              'k:{"name":"web"}': {
                '.': {}, 'f:image': {}, 'f:name': {}, 'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
              },
            },
          },
        },
      },
    },
  });
  const again = await apply(`${DEPLOYMENTS}/made`, deployment('made'));
  assert.equal(again.code, 200);
  assert.equal(again.json['metadata']?.['resourceVersion'], answer.json['metadata']?.['resourceVersion'], 'nothing new is not written');
});

test('a field that another manager has set is a conflict, unless it is forced', async () => {
  await server.post(`${DEPLOYMENTS}?fieldManager=kubectl-client-side-apply`, deployment('contended'));
  const refused = await apply(`${DEPLOYMENTS}/contended`, { ...deployment('contended'), spec: { replicas: 3 } });
  assert.equal(refused.code, 409);
  assert.equal(refused.json['message'], 'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas');
  assert.deepEqual(refused.json['details']?.['causes'], [{ reason: 'FieldManagerConflict', message: 'conflict with "kubectl-client-side-apply" using apps/v1', field: '.spec.replicas' }]);
  const forced = await apply(`${DEPLOYMENTS}/contended`, { ...deployment('contended'), spec: { replicas: 3 } }, 'fieldManager=kubectl&force=true');
  assert.equal(forced.code, 200, forced.text);
  assert.equal(forced.json['spec']?.['replicas'], 3);
  const [kubectl, clientSide] = entries(forced);
  assert.deepEqual(kubectl?.fieldsV1, { 'f:spec': { 'f:replicas': {} } });
  assert.equal(clientSide?.manager, 'kubectl-client-side-apply');
  assert.equal('f:replicas' in (clientSide?.fieldsV1['f:spec'] as object), false);
});

test('what is not applied any more goes, unless somebody else owns it', async () => {
  const url = '/api/v1/namespaces/default/configmaps/shared';
  const map = (data?: object) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'shared' }, ...(data ? { data } : {}) });
  await apply(url, map({ a: '1', b: '1' }), 'fieldManager=one');
  await apply(url, map({ b: '1', c: '1' }), 'fieldManager=two');
  const answer = await apply(url, map(), 'fieldManager=one');
  assert.deepEqual(answer.json['data'], { b: '1', c: '1' });
  assert.deepEqual(entries(answer).map(({ manager }) => manager), ['two']);
});

test('scale and status are owned apart, and scaling takes the replicas over', async () => {
  const url = `${DEPLOYMENTS}/scaled`;
  await apply(url, deployment('scaled'), 'fieldManager=one');
  await server.request('PATCH', `${url}/scale?fieldManager=kubectl`, { spec: { replicas: 2 } }, { 'content-type': 'application/merge-patch+json' });
  const status = await server.request('PATCH', `${url}/status?fieldManager=kcm`, { status: { observedGeneration: 2 }, spec: { paused: true } }, { 'content-type': 'application/merge-patch+json' });
  assert.deepEqual(entries(status).map(({ manager, operation, subresource }) => [manager, operation, subresource]), [['one', 'Apply', undefined], ['kubectl', 'Update', 'scale'], ['kcm', 'Update', 'status']]);
  assert.deepEqual(entries(status)[1]?.fieldsV1, { 'f:spec': { 'f:replicas': {} } });
  assert.deepEqual(entries(status)[2]?.fieldsV1, { 'f:status': { 'f:observedGeneration': {} } });
  const conflict = await apply(url, deployment('scaled'), 'fieldManager=one');
  assert.equal(conflict.json['message'], 'Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas');
});

test('an apply without field manager, with managedFields, with unknown or doubled fields is refused', async () => {
  const url = `${DEPLOYMENTS}/refused`;
  assert.equal((await apply(url, deployment('refused'), '')).json['message'], 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch');
  assert.equal((await apply(url, { ...deployment('refused'), metadata: { name: 'refused', managedFields: [{}] } })).json['message'], 'metadata.managedFields must be nil');
  const unknown = await apply(url, deployment('refused', { foo: 1 }));
  assert.deepEqual([unknown.code, unknown.json['message']], [500, 'failed to create typed patch object (/refused; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema']);
  const text = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: doubled\n  name: doubled\n';
  const doubled = await server.request('PATCH', '/api/v1/namespaces/default/configmaps/doubled?fieldManager=x&fieldValidation=Strict', text, { 'content-type': 'application/apply-patch+yaml' });
  assert.deepEqual([doubled.code, doubled.json['message']], [400, 'error strict decoding patch: error converting YAML to JSON: yaml: unmarshal errors:\n  line 5: key "name" already set in map']);
  const cbor = await server.request('PATCH', url, 'x', { 'content-type': 'application/apply-patch+cbor' });
  assert.equal(cbor.code, 415);
});

test('managedFields can be reset, and a dry run leaves everything', async () => {
  const url = '/api/v1/namespaces/default/configmaps/reset';
  const made = await apply(url, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'reset' }, data: { a: '1' } });
  const dry = await apply(url, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'reset' }, data: { a: '2' } }, 'fieldManager=kubectl&dryRun=All');
  assert.deepEqual([dry.code, dry.json['data']?.['a']], [200, '2']);
  assert.equal((await server.get(url)).json['metadata']?.['resourceVersion'], made.json['metadata']?.['resourceVersion']);
  const reset = await server.patch(url, 'merge', { metadata: { managedFields: [{}] } });
  assert.deepEqual(entries(reset), []);
  assert.equal(entries(await server.patch(url, 'merge', { data: { b: '1' } })).length, 0, 'an update does not start ownership');
  const applied = await apply(url, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'reset' }, data: { c: '1' } });
  assert.deepEqual(entries(applied).map(({ manager, operation }) => [manager, operation]), [['kubectl', 'Apply'], ['before-first-apply', 'Update']]);
});

test('custom resources merge by what their definition says of lists, and nobody owns what nobody stated', async () => {
  const steps = { 'type': 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'], 'items': { type: 'object', required: ['name'], properties: { name: { type: 'string' }, run: { type: 'string' } } } };
  const schema = { type: 'object', properties: { spec: { type: 'object', properties: { steps, tags: { type: 'array', items: { type: 'string' } } } } } };
  const made = await server.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: 'pipelines.stable.example.com' },
    spec: {
      group: 'stable.example.com', scope: 'Namespaced', names: { plural: 'pipelines', singular: 'pipeline', kind: 'Pipeline' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
  });
  assert.equal(made.code, 201, made.text);
  const url = '/apis/stable.example.com/v1/namespaces/default/pipelines';
  await eventually(async () => (await server.get(url)).code === 200);
  const pipeline = (spec: object) => ({ apiVersion: 'stable.example.com/v1', kind: 'Pipeline', metadata: { name: 'p' }, spec });
  const first = await apply(`${url}/p`, pipeline({ steps: [{ name: 'build', run: 'make' }], tags: ['a'] }), 'fieldManager=one');
  assert.equal(first.code, 201, first.text);
  const second = await apply(`${url}/p`, pipeline({ steps: [{ name: 'test', run: 'make test' }] }), 'fieldManager=two');
  assert.deepEqual(second.json['spec'], { steps: [{ name: 'build', run: 'make' }, { name: 'test', run: 'make test' }], tags: ['a'] }, second.text);
  assert.deepEqual(entries(second).find(({ manager }) => manager === 'two')?.fieldsV1, { 'f:spec': { 'f:steps': { 'k:{"name":"test"}': { '.': {}, 'f:name': {}, 'f:run': {} } } } });
  const third = await apply(`${url}/p`, pipeline({ tags: ['b'] }), 'fieldManager=two');
  assert.equal(third.json['message'], 'Apply failed with 1 conflict: conflict with "one": .spec.tags');
  const created = await server.post(`${url}?fieldManager=three`, { ...pipeline({ tags: ['x'] }), metadata: { name: 'q' } });
  assert.deepEqual(entries(created)[0]?.fieldsV1, { 'f:spec': { '.': {}, 'f:tags': {} } });
});
