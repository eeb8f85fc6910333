import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Service } from '#lib/kinds/types/core-v1.ts';
import { addressesToAnnounce } from './load-balancer.ts';

const NODES = ['w1-k8s', 'w2-k8s', 'w3-k8s'];
const node = (name: string, status = 'True', labels = {}): Node => ({ metadata: { name, labels }, spec: {}, status: { conditions: [{ type: 'Ready', status }] } });
const service = (ip: string, externalTrafficPolicy = 'Cluster'): Service => ({
  metadata: { name: `s${ip.replaceAll('.', '-')}`, namespace: 'default' }, spec: { type: 'LoadBalancer', externalTrafficPolicy }, status: { loadBalancer: { ingress: [{ ip }] } },
});
const services = Array.from({ length: 30 }, (_, index) => service(`192.168.1.${33 + index}`));
const speakers = (nodes: Node[], of = services, slices: Parameters<typeof addressesToAnnounce>[0]['slices'] = []) =>
  new Map(NODES.map((name) => [name, addressesToAnnounce({ node: name, services: of, nodes, slices })]));

test('each address is answered for by exactly one node, and all nodes have some', () => {
  const all = speakers(NODES.map((name) => node(name)));
  assert.deepEqual([...all.values()].flat().sort(), services.map(({ status }) => status?.loadBalancer?.ingress?.[0]?.ip).sort());
  for (const [name, addresses] of all) assert.ok(addresses.length >= 4, `${name} has ${addresses.length}`);
});

test('when a node is lost only its addresses move', () => {
  const before = speakers(NODES.map((name) => node(name)));
  const after = speakers([node('w1-k8s'), node('w2-k8s', 'Unknown'), node('w3-k8s')]);
  assert.deepEqual(after.get('w2-k8s'), []);
  for (const name of ['w1-k8s', 'w3-k8s']) for (const address of before.get(name) ?? []) assert.ok(after.get(name)?.includes(address));
});

test('control planes that are excluded never answer', () => {
  assert.deepEqual(addressesToAnnounce({ node: 'm-k8s', services, slices: [], nodes: [node('m-k8s', 'True', { 'node.kubernetes.io/exclude-from-external-load-balancers': '' })] }), []);
});

test('with externalTrafficPolicy Local a node without a ready endpoint does not answer', () => {
  const slices = [{ metadata: { name: 'x', namespace: 'default', labels: { 'kubernetes.io/service-name': 's192-168-1-40' } }, addressType: 'IPv4', endpoints: [
    { addresses: ['172.16.0.1'], nodeName: 'w3-k8s', conditions: { ready: true } }, { addresses: ['172.16.0.2'], nodeName: 'w1-k8s', conditions: { ready: false } },
  ] }];
  const local = speakers(NODES.map((name) => node(name)), [service('192.168.1.40', 'Local')], slices);
  assert.deepEqual([...local].filter(([, addresses]) => addresses.length > 0), [['w3-k8s', ['192.168.1.40']]]);
});
