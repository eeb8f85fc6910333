import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateSigningRequest } from '#lib/kinds/types/certificates-v1.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { startTestServer, type TestServer } from './testing/test-server.ts';

const POD = '/api/v1/namespaces/default/pods/p';
/** PEM of a request for O=dev, CN=jane. */
const REQUEST = [
  'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHY01GQUNBUUF3SFRFTU1Bb0dBMVVFQ2d3RFpHVjJNUTB3Q3dZRFZRUUREQVJxWVc1bE1Db3dCUVlESzJWdwpBeUVBMUh2OERMZE',
  '9QU2lSOTA1eGF6K25PN3hyeHNwRG5LMit2dm84NHdYRG14cWdBREFGQmdNclpYQURRUUFVCkZ2ZUV5TUlKcUVhZHU2YVJsM0pNaTFZTzdLZXcra3Vpd21zUExRMTlpZXVVR3JyREdUWnJtRnFrL0w2',
  'VERqMzcKc1R5Z1RSYm9IQTJBamNhMjBNY00KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==',
].join('');
const CSR = '/apis/certificates.k8s.io/v1/certificatesigningrequests/r';

async function withServer(run: (server: TestServer) => Promise<void>): Promise<void> {
  const server = await startTestServer();
  try {
    await run(server);
  } finally {
    await server.close();
  }
}
async function makePod(server: TestServer, resources: object = {}): Promise<void> {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'x', resources }] } };
  assert.equal((await server.post('/api/v1/namespaces/default/pods', pod)).code, 201);
}

test('a debug container is added as kubectl does it, and stays', () => withServer(async (server) => {
  await makePod(server);
  const debug = { name: 'd', image: 'busybox', targetContainerName: 'c', stdin: true, tty: true };
  const added = await server.patch(`${POD}/ephemeralcontainers`, 'strategic-merge', { spec: { ephemeralContainers: [debug], nodeName: 'elsewhere' } });
  assert.equal(added.code, 200, added.text);
  assert.equal(added.json['spec']?.['ephemeralContainers']?.['0']?.['terminationMessagePath'], '/dev/termination-log');
  assert.deepEqual([added.json['spec']?.['nodeName'], added.json['metadata']?.['generation']], [undefined, 2]);
  const changed = await server.patch(`${POD}/ephemeralcontainers`, 'strategic-merge', { spec: { ephemeralContainers: [{ name: 'd', image: 'other' }] } });
  assert.equal(changed.code, 422);
  assert.match(String(changed.json['message']), /spec.ephemeralContainers: Forbidden: existing ephemeral containers "d" may not be changed/);
  const stored = (await server.get(`${POD}/ephemeralcontainers`)).json as unknown as Pod;
  const removed = await server.put(`${POD}/ephemeralcontainers`, { ...stored, spec: { ...stored.spec, ephemeralContainers: [] } });
  assert.match(String(removed.json['message']), /existing ephemeral containers "d" may not be removed/);
  const bad = await server.patch(`${POD}/ephemeralcontainers`, 'strategic-merge', { spec: { ephemeralContainers: [{ name: 'c', image: 'x', ports: [{ containerPort: 1 }] }] } });
  assert.match(String(bad.json['message']), /spec.ephemeralContainers\[0\].ports: Forbidden: cannot be set for an Ephemeral Container/);
}));

test('processor and memory of a pod change by resize, and nothing else does', () => withServer(async (server) => {
  await makePod(server, { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '128Mi' } });
  const resize = (container: object) => server.patch(`${POD}/resize`, 'strategic-merge', { spec: { nodeName: 'elsewhere', containers: [{ name: 'c', ...container }] } });
  const done = await resize({ image: 'other', resources: { requests: { cpu: '200m' } } });
  assert.equal(done.code, 200, done.text);
  const { spec } = done.json as unknown as Pod;
  assert.deepEqual([spec.containers[0]?.resources, spec.containers[0]?.image, spec.nodeName], [{ requests: { cpu: '200m', memory: '64Mi' }, limits: { memory: '128Mi' } }, 'x', undefined]);
  const text = async (container: object): Promise<string> => String((await resize(container)).json['message']);
  assert.match(await text({ resources: { requests: { cpu: null } } }), /spec.containers\[0\].resources.requests: Forbidden: resource requests cannot be removed/);
  assert.match(await text({ resources: { limits: { 'example.com/x': '1' }, requests: { 'example.com/x': '1' } } }), /spec: Forbidden: only cpu and memory resources are mutable/);
  assert.match(await text({ resources: { requests: { cpu: '1', memory: '128Mi' }, limits: { cpu: '1' } } }), /Pod QOS Class may not change as a result of resizing/);
  assert.match(await text({ name: 'new', resources: {} }), /spec.containers: Forbidden: containers may not be added or removed on resize/);
  await server.patch(`${POD}/status`, 'merge', { status: { containerStatuses: [{ name: 'c', image: 'x', imageID: '', ready: true, restartCount: 0, state: { running: {} } }] } });
  assert.match(await text({ resources: { requests: { cpu: '300m' } } }), /spec: Forbidden: Pod running on node without support for resize/);
}));

test('a certificate request knows who asked, and is approved once and for good', () => withServer(async (server) => {
  const request = { apiVersion: 'certificates.k8s.io/v1', kind: 'CertificateSigningRequest', metadata: { name: 'r' }, spec: { request: REQUEST, signerName: 'example.com/s', usages: ['client auth'], username: 'root', groups: ['system:masters'] } };
  const made = await server.request('POST', '/apis/certificates.k8s.io/v1/certificatesigningrequests', request, { 'x-test-user': 'jane' });
  assert.equal(made.code, 201, made.text);
  const { spec } = made.json as unknown as CertificateSigningRequest;
  assert.deepEqual([spec.username, spec.groups], ['jane', ['system:authenticated']]);
  const condition = { type: 'Approved', status: 'True', reason: 'KubectlApprove', message: 'This CSR was approved by kubectl certificate approve.' };
  const approve = (conditions: object[]) => server.patch(`${CSR}/approval`, 'merge', { status: { conditions, certificate: REQUEST } });
  const approved = await approve([condition]);
  assert.equal(approved.code, 200, approved.text);
  assert.equal(approved.json['status']?.['certificate'], undefined);
  assert.match(String(approved.json['status']?.['conditions']?.['0']?.['lastUpdateTime']), /^\d{4}-/);
  assert.match(String((await approve([{ ...condition, type: 'Denied' }])).json['message']), /may not remove a condition of type "Approved"/);
  assert.match(String((await approve([condition, { ...condition, type: 'Denied' }])).json['message']), /Approved and Denied conditions are mutually exclusive/);
  assert.match(String((await approve([{ ...condition, status: 'False' }])).json['message']), /status.conditions\[0\].status: Unsupported value: "False": supported values: "True"/);
  const signed = await server.patch(`${CSR}/status`, 'merge', { status: { certificate: 'AAAA' } });
  assert.deepEqual([signed.code, signed.json['status']?.['certificate'], signed.json['status']?.['conditions']?.['0']?.['type']], [200, 'AAAA', 'Approved']);
}));

test('nonsense at the subresources is refused, never a failure of the server', () => withServer(async (server) => {
  await makePod(server);
  await server.post('/apis/certificates.k8s.io/v1/certificatesigningrequests', { metadata: { name: 'r' }, spec: { request: REQUEST, signerName: 'example.com/s', usages: ['client auth'] } });
  const paths = [`${POD}/ephemeralcontainers`, `${POD}/resize`, `${CSR}/approval`, `${CSR}/status`, '/api/v1/namespaces/default/status', '/api/v1/namespaces/default/finalize'];
  const bodies: unknown[] = [null, 0, '', '"x"', '{', [], {}, { spec: null }, { spec: { containers: null } }, { spec: { containers: {} } }, { spec: { containers: [null] } }, { spec: { containers: [{}] } },
    { spec: { ephemeralContainers: [null] } }, { spec: { ephemeralContainers: [{}] } }, { spec: { ephemeralContainers: 'x' } }, { status: null }, { status: { conditions: [null] } },
    { status: { conditions: [{}] } }, { status: { conditions: {} } }, { metadata: null }, { metadata: { name: 'other' } }, { spec: { containers: [{ name: 'c', resources: { requests: { cpu: 'x' } } }] } },
    { spec: { initContainers: [{ name: 'c', resources: null }] } }, { spec: { finalizers: [1] } }, { kind: 'X', apiVersion: 'y' }];
  for (const path of paths) {
    for (const body of bodies) {
      const answers = [await server.put(path, body), ...await Promise.all((['json', 'merge', 'strategic-merge'] as const).map((type) => server.patch(path, type, body)))];
      for (const { code, text } of answers) assert.ok(code < 500, `${path} ${JSON.stringify(body)}: ${code} ${text}`);
    }
  }
}));
