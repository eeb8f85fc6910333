import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ANONYMOUS } from '../core/access.ts';
import { startTestServer, type TestServer, type TestServerOptions } from './testing/test-server.ts';

const servers: TestServer[] = [];
const start = async (options: TestServerOptions): Promise<TestServer> => {
  const server = await startTestServer(options);
  servers.push(server);
  return server;
};
after(() => Promise.all(servers.map((server) => server.close())));

test('who is nobody gets 401, who may not gets 403 with what he may not', async () => {
  const closed = await start({ authenticate: () => undefined });
  const { code, json } = await closed.get('/api/v1/pods');
  assert.deepEqual([code, json], [401, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: 'Unauthorized', reason: 'Unauthorized', code: 401 }]);
  const guarded = await start({ authenticate: () => ANONYMOUS, authorize: () => false });
  const list = await guarded.get('/apis/apps/v1/namespaces/x/deployments');
  assert.deepEqual([list.code, list.json['message']], [403, 'deployments.apps is forbidden: User "system:anonymous" cannot list resource "deployments" in API group "apps" in the namespace "x"']);
  const one = await guarded.get('/api/v1/nodes/n1');
  assert.equal(one.json['message'], 'nodes "n1" is forbidden: User "system:anonymous" cannot get resource "nodes" in API group "" at the cluster scope');
  const path = await guarded.get('/metrics');
  assert.deepEqual([path.code, path.json['message']], [403, 'forbidden: User "system:anonymous" cannot get path "/metrics"']);
});

test('a request that takes too long is given up', async () => {
  const server = await start({ requestTimeoutMs: 30 });
  server.storage.get = () => new Promise(() => undefined);
  const { code, json } = await server.get('/api/v1/namespaces/default/configmaps/x');
  assert.deepEqual([code, json['reason'], json['message']], [504, 'Timeout', 'Timeout: request did not complete within requested timeout - context deadline exceeded']);
});

test('too many requests at once are sent away', async () => {
  const server = await start({ maxRequestsInflight: 1 });
  let letGo: () => void = () => undefined;
  const { storage } = server;
  const original = storage.get.bind(storage);
  storage.get = async (key) => {
    await new Promise<void>((resolve) => { letGo = resolve; });
    return original(key);
  };
  const first = server.get('/api/v1/namespaces/default/configmaps/x');
  while (letGo.name === '') await new Promise((resolve) => setImmediate(resolve));
  const second = await server.get('/api/v1/namespaces/default/configmaps/x');
  assert.deepEqual([second.code, second.headers['retry-after'], second.text], [429, '1', 'Too many requests, please try again later.\n']);
  letGo();
  assert.equal((await first).code, 404);
});

test('a kubelet writes its own node and pods only', async () => {
  const server = await start({});
  const headers = { 'x-test-user': 'system:node:n1' };
  assert.equal((await server.post('/api/v1/nodes', { metadata: { name: 'n1' } }, headers)).code, 201);
  const other = await server.post('/api/v1/nodes', { metadata: { name: 'n2' } }, headers);
  assert.equal(other.json['message'], 'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"');
  const taints = (await server.get('/api/v1/nodes/n1')).json['spec']?.['taints'];
  assert.deepEqual(taints, [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }]);
  const pod = { metadata: { name: 'p' }, spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] } };
  const refused = await server.post('/api/v1/namespaces/default/pods', pod, headers);
  assert.equal(refused.json['message'], 'pods "p" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods');
  const mirror = { ...pod, metadata: { name: 'p', annotations: { 'kubernetes.io/config.mirror': 'x' } } };
  const created = await server.post('/api/v1/namespaces/default/pods', mirror, headers);
  assert.deepEqual([created.code, created.json['spec']?.['serviceAccountName'], created.json['spec']?.['volumes']], [201, undefined, undefined]);
});

test('a pod gets its account, its token, tolerations and a priority', async () => {
  const server = await start({});
  const { json } = await server.post('/api/v1/namespaces/default/pods', { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }] } });
  const spec = json['spec'] as unknown as { serviceAccountName: string; priority: number; volumes: { name: string }[]; containers: { volumeMounts: { name: string; mountPath: string }[] }[]; tolerations: { key: string; tolerationSeconds: number }[] };
  assert.deepEqual([spec.serviceAccountName, spec.priority], ['default', 0]);
  assert.match(spec.volumes[0]?.name ?? '', /^kube-api-access-.{5}$/);
  assert.deepEqual(spec.containers[0]?.volumeMounts, [{ name: spec.volumes[0]?.name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }]);
  assert.deepEqual(spec.tolerations.map(({ key, tolerationSeconds }) => `${key} ${tolerationSeconds}`), ['node.kubernetes.io/not-ready 300', 'node.kubernetes.io/unreachable 300']);
  const unknown = await server.post('/api/v1/namespaces/default/pods', { metadata: { name: 'q' }, spec: { serviceAccountName: 'nobody', containers: [{ name: 'c', image: 'i' }] } });
  assert.equal(unknown.json['message'], 'pods "q" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found');
  const classless = await server.post('/api/v1/namespaces/default/pods', { metadata: { name: 'q' }, spec: { priorityClassName: 'vip', containers: [{ name: 'c', image: 'i' }] } });
  assert.equal(classless.json['message'], 'pods "q" is forbidden: no PriorityClass with name vip was found');
});
