import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Pod, Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { planEndpoints } from '../endpoints/plan.ts';
import { planSlices, type SliceChanges } from './plan.ts';

const service = (spec: Partial<Service['spec']> = {}): Service => ({
  metadata: { name: 'web', namespace: 'default', uid: 's', labels: { team: 'a' } },
  spec: { clusterIP: '10.96.0.5', ipFamilies: ['IPv4'], selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }], ...spec },
});
const pod = (index: number, { ready = true, port = 8080, phase = 'Running', deleting = false, ip = `172.16.0.${index}` } = {}): Pod => ({
  metadata: { name: `web-${index}`, namespace: 'default', uid: `u${index}`, labels: { app: 'web' }, ...(deleting ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) },
  spec: { nodeName: 'w1', containers: [{ name: 'c', ports: [{ name: 'http', containerPort: port, protocol: 'TCP' }] }] },
  status: { phase, podIP: ip, podIPs: [{ ip }], conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
});
const zoned: Node = { metadata: { name: 'w1', labels: { 'topology.kubernetes.io/zone': 'z1' } }, spec: {}, status: {} };
const plan = (pods: Pod[], existing: EndpointSlice[] = [], { maxEndpoints = 100, owner = service() } = {}): SliceChanges =>
  planSlices({ service: owner, pods, nodeOf: () => zoned, existing, maxEndpoints, triggerMs: undefined });
/** What the server would hold after the creations. */
const stored = ({ create }: SliceChanges): EndpointSlice[] => create.map((slice, index) => ({ ...slice, metadata: { ...slice.metadata, name: `web-${index}abcd`, resourceVersion: '1' } }) as EndpointSlice);
const range = (from: number, to: number): Pod[] => Array.from({ length: to - from + 1 }, (_, offset) => pod(from + offset));

test('a ready pod becomes an endpoint with its node, zone and reference', () => {
  const [slice] = plan([pod(1)]).create;
  assert.equal(slice?.metadata.generateName, 'web-');
  assert.deepEqual(slice?.metadata.labels, { team: 'a', 'kubernetes.io/service-name': 'web', 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' });
  assert.deepEqual(slice?.ports, [{ name: 'http', port: 8080, protocol: 'TCP' }]);
  assert.deepEqual(slice?.endpoints, [{
    addresses: ['172.16.0.1'], conditions: { ready: true, serving: true, terminating: false },
    targetRef: { kind: 'Pod', namespace: 'default', name: 'web-1', uid: 'u1' }, nodeName: 'w1', zone: 'z1',
  }]);
});

test('a Service that prefers what is near gives hints for ready endpoints', () => {
  const hints = (trafficDistribution: string | undefined, options = {}) => plan([pod(1, options)], [], { owner: service({ trafficDistribution }) }).create[0]?.endpoints?.[0]?.hints;
  assert.equal(hints(undefined), undefined);
  assert.deepEqual(hints('PreferSameZone'), { forZones: [{ name: 'z1' }] });
  assert.deepEqual(hints('PreferClose'), { forZones: [{ name: 'z1' }] });
  assert.deepEqual(hints('PreferSameNode'), { forZones: [{ name: 'z1' }], forNodes: [{ name: 'w1' }] });
  assert.equal(hints('PreferSameNode', { ready: false }), undefined);
});

test('a terminating pod still serves but is not ready, unless not-ready addresses are published', () => {
  const conditions = (owner: Service) => plan([pod(1, { deleting: true })], [], { owner }).create[0]?.endpoints?.[0]?.conditions;
  assert.deepEqual(conditions(service()), { ready: false, serving: true, terminating: true });
  assert.deepEqual(conditions(service({ publishNotReadyAddresses: true })), { ready: true, serving: true, terminating: true });
});

test('ended pods and pods without address are left out, and a placeholder stays', () => {
  const changes = plan([pod(1, { phase: 'Succeeded' }), pod(2, { ip: '' })]);
  assert.deepEqual(changes.create.map(({ endpoints, ports }) => ({ endpoints, ports })), [{ endpoints: [], ports: [] }]);
  assert.deepEqual(plan([], stored(changes)), { create: [], update: [], remove: [] });
});

test('the placeholder becomes the first real slice by an update', () => {
  const changes = plan([pod(1)], stored(plan([])));
  assert.deepEqual([changes.create.length, changes.update.length, changes.remove.length], [0, 1, 0]);
  assert.equal(changes.update[0]?.endpoints?.length, 1);
});

test('nothing is written when nothing changed', () => {
  const pods = range(1, 3);
  assert.deepEqual(plan(pods, stored(plan(pods))), { create: [], update: [], remove: [] });
});

test('endpoints are split by the size of a slice, and new ones fill the fullest slice that takes them all', () => {
  const existing = stored(plan(range(1, 5), [], { maxEndpoints: 3 }));
  assert.deepEqual(existing.map(({ endpoints }) => endpoints?.length), [3, 2]);
  const changes = plan(range(1, 6), existing, { maxEndpoints: 3 });
  assert.deepEqual([changes.create.length, changes.update.map(({ metadata, endpoints }) => [metadata.name, endpoints?.length])], [0, [['web-1abcd', 3]]]);
});

test('a slice that is written anyway takes new endpoints too', () => {
  const existing = stored(plan(range(1, 4), [], { maxEndpoints: 2 }));
  const changes = plan([pod(2), pod(3), pod(4), pod(9)], existing, { maxEndpoints: 2 });
  assert.deepEqual(changes.update.map(({ endpoints }) => endpoints?.map(({ targetRef }) => targetRef?.name)), [['web-2', 'web-9']]);
  assert.equal(changes.create.length, 0);
});

test('pods that serve a named port under different numbers go into different slices', () => {
  const { create } = plan([pod(1), pod(2, { port: 9090 })]);
  assert.deepEqual(create.map(({ ports }) => ports?.[0]?.port).sort(), [8080, 9090]);
});

test('a headless Service is labelled so', () => {
  assert.equal(plan([pod(1)], [], { owner: service({ clusterIP: 'None' }) }).create[0]?.metadata.labels?.['service.kubernetes.io/headless'], '');
});

test('Endpoints part ready from not ready addresses and leave out terminating ones', () => {
  const { subsets, labels } = planEndpoints(service(), [pod(1), pod(2, { ready: false }), pod(3, { deleting: true })], undefined, undefined);
  assert.deepEqual(subsets?.map(({ addresses, notReadyAddresses, ports }) => [addresses?.map(({ ip }) => ip), notReadyAddresses?.map(({ ip }) => ip), ports]), [
    [['172.16.0.1'], ['172.16.0.2'], [{ name: 'http', port: 8080, protocol: 'TCP' }]],
  ]);
  assert.deepEqual(labels, { team: 'a', 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' });
});

test('Endpoints beyond a thousand are cut and say so', () => {
  const many = Array.from({ length: 1005 }, (_, index) => pod(index, { ip: `172.16.${Math.floor(index / 250)}.${(index % 250) + 1}` }));
  const { subsets, annotations } = planEndpoints(service(), many, undefined, undefined);
  assert.equal(subsets?.[0]?.addresses?.length, 1000);
  assert.equal(annotations['endpoints.kubernetes.io/over-capacity'], 'truncated');
});
