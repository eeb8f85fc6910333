import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#lib/environment/random.ts';
import type { Service, ServiceSpec } from '#lib/kinds/types/core-v1.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { holdingsOf, parsePortRange, ServiceNetworking } from './service-networking.ts';

const networking = () => new ServiceNetworking({ cidr: '10.96.0.0/12', nodePorts: parsePortRange('30000-32767'), random: seededRandom(1) });
const service = (spec: Partial<ServiceSpec>): Service => ({ metadata: { name: 's', namespace: 'a' }, spec: { type: 'ClusterIP', ports: [{ port: 80 }], ...spec } });
const allocated = (one: ServiceNetworking, spec: Partial<ServiceSpec>, previous?: Service): ServiceSpec => {
  const next = service(spec);
  one.allocate(next, previous);
  return next.spec as ServiceSpec;
};

test('a service gets an address from the upper band, and its family', () => {
  const { clusterIP = '', clusterIPs, ipFamilies, ipFamilyPolicy } = allocated(networking(), {});
  const [first, second, third] = clusterIP.split('.').map(Number);
  assert.equal(first, 10);
  assert.ok((second ?? 0) >= 96 && (second ?? 0) < 112 && ((second ?? 0) > 96 || (third ?? 0) > 0), clusterIP);
  assert.deepEqual([clusterIPs, ipFamilies, ipFamilyPolicy], [[clusterIP], ['IPv4'], 'SingleStack']);
});

test('an address that is asked for is given once', () => {
  const one = networking();
  assert.equal(one.firstAddress, '10.96.0.1');
  assert.deepEqual(allocated(one, { clusterIP: '10.96.0.10' }).clusterIPs, ['10.96.0.10']);
  const text = (spec: Partial<ServiceSpec>): string => {
    try {
      allocated(one, spec);
    } catch (error) {
      if (error instanceof StatusError) return error.message;
      throw error;
    }
    return '';
  };
  assert.equal(text({ clusterIP: '10.96.0.10' }), 'Service "s" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated');
  assert.equal(text({ clusterIP: '1.2.3.4' }), 'Service "s" is invalid: spec.clusterIPs: Invalid value: ["1.2.3.4"]: failed to allocate IP 1.2.3.4: the provided IP (1.2.3.4) is not in the valid range. The range of valid IPs is 10.96.0.0/12');
  assert.equal(text({ type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }), 'Service "s" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767');
});

test('what a refused service had taken is free again', () => {
  const one = networking();
  assert.throws(() => allocated(one, { clusterIP: '10.96.0.20', type: 'NodePort', ports: [{ port: 80, nodePort: 1 }] }));
  assert.equal(allocated(one, { clusterIP: '10.96.0.20' }).clusterIP, '10.96.0.20');
});

test('node ports are dealt to NodePort services, one number for the same port over TCP and UDP', () => {
  const { ports = [] } = allocated(networking(), { type: 'NodePort', ports: [{ name: 'a', port: 53, protocol: 'TCP' }, { name: 'b', port: 53, protocol: 'UDP' }, { name: 'c', port: 80, protocol: 'TCP' }] });
  assert.equal(ports[0]?.nodePort, ports[1]?.nodePort);
  assert.notEqual(ports[0]?.nodePort, ports[2]?.nodePort);
  assert.ok(ports.every(({ nodePort = 0 }) => nodePort >= 30086 && nodePort <= 32767));
});

test('a headless service has no address', () => {
  assert.deepEqual(allocated(networking(), { clusterIP: 'None', selector: { a: 'b' } }).clusterIPs, ['None']);
});

test('an update that leaves out what was allocated keeps it', () => {
  const one = networking();
  const before = service({ type: 'NodePort' });
  one.allocate(before, undefined);
  const after = allocated(one, { type: 'NodePort', ports: [{ port: 80 }, { name: 'more', port: 81 }] }, before);
  assert.equal(after.clusterIP, before.spec?.clusterIP);
  assert.equal(after.ports?.[0]?.nodePort, before.spec?.ports?.[0]?.nodePort);
  assert.ok((after.ports?.[1]?.nodePort ?? 0) > 0);
});

test('a service that becomes ClusterIP gives up its node ports, one that becomes ExternalName its address', () => {
  const one = networking();
  const before = service({ type: 'NodePort' });
  one.allocate(before, undefined);
  const clusterIp = structuredClone(before);
  (clusterIp.spec as ServiceSpec).type = 'ClusterIP';
  one.allocate(clusterIp, before);
  assert.deepEqual(holdingsOf(clusterIp).ports, []);
  const external = structuredClone(before);
  Object.assign(external.spec as ServiceSpec, { type: 'ExternalName', externalName: 'example.com' });
  one.allocate(external, before);
  assert.deepEqual(holdingsOf(external), { addresses: [], ports: [] });
});
