import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { shortHash } from '../edge/nft.ts';
import { ServiceTable } from './service-table.ts';
import { EMPTY_CONTENT } from './table-content.ts';
import { incrementalTransaction } from './transaction.ts';

const newTable = (): ServiceTable => new ServiceTable({ place: { node: 'w1', zone: undefined }, clusterCidr: '172.16.0.0/16', masqueradeMark: '0x4000', nodeIps: ['192.168.1.101'], shortHash });
const service = (name: string, spec: Partial<NonNullable<Service['spec']>>, namespace = 'ns1'): Service => ({ metadata: { name, namespace }, spec: { clusterIP: '10.96.0.41', ports: [{ name: 'p80', port: 80, protocol: 'TCP', targetPort: 8080 }], ...spec } });
const slice = (of: string, endpoints: EndpointSlice['endpoints'], ports: EndpointSlice['ports'] = [{ name: 'p80', port: 8080, protocol: 'TCP' }], namespace = 'ns1'): EndpointSlice =>
  ({ metadata: { name: `${of}-1`, namespace, labels: { 'kubernetes.io/service-name': of } }, addressType: 'IPv4', endpoints, ports });
const CHAIN = 'ULMVA6XW-ns1/svc1/tcp/p80';
const element = (table: ServiceTable, set: string, key: string): string | undefined => table.content().elements.get(set)?.get(key);

test('names of chains are upstream\'s', () => {
  const table = newTable();
  table.setService(service('svc1', {}));
  table.setSlice(slice('svc1', [{ addresses: ['172.16.1.2'] }, { addresses: ['172.16.1.1'] }]));
  assert.deepEqual(table.content().chains.get(`service-${CHAIN}`), ['meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 172.16.1.1 . 8080 , 1 : 172.16.1.2 . 8080 }']);
  assert.equal(element(table, 'service-ips', '10.96.0.41 . tcp . 80'), `goto service-${CHAIN}`);
});

test('without endpoints a cluster IP rejects; with internal policy Local and endpoints elsewhere it drops', () => {
  const table = newTable();
  table.setService(service('svc1', {}));
  assert.equal(element(table, 'no-endpoint-services', '10.96.0.41 . tcp . 80'), 'goto reject-chain');
  table.setService(service('svc1', { internalTrafficPolicy: 'Local' }));
  table.setSlice(slice('svc1', [{ addresses: ['172.16.1.2'], nodeName: 'w2' }]));
  assert.equal(element(table, 'no-endpoint-services', '10.96.0.41 . tcp . 80'), 'drop');
  assert.equal(element(table, 'service-ips', '10.96.0.41 . tcp . 80'), undefined);
});

test('a node port with policy Local serves the node and pods from anywhere, others only locally', () => {
  const table = newTable();
  table.setService(service('svc1', { type: 'NodePort', externalTrafficPolicy: 'Local', ports: [{ name: 'p80', port: 80, nodePort: 30080 }] }));
  table.setSlice(slice('svc1', [{ addresses: ['172.16.1.2'], nodeName: 'w2' }]));
  const external = [`ip saddr 172.16.0.0/16 goto service-${CHAIN}`, 'fib saddr type local meta mark set meta mark or 0x4000', `fib saddr type local goto service-${CHAIN}`];
  assert.deepEqual(table.content().chains.get(`external-${CHAIN}`), external);
  assert.equal(element(table, 'no-endpoint-nodeports', 'tcp . 30080'), 'drop');
  table.setSlice(slice('svc1', [{ addresses: ['172.16.1.2'], nodeName: 'w1' }]));
  assert.deepEqual(table.content().chains.get(`external-${CHAIN}`), [...external, `goto local-${CHAIN}`]);
  assert.equal(element(table, 'no-endpoint-nodeports', 'tcp . 30080'), undefined);
  assert.equal(element(table, 'hairpin-connections', '172.16.1.2 . 172.16.1.2 . tcp . 8080'), '');
});

test('session affinity gives every endpoint a chain and a set of clients', () => {
  const table = newTable();
  table.setService(service('svc1', { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } }));
  table.setSlice(slice('svc1', [{ addresses: ['172.16.1.2'] }]));
  const { chains, affinitySets } = table.content();
  const [set] = [...affinitySets.keys()];
  assert.match(set ?? '', /^affinity-[A-Z2-7]{8}-ns1\/svc1\/tcp\/p80__172\.16\.1\.2\/8080$/);
  const endpointChain = set?.replace('affinity-', 'endpoint-') ?? '';
  assert.deepEqual(chains.get(endpointChain), [`update @${set} { ip saddr }`, 'meta l4proto tcp dnat to 172.16.1.2:8080']);
  assert.deepEqual(chains.get(`service-${CHAIN}`), [`ip saddr @${set} goto ${endpointChain}`, `numgen random mod 1 vmap { 0 : goto ${endpointChain} }`]);
});

test('load balancer addresses are served, guarded by their source ranges, unless they are the balancer\'s own business', () => {
  const table = newTable();
  const balancer = (ipMode: string): Service => ({ ...service('svc1', { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.1.0.0/16'] }), status: { loadBalancer: { ingress: [{ ip: '5.6.7.8', ipMode }] } } });
  table.setService(balancer('VIP'));
  table.setSlice(slice('svc1', [{ addresses: ['172.16.1.2'] }]));
  assert.equal(element(table, 'service-ips', '5.6.7.8 . tcp . 80'), `goto external-${CHAIN}`);
  assert.equal(element(table, 'firewall-ips', '5.6.7.8 . tcp . 80'), `goto firewall-${CHAIN}`);
  assert.deepEqual(table.content().chains.get(`firewall-${CHAIN}`), ['ip saddr != { 10.1.0.0/16 } drop']);
  table.setPlace({ node: 'w1', zone: undefined }, ['10.1.0.101']);
  assert.deepEqual(table.content().chains.get(`firewall-${CHAIN}`), ['ip saddr != { 10.1.0.0/16, 5.6.7.8 } drop'], 'a node in the range may speak from the address itself');
  table.setService(balancer('Proxy'));
  assert.equal(element(table, 'service-ips', '5.6.7.8 . tcp . 80'), undefined);
});

test('headless and external name services, and those of another proxy, add nothing', () => {
  const table = newTable();
  table.setService(service('headless', { clusterIP: 'None' }));
  table.setService(service('elsewhere', { type: 'ExternalName', externalName: 'example.org' }));
  table.setService({ ...service('other', {}), metadata: { name: 'other', namespace: 'ns1', labels: { 'service.kubernetes.io/service-proxy-name': 'mine' } } });
  assert.deepEqual(table.content(), EMPTY_CONTENT);
});

test('text that is no address never reaches a rule', () => {
  const table = newTable();
  table.setService(service('svc1', { externalIPs: ['1.2.3.4 } ; flush ruleset'] }));
  table.setSlice(slice('svc1', [{ addresses: ['172.16.1.2 } drop'] }, { addresses: ['172.16.1.3'] }]));
  assert.doesNotMatch(incrementalTransaction(EMPTY_CONTENT, table.content()).script, /flush ruleset|1\.2\.3\.4|drop/);
});

test('an endpoint in two slices counts once, and one service\'s change touches only its own chains', () => {
  const table = newTable();
  table.setService(service('svc1', {}));
  table.setService(service('svc2', { clusterIP: '10.96.0.42' }));
  table.setSlice(slice('svc1', [{ addresses: ['172.16.1.2'] }]));
  table.setSlice({ ...slice('svc1', [{ addresses: ['172.16.1.2'] }]), metadata: { name: 'svc1-2', namespace: 'ns1', labels: { 'kubernetes.io/service-name': 'svc1' } } });
  table.setSlice(slice('svc2', [{ addresses: ['172.16.1.9'] }]));
  const before = table.content();
  assert.match(before.chains.get(`service-${CHAIN}`)?.[0] ?? '', /mod 1 map/);
  table.setSlice(slice('svc2', [{ addresses: ['172.16.1.9'] }, { addresses: ['172.16.1.10'] }]));
  const { script } = incrementalTransaction(before, table.content());
  assert.match(script, /svc2/);
  assert.doesNotMatch(script, /svc1/);
});

test('no difference gives no transaction; a service that goes leaves its chains to be deleted later', () => {
  const table = newTable();
  table.setService(service('svc1', {}));
  table.setSlice(slice('svc1', [{ addresses: ['172.16.1.2'] }]));
  const before = table.content();
  assert.equal(incrementalTransaction(before, table.content()).script, '');
  table.deleteService('ns1/svc1');
  const { script, leftovers } = incrementalTransaction(before, table.content());
  assert.deepEqual(leftovers, { chains: [`service-${CHAIN}`], sets: [] });
  assert.equal(script, `delete element ip kube-proxy cluster-ips { 10.96.0.41 }\ndelete element ip kube-proxy service-ips { 10.96.0.41 . tcp . 80 }\nflush chain ip kube-proxy service-${CHAIN}\n`);
});

test('services that want the same external address do not break the table; the next one gets it when the first goes', () => {
  const table = newTable();
  table.setService(service('svc1', { externalIPs: ['9.9.9.9'] }));
  table.setService(service('svc2', { clusterIP: '10.96.0.42', externalIPs: ['9.9.9.9'] }));
  for (const name of ['svc1', 'svc2']) table.setSlice(slice(name, [{ addresses: ['172.16.1.2'] }]));
  assert.equal(element(table, 'service-ips', '9.9.9.9 . tcp . 80'), `goto external-${CHAIN}`);
  table.deleteService('ns1/svc1');
  assert.match(element(table, 'service-ips', '9.9.9.9 . tcp . 80') ?? '', /svc2/);
});
