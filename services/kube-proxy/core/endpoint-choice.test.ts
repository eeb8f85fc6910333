import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseEndpoints } from './endpoint-choice.ts';
import type { Endpoint, ServicePort } from './service-port.ts';

const port = (overrides: Partial<ServicePort> = {}): ServicePort => ({
  service: 'default/web', portName: '', protocol: 'tcp', port: 80, clusterIp: '10.96.0.5', nodePort: 0, externalIps: [], loadBalancerIps: [], sourceRanges: [],
  affinitySeconds: undefined, isExternalLocal: false, isInternalLocal: false, healthCheckNodePort: 0, ...overrides,
});
const endpoint = (ip: string, overrides: Partial<Endpoint> = {}): Endpoint => ({
  ip, port: 8080, isLocal: false, isReady: true, isServing: true, isTerminating: false, zoneHints: undefined, nodeHints: undefined, ...overrides,
});
const departing = { isReady: false, isServing: true, isTerminating: true };
const here = { node: 'w1', zone: 'a' };
const ips = (endpoints: readonly Endpoint[]): string[] => endpoints.map(({ ip }) => ip);

test('ready endpoints take traffic; only when there is none do serving ones that terminate', () => {
  assert.deepEqual(ips(chooseEndpoints(port(), [endpoint('1.1.1.1'), endpoint('1.1.1.2', departing), endpoint('1.1.1.3', { isReady: false, isServing: false })], here).cluster), ['1.1.1.1']);
  assert.deepEqual(ips(chooseEndpoints(port(), [endpoint('1.1.1.2', departing), endpoint('1.1.1.3', { isReady: false, isServing: false })], here).cluster), ['1.1.1.2']);
});

test('a local policy takes ready local endpoints, then terminating local ones, and remembers that others exist', () => {
  const local = port({ isInternalLocal: true });
  const mixed = [endpoint('1.1.1.1'), endpoint('1.1.1.2', { isLocal: true }), endpoint('1.1.1.3', { isLocal: true, ...departing })];
  assert.deepEqual(chooseEndpoints(local, mixed, here).local.map(({ ip }) => ip), ['1.1.1.2']);
  assert.deepEqual(ips(chooseEndpoints(local, mixed.filter(({ ip }) => ip !== '1.1.1.2'), here).local), ['1.1.1.3']);
  assert.deepEqual(chooseEndpoints(local, [endpoint('1.1.1.1')], here), { cluster: [], local: [], hasAny: true });
  assert.deepEqual(chooseEndpoints(local, [], here), { cluster: [], local: [], hasAny: false });
});

test('an external policy Local still knows the cluster endpoints, for pods and the node itself', () => {
  const choice = chooseEndpoints(port({ nodePort: 30080, isExternalLocal: true }), [endpoint('1.1.1.1'), endpoint('1.1.1.2', { isLocal: true })], here);
  assert.deepEqual([ips(choice.cluster), ips(choice.local)], [['1.1.1.1', '1.1.1.2'], ['1.1.1.2']]);
});

test('hints narrow the choice when every endpoint has one and one points here; node hints come first', () => {
  const zoned = [endpoint('1.1.1.1', { zoneHints: ['a'] }), endpoint('1.1.1.2', { zoneHints: ['b'] })];
  assert.deepEqual(ips(chooseEndpoints(port(), zoned, here).cluster), ['1.1.1.1']);
  assert.deepEqual(ips(chooseEndpoints(port(), zoned, { node: 'w1', zone: 'c' }).cluster), ['1.1.1.1', '1.1.1.2']);
  assert.deepEqual(ips(chooseEndpoints(port(), [...zoned, endpoint('1.1.1.3')], here).cluster), ['1.1.1.1', '1.1.1.2', '1.1.1.3']);
  const both = [endpoint('1.1.1.1', { zoneHints: ['a'], nodeHints: ['w2'] }), endpoint('1.1.1.2', { zoneHints: ['b'], nodeHints: ['w1'] })];
  assert.deepEqual(ips(chooseEndpoints(port(), both, here).cluster), ['1.1.1.2']);
});
