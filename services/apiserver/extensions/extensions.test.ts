import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '#lib/testing/eventually.ts';
import { startTestServer, type Answer, type TestServer } from '../edge/testing/test-server.ts';
import { parsePath, setAt, valuesAt } from '#lib/machinery/json-path.ts';

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const TABS = '/apis/stable.example.com/v1/namespaces/default/crontabs';

const schema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object', required: ['cronSpec'],
      properties: {
        cronSpec: { type: 'string', pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$' }, image: { type: 'string', default: 'busybox' },
        replicas: { type: 'integer', minimum: 1, maximum: 10, default: 1 }, mode: { type: 'string', enum: ['a', 'b'] }, tags: { type: 'array', items: { type: 'string' } },
        extra: { 'type': 'object', 'x-kubernetes-preserve-unknown-fields': true }, labels: { type: 'object', additionalProperties: { type: 'string' } },
        port: { 'x-kubernetes-int-or-string': true, 'anyOf': [{ type: 'integer' }, { type: 'string' }] },
      },
    },
    status: { type: 'object', properties: { replicas: { type: 'integer' }, selector: { type: 'string' } } },
  },
};
const version = (name: string, rest: object = {}) => ({
  name, served: true, storage: name === 'v1', schema: { openAPIV3Schema: schema },
  subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas', labelSelectorPath: '.status.selector' } },
  additionalPrinterColumns: [{ name: 'Spec', type: 'string', jsonPath: '.spec.cronSpec' }, { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' }, { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
  ...rest,
});
const crd = (versions: object[] = [version('v1')], names: object = {}, plural = 'crontabs') => ({
  apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: `${plural}.stable.example.com` },
  spec: { group: 'stable.example.com', scope: 'Namespaced', names: { plural, singular: 'crontab', kind: 'CronTab', shortNames: ['ct'], ...names }, versions },
});
const tab = (name: string, spec: object = { cronSpec: '* * * * */5' }) => ({ apiVersion: 'stable.example.com/v1', kind: 'CronTab', metadata: { name }, spec });

async function withServer(run: (server: TestServer) => Promise<void>): Promise<void> {
  const server = await startTestServer();
  try {
    await run(server);
  } finally {
    await server.close();
  }
}
async function establish(server: TestServer, definition: object = crd()): Promise<void> {
  const made = await server.post(CRDS, definition);
  assert.equal(made.code, 201, made.text);
  await eventually(async () => {
    const { json } = await server.get(`${CRDS}/crontabs.stable.example.com`);
    const conditions = (json['status']?.['conditions'] ?? []) as unknown as { type: string; status: string }[];
    return conditions.some(({ type, status }) => type === 'Established' && status === 'True');
  });
}
const textOf = ({ json }: Answer): string => String(json['message']);

test('a definition becomes a kind: created, completed, pruned, checked, listed, watched over and deleted', () => withServer(async (server) => {
  assert.equal((await server.get(TABS)).code, 404);
  await establish(server);
  const made = await server.post(TABS, tab('a', { cronSpec: '* * * * */5', unknown: 1, extra: { any: [1] }, tags: [], labels: { x: 'y' }, port: 'http' }));
  assert.equal(made.code, 201, made.text);
  assert.deepEqual(made.json['spec'], { cronSpec: '* * * * */5', extra: { any: [1] }, tags: [], labels: { x: 'y' }, port: 'http', image: 'busybox', replicas: 1 });
  assert.deepEqual([made.json['metadata']?.['generation'], made.headers['warning']], [1, ['299 - "unknown field \\"spec.unknown\\""']]);
  assert.match(textOf(await server.post(TABS, tab('b', { cronSpec: 'x', replicas: 11, mode: 'c' }))),
    /CronTab.stable.example.com "b" is invalid: \[spec.cronSpec: Invalid value: "x": spec.cronSpec in body should match .*, spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10, spec.mode: Unsupported value: "c": supported values: "a", "b"\]/);
  assert.match(textOf(await server.post(TABS, tab('b', {}))), /spec.cronSpec: Required value/);
  const wrong = await server.post(TABS, tab('b', { cronSpec: 5, replicas: 'x', tags: {}, labels: [1], port: true }));
  assert.equal(wrong.code, 422);
  assert.match(textOf(wrong), /spec.cronSpec: Invalid value: "integer": spec.cronSpec in body must be of type string: "integer", spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string", spec.tags: Invalid value: "object": spec.tags in body must be of type array: "object", spec.labels: Invalid value: "array": spec.labels in body must be of type object: "array", spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"/);
  assert.equal((await server.post(TABS, tab('b', 'x' as never))).code, 422);
  assert.equal((await server.post(TABS, { ...tab('b'), metadata: { name: 5 } })).code, 400);
  const table = (await server.get(TABS, { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' })).json;
  assert.deepEqual((table['columnDefinitions'] as unknown as { name: string }[]).map(({ name }) => name), ['Name', 'Spec', 'Replicas', 'Age']);
  assert.deepEqual((table['rows']?.['0']?.['cells'] as unknown as unknown[]).slice(0, 3), ['a', '* * * * */5', 1]);
  assert.equal((await server.patch(`${TABS}/a`, 'merge', { spec: { replicas: 3 }, status: { replicas: 9 } })).json['metadata']?.['generation'], 2);
  assert.equal((await server.get(`${TABS}/a`)).json['status'], undefined);
  assert.equal((await server.patch(`${TABS}/a/status`, 'merge', { status: { replicas: 2, selector: 'app=a' }, spec: { replicas: 7 } })).code, 200);
  const scale = (await server.get(`${TABS}/a/scale`)).json;
  assert.deepEqual([scale['spec'], scale['status']], [{ replicas: 3 }, { replicas: 2, selector: 'app=a' }]);
  assert.equal((await server.patch(`${TABS}/a/scale`, 'merge', { spec: { replicas: 5 } })).code, 200);
  assert.equal((await server.get(`${TABS}/a`)).json['spec']?.['replicas'], 5);
  assert.equal((await server.get('/apis/stable.example.com/v1')).json['resources']?.['0']?.['name'], 'crontabs');
  assert.equal((await server.delete(`${TABS}/a`)).code, 200);
}));

test('other versions show the same objects, and a changed definition takes effect', () => withServer(async (server) => {
  await establish(server, crd([version('v1'), version('v1beta1', { storage: false, deprecated: true })]));
  assert.equal((await server.post(TABS, tab('a'))).code, 201);
  const old = await server.get('/apis/stable.example.com/v1beta1/namespaces/default/crontabs/a');
  assert.deepEqual([old.code, old.json['apiVersion'], old.headers['warning']], [200, 'stable.example.com/v1beta1', ['299 - "stable.example.com/v1beta1 CronTab is deprecated"']]);
  assert.equal((await server.post('/apis/stable.example.com/v1beta1/namespaces/default/crontabs', { ...tab('b'), apiVersion: 'stable.example.com/v1beta1' })).code, 201);
  assert.deepEqual(((await server.get(TABS)).json['items'] as unknown as { apiVersion: string }[]).map(({ apiVersion }) => apiVersion), ['stable.example.com/v1', 'stable.example.com/v1']);
  const path = `${CRDS}/crontabs.stable.example.com`;
  assert.equal((await server.patch(path, 'json', [{ op: 'replace', path: '/spec/versions/1/served', value: false }, { op: 'replace', path: '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/replicas/maximum', value: 2 }])).code, 200);
  await eventually(async () => (await server.get('/apis/stable.example.com/v1beta1/namespaces/default/crontabs')).code === 404);
  assert.equal((await server.post(TABS, tab('c', { cronSpec: '* * * * *', replicas: 3 }))).code, 422);
  assert.equal((await server.get(`${TABS}/a`)).code, 200);
  assert.match(textOf(await server.patch(path, 'merge', { spec: { scope: 'Cluster' } })), /spec.scope: Invalid value: "Cluster": field is immutable/);
}));

test('a definition that is deleted takes its objects with it; one whose names are taken is told so', () => withServer(async (server) => {
  await establish(server);
  assert.equal((await server.post(TABS, tab('a'))).code, 201);
  assert.equal((await server.post(CRDS, crd([version('v1')], { singular: 'other', listKind: 'Others' }, 'others'))).code, 201);
  await eventually(async () => (await server.get(`${CRDS}/others.stable.example.com`)).json['status']?.['conditions']?.['0']?.['reason'] === 'KindConflict');
  assert.equal((await server.get('/apis/stable.example.com/v1/namespaces/default/others')).code, 404);
  assert.equal((await server.delete(`${CRDS}/crontabs.stable.example.com`)).code, 200);
  await eventually(async () => (await server.get(`${CRDS}/crontabs.stable.example.com`)).code === 404);
  await eventually(async () => (await server.get(TABS)).code === 404);
  assert.equal((await server.storage.list('/registry/stable.example.com/')).items.length, 0);
}));

test('nonsense in definitions and objects is refused, never a failure of the server', () => withServer(async (server) => {
  const bad: unknown[] = [null, [], {}, { spec: null }, { spec: [] }, { spec: { versions: {} } }, { spec: { versions: [null] } }, { spec: { versions: [{}] } }, { spec: { names: [] } },
    crd([]), crd([version('v1', { schema: null })]), crd([version('v1', { schema: { openAPIV3Schema: { type: 'array' } } })]), crd([version('v1'), version('v1')]), crd([version('V')]),
    crd([version('v1', { subresources: { scale: {} } })]), crd([version('v1')], { kind: '' })];
  for (const body of bad) {
    const { code, text } = await server.post(CRDS, body);
    assert.ok(code >= 400 && code < 500, `${JSON.stringify(body)}: ${code} ${text}`);
  }
  const withSchema = (openAPIV3Schema: object): object => crd([version('v1', { schema: { openAPIV3Schema }, additionalPrinterColumns: [{ name: 'x', type: 'nothing', jsonPath: '[[[' }] })]);
  const properties = { spec: { type: 'array', items: [1] }, a: { type: 'what', pattern: '(', enum: [null, {}], default: [] }, status: { anyOf: [{}, { not: {} }] } };
  for (const schemas of [properties, { a: null }, { a: { type: 'array', items: null } }, { a: { allOf: [null] } }, { a: { not: [] } }, { a: { properties: [1] } }, { a: { additionalProperties: 1 } }]) {
    const { code, text } = await server.post(CRDS, withSchema({ type: 'object', properties: schemas }));
    assert.ok(code >= 400 && code < 500, `${JSON.stringify(schemas)}: ${code} ${text}`);
  }
  await establish(server, withSchema({ type: 'object', properties: { ['__proto__']: { type: 'string' }, spec: { 'x-kubernetes-preserve-unknown-fields': true, 'not': { required: ['never'] } }, a: { type: 'string', enum: [null, {}] } } }));
  for (const body of [null, 0, [], {}, { metadata: 1 }, tab('x', [1] as object), tab('x', { a: 1 }), { metadata: { name: 'y' }, a: 'b', status: {} }, { metadata: { name: 'z' }, spec: [{}, [[]]] }]) {
    const { code, text } = await server.post(TABS, body);
    assert.ok(code < 500, `${JSON.stringify(body)}: ${code} ${text}`);
  }
  assert.equal((await server.get(TABS, { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' })).code, 200);
}));

test('patterns are expressions of Go, and none takes for ever', () => withServer(async (server) => {
  const properties = { greedy: { type: 'string', pattern: '^(a+)+$' }, named: { type: 'string', pattern: '^(?P<word>\\pL+)(?i:X)\\z' } };
  await establish(server, crd([version('v1', { schema: { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties } } } } })]));
  assert.equal((await server.post(TABS, tab('good', { greedy: 'aaa', named: 'äöx' }))).code, 201);
  const { code, text } = await server.post(TABS, tab('bad', { greedy: `${'a'.repeat(5_000)}!`, named: 'ä1x' }));
  assert.equal(code, 422);
  assert.match(text, /spec\.greedy in body should match '\^\(a\+\)\+\$'/);
  assert.match(text, /spec\.named in body should match/);
}));

test('paths as definitions write them', () => {
  const object = { status: { conditions: [{ type: 'Ready', status: 'True' }, { type: 'Other', status: 'False' }], list: [1, 2] }, metadata: { labels: { 'a.b/c': 'x' } } };
  const at = (path: string) => valuesAt(object, parsePath(path) ?? []);
  assert.deepEqual([at('.status.conditions[?(@.type=="Ready")].status'), at('.status.list[0]'), at('.status.list[*]'), at('.metadata.labels.a\\.b/c'), at('.none.deeper')], [['True'], [1], [1, 2], ['x'], []]);
  assert.equal(parsePath('[[['), undefined);
  const target = {};
  setAt(target, parsePath('.spec.deep.replicas') ?? [], 3);
  assert.deepEqual(target, { spec: { deep: { replicas: 3 } } });
});
