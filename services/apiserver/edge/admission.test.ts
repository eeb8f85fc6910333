import assert from 'node:assert/strict';
import test from 'node:test';
import { namespaceObject } from '../core/bootstrap/objects.ts';
import { startTestServer, type TestServer } from './testing/test-server.ts';

const pod = (name: string, spec: object = {}) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { containers: [{ name: 'c', image: 'x' }], ...spec } });
const PODS = '/api/v1/namespaces/default/pods';

async function withServer(run: (server: TestServer) => Promise<void>): Promise<void> {
  const server = await startTestServer();
  try {
    await run(server);
  } finally {
    await server.close();
  }
}

/** Waits until the memory knows what has been written. */
async function settled(server: TestServer, path: string): Promise<void> {
  assert.equal((await server.get(path)).code, 200);
}

async function makeQuota(server: TestServer, name: string, hard: object): Promise<void> {
  const path = '/api/v1/namespaces/default/resourcequotas';
  assert.equal((await server.post(path, { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name }, spec: { hard } })).code, 201);
  const used = Object.fromEntries(Object.keys(hard).map((key) => [key, '0']));
  const status = await server.patch(`${path}/${name}/status`, 'merge', { status: { hard, used } });
  assert.equal(status.code, 200, status.text);
  await settled(server, path);
}

test('creates at the same moment cannot pass a quota together', () => withServer(async (server) => {
  await makeQuota(server, 'q', { pods: '3' });
  const answers = await Promise.all(Array.from({ length: 12 }, (_, index) => server.post(PODS, pod(`p${index}`))));
  assert.equal(answers.filter(({ code }) => code === 201).length, 3);
  const refused = answers.filter(({ code }) => code === 403);
  assert.equal(refused.length, 9);
  assert.match(String(refused[0]?.json['message']), /^pods "p\d+" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3$/);
  assert.equal((await server.get('/api/v1/namespaces/default/resourcequotas/q')).json['status']?.['used']?.['pods'], '3');
}));

test('a dry run is held against the quota and costs nothing; a quota without a count yet lets nothing in', () => withServer(async (server) => {
  await makeQuota(server, 'q', { pods: '1', 'limits.cpu': '1' });
  assert.match(String((await server.post(PODS, pod('a'))).json['message']), /^pods "a" is forbidden: failed quota: q: must specify limits.cpu for: c$/);
  const sized = pod('a', { containers: [{ name: 'c', image: 'x', resources: { limits: { cpu: '2' } } }] });
  assert.match(String((await server.post(`${PODS}?dryRun=All`, sized)).json['message']), /exceeded quota: q, requested: limits.cpu=2, used: limits.cpu=0, limited: limits.cpu=1$/);
  const fitting = pod('a', { containers: [{ name: 'c', image: 'x', resources: { limits: { cpu: '500m' } } }] });
  assert.equal((await server.post(`${PODS}?dryRun=All`, fitting)).code, 201);
  assert.equal((await server.get('/api/v1/namespaces/default/resourcequotas/q')).json['status']?.['used']?.['pods'], '0');
  assert.equal((await server.patch('/api/v1/namespaces/default/resourcequotas/q/status', 'merge', { status: { used: null } })).code, 200);
  await settled(server, '/api/v1/namespaces/default/resourcequotas');
  assert.match(String((await server.post(PODS, fitting)).json['message']), /status unknown for quota: q, resources: limits.cpu,pods$/);
}));

test('a restricted namespace refuses plain pods and warns about Deployments that would make them', () => withServer(async (server) => {
  assert.equal((await server.post('/api/v1/namespaces', { ...namespaceObject('strict'), metadata: { name: 'strict', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } })).code, 201);
  const refused = await server.post('/api/v1/namespaces/strict/pods', pod('p'));
  assert.match(String(refused.json['message']), /is forbidden: (violates PodSecurity "restricted:latest"|error looking up service account)/);
  const labels = { app: 'a' };
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'x' }] } } } };
  const made = await server.post('/apis/apps/v1/namespaces/strict/deployments', deployment);
  assert.equal(made.code, 201);
  assert.match(String(made.headers['warning']), /would violate PodSecurity \\"restricted:latest\\": allowPrivilegeEscalation != false/);
}));
