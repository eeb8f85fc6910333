import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service, ServiceSpec } from '#lib/kinds/types/core-v1.ts';
import { planAddresses } from './load-balancer.ts';

const pools = [
  { metadata: { name: 'pods' }, spec: { cidr: '172.16.0.0/16' } },
  { metadata: { name: 'lb' }, spec: { cidr: '192.168.1.32/30', allowedUses: ['LoadBalancer'] } },
];
const service = (name: string, spec: Partial<ServiceSpec> = {}, ip?: string, more: object = {}): Service => ({
  metadata: { name, namespace: 'default', creationTimestamp: `2026-01-01T00:00:0${name.length % 10}Z`, ...more }, spec: { type: 'LoadBalancer', ...spec },
  status: { loadBalancer: ip === undefined ? {} : { ingress: [{ ip, ipMode: 'VIP' }] } },
});
const plan = (...services: Service[]) => planAddresses(services, pools);

test('each gets the lowest address that is free, the older one first', () => {
  assert.deepEqual(plan(service('bb'), service('a')).assignments.map(({ name, address }) => [name, address]), [['a', '192.168.1.33'], ['bb', '192.168.1.34']]);
  assert.deepEqual(plan(service('a'), service('bb', {}, '192.168.1.33')).assignments.map(({ name, address }) => [name, address]), [['a', '192.168.1.34']]);
});

test('who comes too late waits, and is told why', () => {
  const { assignments, waiting } = plan(service('a'), service('bb'), service('ccc'));
  assert.equal(assignments.length, 2);
  assert.deepEqual(waiting, ['default/ccc: no address is left']);
});

test('a certain address is given when it is free and in a pool', () => {
  assert.deepEqual(plan(service('a', { loadBalancerIP: '192.168.1.34' })).assignments[0]?.address, '192.168.1.34');
  assert.deepEqual(plan(service('a', {}, undefined, { annotations: { 'projectcalico.org/loadBalancerIPs': '["192.168.1.34"]' } })).assignments[0]?.address, '192.168.1.34');
  assert.deepEqual(plan(service('a', { loadBalancerIP: '10.0.0.1' })).waiting, ['default/a: 10.0.0.1 is in no pool for load balancers']);
  assert.deepEqual(plan(service('a', { loadBalancerIP: '192.168.1.34' }), service('bb', {}, '192.168.1.34')).waiting, ['default/a: 192.168.1.34 is taken']);
});

test('a Service that is none any more, or somebody else\'s, loses ours and nothing else', () => {
  assert.deepEqual(plan(service('a', { type: 'ClusterIP' }, '192.168.1.33')).assignments, [{ namespace: 'default', name: 'a', address: undefined }]);
  assert.deepEqual(plan(service('a', { loadBalancerClass: 'example.com/other' })).assignments, []);
  assert.deepEqual(plan(service('a', { loadBalancerClass: 'example.com/other' }, '203.0.113.9')).assignments, []);
});
