import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldErrorText } from '#lib/machinery/field-error.ts';
import type { Service, ServiceSpec } from '../types/core-v1.ts';
import { validateCreate, validateUpdate } from '../validation.ts';
import { serviceKind } from './service.ts';

function service(spec: Partial<ServiceSpec> = {}, name = 'web'): Service {
  const result: Service = { metadata: { name, namespace: 'default', resourceVersion: '1' }, spec: { ports: [{ port: 80 }], selector: { app: 'web' }, ...spec } };
  serviceKind.applyDefaults?.(result);
  serviceKind.prepareForCreate?.(result);
  return result;
}
const cells = (object: Service): unknown[] => (serviceKind.columns ?? []).map(({ value }) => value(object, 0));

test('a service gets its type, affinity, policies and target ports', () => {
  assert.deepEqual(service().spec, {
    ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }], selector: { app: 'web' }, sessionAffinity: 'None', type: 'ClusterIP', internalTrafficPolicy: 'Cluster',
  });
  assert.equal(service({ type: 'NodePort' }).spec.externalTrafficPolicy, 'Cluster');
  assert.equal(service({ type: 'LoadBalancer' }).spec.allocateLoadBalancerNodePorts, true);
  assert.equal(service({ type: 'ExternalName', externalName: 'x' }).spec.internalTrafficPolicy, undefined);
  assert.deepEqual(service({ sessionAffinity: 'ClientIP' }).spec.sessionAffinityConfig, { clientIP: { timeoutSeconds: 10_800 } });
});

for (const [what, spec, expected] of [
  ['one port', {}, []],
  ['no port', { ports: [] }, ['spec.ports: Required value']],
  ['no port but no address either', { ports: [], clusterIP: 'None', clusterIPs: ['None'] }, []],
  ['two ports without names', { ports: [{ port: 80 }, { port: 81 }] }, ['spec.ports[0].name: Required value', 'spec.ports[1].name: Required value']],
  ['the same port twice', { ports: [{ name: 'a', port: 80 }, { name: 'b', port: 80 }] },
    ['spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}']],
  ['port 0', { ports: [{ port: 0, targetPort: 80 }] }, ['spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive']],
  ['an unknown protocol', { ports: [{ port: 80, protocol: 'ICMP' }] }, ['spec.ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"']],
  ['an unknown type', { type: 'Magic' }, ['spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"']],
  ['a node port without its type', { ports: [{ port: 80, nodePort: 30_000 }] }, ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]],
  ['a node port and no address', { type: 'NodePort', clusterIP: 'None', clusterIPs: ['None'] }, ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"]],
  ['an external name that is missing', { type: 'ExternalName' }, ['spec.externalName: Required value']],
  ['an address that is none', { clusterIP: '10.96.0.300', clusterIPs: ['10.96.0.300'] }, ['spec.clusterIPs[0]: Invalid value: "10.96.0.300": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']],
  ['a loopback address from outside', { externalIPs: ['127.0.0.1'] }, ['spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)']],
  ['a policy for outside without an outside', { externalTrafficPolicy: 'Local' }, ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services']],
  ['stickiness for too long', { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 100_000 } } },
    ['spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 100000: must be greater than 0 and less than 86400']],
] as readonly (readonly [string, Partial<ServiceSpec>, readonly string[]])[]) {
  test(`a service with ${what}`, () => assert.deepEqual(validateCreate(serviceKind, service(spec)).map(fieldErrorText), expected));
}

test('the address of a service does not change', () => {
  const previous = service({ clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'] });
  const next = service({ clusterIP: '10.96.0.6', clusterIPs: ['10.96.0.6'] });
  assert.deepEqual(validateUpdate(serviceKind, next, previous).map(fieldErrorText), ['spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set']);
  assert.deepEqual(validateUpdate(serviceKind, service({ type: 'ExternalName', externalName: 'x' }), previous), []);
});

test('kubectl get services shows addresses and ports', () => {
  assert.deepEqual(cells(service({ clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'] })), ['web', 'ClusterIP', '10.96.0.5', '<none>', '80/TCP', '<unknown>', 'app=web']);
  assert.deepEqual(cells(service({ type: 'NodePort', clusterIP: '10.96.0.5', ports: [{ port: 80, nodePort: 30_080 }, { port: 53, protocol: 'UDP' }] })).slice(1, 5),
    ['NodePort', '10.96.0.5', '<none>', '80:30080/TCP,53/UDP']);
  assert.deepEqual(cells(service({ type: 'LoadBalancer', clusterIP: '10.96.0.5' })).slice(3, 4), ['<pending>']);
  assert.deepEqual(cells(service({ type: 'ExternalName', externalName: 'db.example.com', ports: [] })).slice(1, 5), ['ExternalName', '<none>', 'db.example.com', '<none>']);
});
