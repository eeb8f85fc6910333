import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'node:test';
import pino from 'pino';
import { systemClock } from '#lib/environment/clock.ts';
import { createCertificateAuthority, issueCertificate } from '#lib/pki/certificate.ts';
import { eventually } from '#lib/testing/eventually.ts';
import { startTestServer, type TestServer } from '../edge/testing/test-server.ts';
import { Aggregator } from './aggregator.ts';
import { aggregatedResources } from './remote-discovery.ts';

const LIST = { kind: 'APIResourceList', groupVersion: 'metrics.k8s.io/v1beta1', resources: [{ name: 'pods', singularName: '', namespaced: true, kind: 'PodMetrics', verbs: ['get', 'list'] }] };
const AGGREGATED = { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' };
const NAME = 'v1beta1.metrics.k8s.io';

interface Backend {
  readonly server: Server;
  readonly port: number;
  readonly caPem: string;
  readonly seen: IncomingMessage[];
}

async function startBackend(): Promise<Backend> {
  const nowMs = Date.now();
  const ca = await createCertificateAuthority({ commonName: 'ca', nowMs });
  const { certPem, keyPem } = await issueCertificate({ ca, commonName: 'm', usages: ['server'], nowMs, dnsNames: ['metrics-server.default.svc'], ipAddresses: [] });
  const seen: IncomingMessage[] = [];
  const server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
    seen.push(request);
    let body = '';
    request.on('data', (chunk) => (body += String(chunk))).on('end', () => {
      response.setHeader('content-type', 'application/json');
      if (request.url === '/apis/metrics.k8s.io/v1beta1') return void response.end(JSON.stringify(LIST));
      if (request.url?.includes('watch=1')) return void response.write('{"type":"ADDED"}\n');
      response.statusCode = request.url?.includes('missing') ? 404 : 200;
      response.end(JSON.stringify({ url: request.url, method: request.method, body }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port, caPem: ca.certPem, seen };
}

async function withAggregation(run: (server: TestServer, backend: Backend, register: (spec?: object) => Promise<void>) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const backend = await startBackend();
  const server = await startTestServer({
    aggregator: (objects) => new Aggregator({ objects, clock: systemClock, log: pino({ level: 'silent' }), client: { certPem: '', keyPem: '' }, routesToEndpoints: false, fraction: () => 0 }),
  });
  server.aggregator?.start(server.store, stop.signal);
  const post = async (path: string, object: object): Promise<void> => assert.equal((await server.post(path, object)).code, 201);
  const register = async (spec: object = {}): Promise<void> => {
    await post('/apis/apiregistration.k8s.io/v1/apiservices', {
      apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name: NAME },
      spec: {
        group: 'metrics.k8s.io', version: 'v1beta1', groupPriorityMinimum: 100, versionPriority: 100, service: { namespace: 'default', name: 'metrics-server', port: backend.port },
        insecureSkipTLSVerify: true, ...spec,
      },
    });
  };
  try {
    // an ExternalName service is dialled by its name: the way to a server on this machine
    await post('/api/v1/namespaces/default/services', { apiVersion: 'v1', kind: 'Service', metadata: { name: 'metrics-server' }, spec: { type: 'ExternalName', externalName: 'localhost' } });
    await run(server, backend, register);
  } finally {
    stop.abort();
    backend.server.closeAllConnections();
    backend.server.close();
    await server.close();
  }
}

/** Until the assertion holds. */
async function holds(check: () => Promise<void>): Promise<void> {
  await eventually(async () => {
    await check();
    return true;
  });
}

const conditionOf = async (server: TestServer): Promise<string> => {
  const { json } = await server.get(`/apis/apiregistration.k8s.io/v1/apiservices/${NAME}`);
  const [condition] = (json['status']?.['conditions'] ?? []) as unknown as { status: string; reason: string; message: string }[];
  return condition ? `${condition.status} ${condition.reason} ${condition.message}` : '';
};
const availability = (server: TestServer, pattern: RegExp): Promise<void> => holds(async () => assert.match(await conditionOf(server), pattern));

test('a server behind an APIService is found available, listed in both discoveries, and answers as if it were here', () => withAggregation(async (server, backend, register) => {
  await register();
  await availability(server, /^True Passed all checks passed$/);
  await holds(async () => assert.equal((await server.get('/apis/metrics.k8s.io/v1beta1')).code, 200));
  const groups = (await server.get('/apis')).json['groups'] as unknown as { name: string; preferredVersion: unknown }[];
  assert.deepEqual(groups.at(-1), { name: 'metrics.k8s.io', versions: [{ groupVersion: 'metrics.k8s.io/v1beta1', version: 'v1beta1' }], preferredVersion: { groupVersion: 'metrics.k8s.io/v1beta1', version: 'v1beta1' } });
  assert.equal((await server.get('/apis/metrics.k8s.io')).json['kind'], 'APIGroup');
  const items = (await server.get('/apis', AGGREGATED)).json['items'] as unknown as { metadata: { name: string }; versions: unknown[] }[];
  assert.deepEqual(items.find(({ metadata }) => metadata.name === 'metrics.k8s.io')?.versions, [{ version: 'v1beta1', resources: aggregatedResources('metrics.k8s.io', 'v1beta1', LIST), freshness: 'Current' }]);

  const url = '/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=a%3Db';
  const answer = await server.request('POST', url, { hello: 1 }, { 'x-test-user': 'jane', 'x-remote-user': 'root', 'x-remote-group': 'system:masters', authorization: 'Bearer secret' });
  assert.deepEqual([answer.code, answer.json], [200, { url, method: 'POST', body: '{"hello":1}' }]);
  const seen = backend.seen.at(-1)?.headers ?? {};
  assert.deepEqual([seen['x-remote-user'], seen['x-remote-group'], seen['authorization']], ['jane', 'system:authenticated', undefined]);
  assert.equal((await server.get('/apis/metrics.k8s.io/v1beta1/nodes/missing')).code, 404);
}));

test('a server that is down is told as unavailable with the reason, and asked no more', () => withAggregation(async (server, backend, register) => {
  backend.server.close();
  await register();
  await availability(server, /^False FailedDiscoveryCheck failing or missing response from https:\/\/localhost:\d+\/apis\/metrics.k8s.io\/v1beta1: .*connection refused/);
  const answer = await server.get('/apis/metrics.k8s.io/v1beta1/nodes');
  assert.deepEqual([answer.code, answer.text], [503, 'service unavailable\n']);
  const items = (await server.get('/apis', AGGREGATED)).json['items'] as unknown as { metadata: { name: string }; versions: { freshness: string }[] }[];
  assert.equal(items.find(({ metadata }) => metadata.name === 'metrics.k8s.io')?.versions[0]?.freshness, 'Stale');
}));

test('the caBundle decides whom to believe', () => withAggregation(async (server, backend, register) => {
  await register({ insecureSkipTLSVerify: false, caBundle: Buffer.from(backend.caPem).toString('base64') });
  await availability(server, /^True/);
  await holds(async () => assert.equal((await server.get('/apis/metrics.k8s.io/v1beta1/nodes')).code, 200));
  const other = await createCertificateAuthority({ commonName: 'other', nowMs: Date.now() });
  const path = `/apis/apiregistration.k8s.io/v1/apiservices/${NAME}`;
  assert.equal((await server.patch(path, 'merge', { spec: { caBundle: Buffer.from(other.certPem).toString('base64') } })).code, 200);
  await holds(async () => assert.match((await server.get('/apis/metrics.k8s.io/v1beta1/nodes')).text, /^error trying to reach service: .*certificate/));
  assert.equal((await server.patch(path, 'merge', { spec: { caBundle: 'bm9uc2Vuc2U=' } })).code, 200);
  await holds(async () => assert.equal((await server.get('/apis/metrics.k8s.io/v1beta1/nodes')).code, 503));
}));

test('a missing service, port or endpoint is named', () => withAggregation(async (server, _backend, register) => {
  await register({ service: { namespace: 'default', name: 'none', port: 443 } });
  await availability(server, /^False ServiceNotFound service\/none in "default" is not present$/);
  const service = (ports: object[]) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'none' }, spec: { ports, selector: { a: 'b' } } });
  assert.equal((await server.post('/api/v1/namespaces/default/services', service([{ name: 'https', port: 444 }]))).code, 201);
  await availability(server, /^False ServicePortError service\/none in "default" is not listening on port 443$/);
  assert.equal((await server.patch('/api/v1/namespaces/default/services/none', 'merge', { spec: { ports: [{ name: 'https', port: 443 }] } })).code, 200);
  await availability(server, /^False EndpointsNotFound cannot find endpointslices for service\/none in "default"$/);
  const slice = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { name: 's', labels: { 'kubernetes.io/service-name': 'none' } }, addressType: 'IPv4', endpoints: [], ports: [{ name: 'x', port: 1 }] };
  assert.equal((await server.post('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', slice)).code, 201);
  await availability(server, /^False MissingEndpoints endpointslices for service\/none in "default" have no addresses with port name "https"$/);
}));

test('what the server serves itself is registered as always available, and a bad APIService is refused', () => withAggregation(async (server) => {
  await server.aggregator?.registerLocal(server.store, [{ group: 'apps', version: 'v1' }, { group: '', version: 'v1' }]);
  const { json } = await server.get('/apis/apiregistration.k8s.io/v1/apiservices/v1.apps');
  assert.deepEqual([json['spec'], json['metadata']?.['labels'], json['status']?.['conditions']?.['0']?.['reason']],
    [{ group: 'apps', version: 'v1', groupPriorityMinimum: 17800, versionPriority: 15 }, { 'kube-aggregator.kubernetes.io/automanaged': 'onstart' }, 'Local']);
  const bad = { apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name: 'x' }, spec: { version: 'V', caBundle: 'YQ==', service: {}, insecureSkipTLSVerify: true } };
  const answer = await server.post('/apis/apiregistration.k8s.io/v1/apiservices', bad);
  assert.equal(answer.code, 422);
  assert.match(String(answer.json['message']), /metadata.name: Invalid value: "x": must be `spec.version\+"."\+spec.group`: "V."/);
}));
