import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestServer, type Answer, type TestServer } from './testing/test-server.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.close());

const NS = '/api/v1/namespaces/default';
const APPS = '/apis/apps/v1/namespaces/default';
const configMap = (name: string, data: object = { a: '1' }) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });
const podSpec = { containers: [{ name: 'c', image: 'nginx' }] };
const deployment = (name: string) => ({
  apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name },
  spec: { selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name } }, spec: podSpec } },
});
const namesOf = (items: unknown): unknown[] => (items as { name?: string; metadata?: { name: string } }[]).map(({ name, metadata }) => name ?? metadata?.name);
const failed = ({ code, json }: Answer) => ({ code, reason: json['reason'], message: json['message'] });

test('an object is created, read, replaced and deleted', async () => {
  const created = await server.post(`${NS}/configmaps`, configMap('crud'));
  assert.equal(created.code, 201);
  assert.ok(created.json['metadata']?.['uid']);
  const read = await server.get(`${NS}/configmaps/crud`);
  assert.deepEqual(read.json, created.json);
  const replaced = await server.put(`${NS}/configmaps/crud`, { ...read.json, data: { a: '2' } });
  assert.equal(replaced.code, 200);
  assert.ok(Number(replaced.json['metadata']?.['resourceVersion']) > Number(read.json['metadata']?.['resourceVersion']));
  const deleted = await server.delete(`${NS}/configmaps/crud`);
  assert.deepEqual(deleted.json, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { name: 'crud', kind: 'configmaps', uid: created.json['metadata']?.['uid'] } });
  assert.deepEqual(failed(await server.get(`${NS}/configmaps/crud`)), { code: 404, reason: 'NotFound', message: 'configmaps "crud" not found' });
});

test('what exists, is missing or has moved on is refused in upstream\'s words', async () => {
  await server.post(`${NS}/configmaps`, configMap('twice'));
  assert.deepEqual(failed(await server.post(`${NS}/configmaps`, configMap('twice'))), { code: 409, reason: 'AlreadyExists', message: 'configmaps "twice" already exists' });
  const stale = { ...configMap('twice'), metadata: { name: 'twice', resourceVersion: '1' } };
  assert.deepEqual(failed(await server.put(`${NS}/configmaps/twice`, stale)), {
    code: 409, reason: 'Conflict', message: 'Operation cannot be fulfilled on configmaps "twice": the object has been modified; please apply your changes to the latest version and try again',
  });
  assert.deepEqual(failed(await server.post('/api/v1/namespaces/nowhere/configmaps', configMap('x'))), { code: 404, reason: 'NotFound', message: 'namespaces "nowhere" not found' });
  assert.deepEqual(failed(await server.put(`${NS}/configmaps/other`, configMap('twice'))), { code: 404, reason: 'NotFound', message: 'configmaps "other" not found' });
  assert.deepEqual(failed(await server.put(`${NS}/configmaps/twice`, configMap('other'))), { code: 400, reason: 'BadRequest', message: 'the name of the object (other) does not match the name on the URL (twice)' });
  assert.deepEqual(failed(await server.post(`${NS}/configmaps`, { ...configMap('x'), metadata: { name: 'x', namespace: 'y' } })), {
    code: 400, reason: 'BadRequest', message: 'the namespace of the provided object does not match the namespace sent on the request',
  });
});

test('an update that changes nothing is not written', async () => {
  const { json } = await server.post(`${NS}/configmaps`, configMap('same'));
  const revision = server.storage.revision;
  assert.deepEqual((await server.put(`${NS}/configmaps/same`, configMap('same'))).json, json);
  assert.equal(server.storage.revision, revision);
});

test('generated names end in five letters', async () => {
  const { code, json } = await server.post(`${NS}/configmaps`, { metadata: { generateName: 'gen-' } });
  assert.equal(code, 201);
  assert.match(String(json['metadata']?.['name']), /^gen-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
});

test('a dry run answers as if, and stores nothing', async () => {
  assert.equal((await server.post(`${NS}/configmaps?dryRun=All`, configMap('dry'))).code, 201);
  assert.equal((await server.get(`${NS}/configmaps/dry`)).code, 404);
  const { code, json } = await server.post(`${NS}/configmaps?dryRun=some`, configMap('dry'));
  assert.deepEqual([code, json['message']], [422, 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "some": supported values: "All"']);
});

test('bodies that are no such object are refused as upstream does', async () => {
  const wrongType = await server.post(`${APPS}/deployments`, { ...deployment('bad'), spec: { replicas: 'three' } });
  assert.deepEqual(failed(wrongType), {
    code: 400, reason: 'BadRequest',
    message: 'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
  });
  assert.match(failed(await server.post(`${NS}/configmaps`, '{"a":')).message ?? '', /^the object provided is unrecognized \(must be of type ConfigMap\): couldn't get version\/kind; json parse error: unexpected end of JSON input \(\{"a":\)$/);
  assert.equal(failed(await server.post(`${NS}/configmaps`, { ...configMap('v'), apiVersion: 'v2' })).message, 'the API version in the data (v2) does not match the expected API version (v1)');
  assert.equal(failed(await server.post(`${NS}/configmaps`, 'x', { 'content-type': 'text/plain' })).code, 415);
  const huge = await server.post(`${NS}/configmaps`, configMap('huge', { a: 'x'.repeat(3 * 1024 * 1024) }));
  assert.deepEqual(failed(huge), { code: 413, reason: 'RequestEntityTooLarge', message: 'Request entity too large: limit is 3145728' });
});

test('unknown and duplicate fields are dropped, told as a warning or refused, as fieldValidation says', async () => {
  const body = '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"strict","nmae":"x"},"data":{"a":"1","a":"2"}}';
  const strict = await server.post(`${NS}/configmaps?fieldValidation=Strict`, body);
  assert.equal(failed(strict).message, 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data.a", unknown field "metadata.nmae"');
  const warned = await server.post(`${NS}/configmaps?dryRun=All`, body);
  assert.deepEqual(warned.headers['warning'], ['299 - "duplicate field \\"data.a\\""', '299 - "unknown field \\"metadata.nmae\\""']);
  const ignored = await server.post(`${NS}/configmaps?fieldValidation=Ignore`, body);
  assert.deepEqual([ignored.code, ignored.headers['warning'], ignored.json['data']], [201, undefined, { a: '2' }]);
});

test('YAML is accepted and answered', async () => {
  const created = await server.post(`${NS}/configmaps`, 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\ndata: {a: "b"}\n', { 'content-type': 'application/yaml' });
  assert.equal(created.code, 201);
  const { text, headers } = await server.get(`${NS}/configmaps/yaml`, { accept: 'application/yaml' });
  assert.equal(headers['content-type'], 'application/yaml');
  assert.match(text, /^kind: ConfigMap\napiVersion: v1\n/);
  assert.equal((await server.get(`${NS}/configmaps/yaml`, { accept: 'text/html' })).code, 406);
});

test('patches of three kinds change an object; any other is refused', async () => {
  await server.post(`${APPS}/deployments`, deployment('patched'));
  const path = `${APPS}/deployments/patched`;
  const strategic = await server.patch(path, 'strategic-merge', { spec: { template: { spec: { containers: [{ name: 'side', image: 'busybox' }] } } } });
  assert.deepEqual(namesOf(strategic.json['spec']?.['template']?.['spec']?.['containers']), ['side', 'c']);
  assert.equal(strategic.json['metadata']?.['generation'], 2);
  assert.equal((await server.patch(path, 'merge', { spec: { replicas: 4 } })).json['spec']?.['replicas'], 4);
  assert.equal((await server.patch(path, 'json', [{ op: 'replace', path: '/spec/replicas', value: 5 }])).json['spec']?.['replicas'], 5);
  assert.deepEqual(failed(await server.patch(path, 'json', [{ op: 'test', path: '/spec/replicas', value: 1 }])), { code: 422, reason: 'Invalid', message: 'the server rejected our request due to an error in our request' });
  assert.equal(failed(await server.patch(path, 'merge', { metadata: { resourceVersion: '1' } })).code, 409);
  assert.match(failed(await server.patch(path, 'merge', { spec: { replicas: 'x' } })).message ?? '', /^ "" is invalid: patch: Invalid value: .*cannot unmarshal string into Go struct field DeploymentSpec\.spec\.replicas of type int32$/);
  const other = await server.request('PATCH', path, '{}', { 'content-type': 'application/json' });
  assert.equal(other.code, 415);
});

test('concurrent patches without a version all take effect', async () => {
  await server.post(`${NS}/configmaps`, configMap('contended', {}));
  const codes = await Promise.all(Array.from({ length: 20 }, async (_, index) => (await server.patch(`${NS}/configmaps/contended`, 'merge', { data: { [`k${index}`]: 'v' } })).code));
  assert.deepEqual(new Set(codes), new Set([200]));
  assert.equal(Object.keys((await server.get(`${NS}/configmaps/contended`)).json['data'] ?? {}).length, 20);
});

test('status and spec are written through their own endpoints', async () => {
  await server.post(`${APPS}/deployments`, deployment('stated'));
  const path = `${APPS}/deployments/stated`;
  const status = await server.patch(`${path}/status`, 'merge', { spec: { replicas: 9 }, status: { replicas: 3 } });
  assert.deepEqual([status.json['spec']?.['replicas'], status.json['status']?.['replicas'], status.json['metadata']?.['generation']], [1, 3, 1]);
  const main = await server.patch(path, 'merge', { status: { replicas: 8 } });
  assert.equal(main.json['status']?.['replicas'], 3);
});

test('the scale of a deployment is read and set', async () => {
  await server.post(`${APPS}/deployments`, deployment('scaled'));
  const path = `${APPS}/deployments/scaled/scale`;
  const { json } = await server.get(path);
  assert.deepEqual([json['kind'], json['apiVersion'], json['spec'], json['status']], ['Scale', 'autoscaling/v1', { replicas: 1 }, { replicas: 0, selector: 'app=scaled' }]);
  assert.deepEqual((await server.put(path, { ...json, spec: { replicas: 3 } })).json['spec'], { replicas: 3 });
  assert.deepEqual((await server.patch(path, 'merge', { spec: { replicas: 2 } })).json['spec'], { replicas: 2 });
  assert.match(failed(await server.patch(path, 'merge', { spec: { replicas: -1 } })).message ?? '', /spec\.replicas: Invalid value: -1: must be greater than or equal to 0/);
  assert.equal((await server.get(`${APPS}/deployments/scaled`)).json['spec']?.['replicas'], 2);
});

test('a pod is bound once', async () => {
  await server.post(`${NS}/pods`, { metadata: { name: 'bound' }, spec: podSpec });
  const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'bound', annotations: { by: 'test' } }, target: { kind: 'Node', name: 'n1' } };
  const first = await server.post(`${NS}/pods/bound/binding`, binding);
  assert.deepEqual([first.code, first.json], [201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }]);
  const { json } = await server.get(`${NS}/pods/bound`);
  assert.deepEqual([json['spec']?.['nodeName'], json['metadata']?.['annotations'], json['metadata']?.['generation']], ['n1', { by: 'test' }, 1]);
  const conditions = (json['status']?.['conditions'] ?? []) as unknown as { type: string; status: string }[];
  assert.deepEqual(conditions.filter(({ type }) => type === 'PodScheduled').map(({ status }) => status), ['True']);
  const again = await server.post(`${NS}/bindings`, binding);
  assert.deepEqual(failed(again), { code: 409, reason: 'Conflict', message: 'Operation cannot be fulfilled on pods/binding "bound": pod bound is already assigned to node "n1"' });
});

test('a bound pod is deleted in two steps', async () => {
  await server.post(`${NS}/pods`, { metadata: { name: 'dying' }, spec: { ...podSpec, nodeName: 'n1' } });
  const first = await server.delete(`${NS}/pods/dying`, { gracePeriodSeconds: 7 });
  assert.deepEqual([first.code, first.json['kind'], first.json['metadata']?.['deletionGracePeriodSeconds']], [200, 'Pod', 7]);
  assert.equal((await server.get(`${NS}/pods/dying`)).code, 200);
  const uid = first.json['metadata']?.['uid'];
  assert.equal((await server.delete(`${NS}/pods/dying`, { gracePeriodSeconds: 0, preconditions: { uid: 'another' } })).code, 409);
  assert.equal((await server.delete(`${NS}/pods/dying`, { gracePeriodSeconds: 0, preconditions: { uid } })).code, 200);
  assert.equal((await server.get(`${NS}/pods/dying`)).code, 404);
});

test('finalizers keep an object until the last one is gone', async () => {
  await server.post(`${NS}/configmaps`, { metadata: { name: 'held', finalizers: ['example.com/x'] } });
  const { code, json } = await server.delete(`${NS}/configmaps/held`);
  assert.deepEqual([code, json['kind'], typeof json['metadata']?.['deletionTimestamp']], [200, 'ConfigMap', 'string']);
  assert.match(failed(await server.patch(`${NS}/configmaps/held`, 'merge', { metadata: { finalizers: ['example.com/x', 'example.com/y'] } })).message ?? '', /no new finalizers can be added if the object is being deleted/);
  assert.equal((await server.patch(`${NS}/configmaps/held`, 'merge', { metadata: { finalizers: null } })).code, 200);
  assert.equal((await server.get(`${NS}/configmaps/held`)).code, 404);
});

test('a namespace ends when it is finalized, and takes nothing in before', async () => {
  await server.post('/api/v1/namespaces', { metadata: { name: 'ending' } });
  const { json } = await server.delete('/api/v1/namespaces/ending');
  assert.equal(json['status']?.['phase'], 'Terminating');
  const refused = await server.post('/api/v1/namespaces/ending/configmaps', configMap('late'));
  assert.deepEqual(failed(refused), {
    code: 403, reason: 'Forbidden', message: 'configmaps "late" is forbidden: unable to create new content in namespace ending because it is being terminated',
  });
  assert.equal((await server.put('/api/v1/namespaces/ending/finalize', { metadata: { name: 'ending' }, spec: { finalizers: [] } })).code, 200);
  assert.equal((await server.get('/api/v1/namespaces/ending')).code, 404);
  assert.equal(failed(await server.delete('/api/v1/namespaces/default')).message, 'namespaces "default" is forbidden: this namespace may not be deleted');
});

test('an eviction asks the disruption budget', async () => {
  const ready = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
  for (const name of ['evict-a', 'evict-b']) {
    await server.post(`${NS}/pods`, { metadata: { name, labels: { app: 'evict' } }, spec: { ...podSpec, nodeName: 'n1' } });
    await server.patch(`${NS}/pods/${name}/status`, 'merge', { status: ready });
  }
  const budgets = '/apis/policy/v1/namespaces/default/poddisruptionbudgets';
  await server.post(budgets, { metadata: { name: 'budget' }, spec: { minAvailable: 1, selector: { matchLabels: { app: 'evict' } } } });
  await server.patch(`${budgets}/budget/status`, 'merge', { status: { observedGeneration: 1, disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1, expectedPods: 2 } });
  const evict = (name: string, version = 'v1') => server.post(`${NS}/pods/${name}/eviction`, { apiVersion: `policy/${version}`, kind: 'Eviction', metadata: { name } });
  assert.equal((await evict('evict-a', 'v2')).code, 400);
  assert.equal((await evict('evict-a', 'v1beta1')).code, 201, 'as kubectl before 1.22 asks for it');
  const refused = await evict('evict-b');
  assert.deepEqual(failed(refused), { code: 429, reason: 'TooManyRequests', message: "Cannot evict pod as it would violate the pod's disruption budget." });
  assert.deepEqual(refused.json['details']?.['causes'], [{ reason: 'DisruptionBudget', message: 'The disruption budget budget needs 1 healthy pods and has 2 currently' }]);
});

test('a collection is deleted by its selector', async () => {
  for (const name of ['sweep-1', 'sweep-2', 'keep-1']) await server.post(`${NS}/configmaps`, { metadata: { name, labels: { group: name.split('-')[0] } } });
  const { json } = await server.delete(`${NS}/configmaps?labelSelector=group%3Dsweep`);
  assert.deepEqual([json['kind'], namesOf(json['items'])], ['ConfigMapList', ['sweep-1', 'sweep-2']]);
  assert.equal((await server.get(`${NS}/configmaps/keep-1`)).code, 200);
});

test('a service gets an address that nobody else gets', async () => {
  const created = await server.post(`${NS}/services`, { metadata: { name: 'dns' }, spec: { clusterIP: '10.96.0.10', ports: [{ port: 53, protocol: 'UDP' }] } });
  assert.deepEqual([created.code, created.json['spec']?.['clusterIPs']], [201, ['10.96.0.10']]);
  const second = await server.post(`${NS}/services`, { metadata: { name: 'dns2' }, spec: { clusterIP: '10.96.0.10', ports: [{ port: 53 }] } });
  assert.equal(failed(second).message, 'Service "dns2" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated');
  await server.delete(`${NS}/services/dns`);
  assert.equal((await server.post(`${NS}/services`, { metadata: { name: 'dns2' }, spec: { clusterIP: '10.96.0.10', ports: [{ port: 53 }] } })).code, 201);
});

test('paths that nobody serves answer as upstream\'s do', async () => {
  assert.deepEqual(failed(await server.get('/api/v1/foos')), { code: 404, reason: 'NotFound', message: 'the server could not find the requested resource' });
  const unknown = await server.get('/apis/nothing.example.com/v1/foos');
  assert.deepEqual([unknown.code, unknown.text], [404, '404 page not found\n']);
  assert.equal((await server.post('/api/v1/pods', {})).code, 405);
  assert.equal((await server.get('/api/v1/namespaces/default/nodes')).code, 404);
  assert.equal((await server.delete(`${NS}/pods/x/status`)).code, 405);
});
