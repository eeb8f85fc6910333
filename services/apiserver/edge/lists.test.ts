import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestServer, type Answer, type Json, type TestServer } from './testing/test-server.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
  for (const [name, app] of [['a', 'x'], ['b', 'y'], ['c', 'x'], ['d', 'z'], ['e', 'x']] as const) {
    await server.post(`${NS}/configmaps`, { metadata: { name, labels: { app } } });
  }
});
after(() => server.close());

const NS = '/api/v1/namespaces/default';
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
const names = ({ json }: Answer): unknown[] => (json['items'] as unknown as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
const metadataOf = ({ json }: Answer): Json => json['metadata'] as unknown as Json;

test('labels and fields select', async () => {
  assert.deepEqual(names(await server.get(`${NS}/configmaps?labelSelector=app%3Dx`)), ['a', 'c', 'e']);
  assert.deepEqual(names(await server.get(`${NS}/configmaps?labelSelector=app+notin+(x,y)`)), ['d']);
  assert.deepEqual(names(await server.get(`${NS}/configmaps?fieldSelector=metadata.name%3Db`)), ['b']);
  assert.deepEqual(names(await server.get('/api/v1/configmaps?fieldSelector=metadata.namespace%3Ddefault,metadata.name!%3Db')), ['a', 'c', 'd', 'e']);
  const unknown = await server.get(`${NS}/pods?fieldSelector=spec.color%3Dred`);
  assert.deepEqual([unknown.code, unknown.json['message']], [400, 'field label not supported: spec.color']);
});

test('a list has the revision of the storage and items without kind', async () => {
  const answer = await server.get(`${NS}/configmaps`);
  assert.equal(metadataOf(answer)['resourceVersion'], String(server.storage.revision));
  assert.deepEqual([answer.json['kind'], answer.json['apiVersion']], ['ConfigMapList', 'v1']);
  assert.equal((answer.json['items'] as unknown as Json[])[0]?.['kind'], undefined);
});

test('pages hold together: what changes between them does not show', async () => {
  const first = await server.get(`${NS}/configmaps?limit=2`);
  assert.deepEqual([names(first), metadataOf(first)['remainingItemCount']], [['a', 'b'], 3]);
  await server.post(`${NS}/configmaps`, { metadata: { name: 'bb' } });
  const second = await server.get(`${NS}/configmaps?limit=2&continue=${String(metadataOf(first)['continue'])}`);
  assert.deepEqual([names(second), metadataOf(second)['resourceVersion']], [['c', 'd'], metadataOf(first)['resourceVersion']]);
  const third = await server.get(`${NS}/configmaps?limit=2&continue=${String(metadataOf(second)['continue'])}`);
  assert.deepEqual([names(third), metadataOf(third)['continue']], [['e'], undefined]);
  await server.delete(`${NS}/configmaps/bb`);
});

test('a page with a selector is filled from further on', async () => {
  const first = await server.get(`${NS}/configmaps?limit=2&labelSelector=app%3Dx`);
  assert.deepEqual([names(first), metadataOf(first)['remainingItemCount']], [['a', 'c'], undefined]);
  assert.deepEqual(names(await server.get(`${NS}/configmaps?limit=2&labelSelector=app%3Dx&continue=${String(metadataOf(first)['continue'])}`)), ['e']);
});

test('a token whose revision was compacted is answered with 410 and a token that goes on from now', async () => {
  const first = await server.get(`${NS}/configmaps?limit=2`);
  server.storage.compacted = server.storage.revision + 1;
  const expired = await server.get(`${NS}/configmaps?limit=2&continue=${String(metadataOf(first)['continue'])}`);
  assert.deepEqual([expired.code, expired.json['reason']], [410, 'Expired']);
  const resumed = await server.get(`${NS}/configmaps?limit=5&continue=${String(metadataOf(expired)['continue'])}`);
  assert.deepEqual(names(resumed), ['c', 'd', 'e']);
  server.storage.compacted = 0;
});

test('a bad token and a bad match are refused', async () => {
  assert.match(String((await server.get(`${NS}/configmaps?continue=%25%25`)).json['message']), /^continue key is not valid/);
  assert.match(String((await server.get(`${NS}/configmaps?resourceVersionMatch=Exact`)).json['message']), /resourceVersionMatch is forbidden unless resourceVersion is provided/);
});

test('a list at an exact revision shows the past', async () => {
  const { json } = await server.post(`${NS}/configmaps`, { metadata: { name: 'later' } });
  const revision = Number(json['metadata']?.['resourceVersion']);
  assert.equal(names(await server.get(`${NS}/configmaps?resourceVersionMatch=Exact&resourceVersion=${revision - 1}`)).includes('later'), false);
  assert.equal(names(await server.get(`${NS}/configmaps?resourceVersionMatch=Exact&resourceVersion=${revision}`)).includes('later'), true);
  await server.delete(`${NS}/configmaps/later`);
});

test('a list as Table has columns and partial objects', async () => {
  const { json } = await server.get(`${NS}/configmaps`, { accept: TABLE });
  const rows = json['rows'] as unknown as { cells: unknown[]; object: Json }[];
  const columns = json['columnDefinitions'] as unknown as { name: string }[];
  assert.deepEqual([json['kind'], json['apiVersion'], columns[0]?.name, rows[0]?.cells[0], rows[0]?.object['kind']], ['Table', 'meta.k8s.io/v1', 'Name', 'a', 'PartialObjectMetadata']);
  const whole = await server.get(`${NS}/configmaps/a?includeObject=Object`, { accept: TABLE });
  assert.equal((whole.json['rows'] as unknown as { object: Json }[])[0]?.object['kind'], 'ConfigMap');
  assert.equal((await server.get(`${NS}/configmaps?includeObject=Everything`, { accept: TABLE })).json['message'], 'unrecognized includeObject value: "Everything"');
});

test('metadata alone is enough for some', async () => {
  const accept = 'application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json';
  const { json } = await server.get(`${NS}/configmaps`, { accept });
  assert.deepEqual([json['kind'], (json['items'] as unknown as Json[])[0]?.['kind']], ['PartialObjectMetadataList', 'PartialObjectMetadata']);
});

test('discovery is answered plain and aggregated', async () => {
  const core = await server.get('/api/v1');
  const pods = (core.json['resources'] as unknown as Json[]).find(({ name }) => name === 'pods');
  assert.deepEqual([pods?.['shortNames'], pods?.['categories'], pods?.['namespaced']], [['po'], ['all'], true]);
  const groups = ((await server.get('/apis')).json['groups'] as unknown as { name: string }[]).map(({ name }) => name);
  assert.ok(groups.includes('apps') && groups.indexOf('apps') < groups.indexOf('rbac.authorization.k8s.io'));
  for (const version of ['v2', 'v2beta1']) {
    const accept = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList,application/json`;
    const aggregated = await server.get('/apis', { accept });
    assert.equal(aggregated.headers['content-type'], `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`);
    assert.equal(aggregated.json['apiVersion'], `apidiscovery.k8s.io/${version}`);
    assert.equal((await server.get('/apis', { accept, 'if-none-match': String(aggregated.headers['etag']) })).code, 304);
  }
  assert.equal((await server.get('/version')).json['gitVersion'], 'v1.36.2');
});

test('health endpoints list their checks', async () => {
  assert.deepEqual([(await server.get('/livez')).code, (await server.get('/livez')).text], [200, 'ok']);
  const ready = await server.get('/readyz');
  assert.deepEqual([ready.code, ready.text], [500, '[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n']);
  assert.equal((await server.get('/readyz?exclude=etcd')).code, 200);
  assert.equal((await server.get('/readyz/ping')).text, 'ok');
  assert.match((await server.get('/livez?verbose')).text, /^\[\+\]ping ok\nlivez check passed\n$/);
});
