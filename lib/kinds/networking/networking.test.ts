// Ingresses, their classes, network policies and service ranges: defaults, checks, columns.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rulesOf } from '../testing/rules.ts';
import type { Ingress, NetworkPolicy } from '../types/networking-v1.ts';
import { ingressClassKind } from './ingress-class.ts';
import { ingressKind } from './ingress.ts';
import { ipAddressKind } from './ip-address.ts';
import { networkPolicyKind } from './network-policy.ts';
import { serviceCidrKind } from './service-cidr.ts';

const ingresses = rulesOf(ingressKind);
const policies = rulesOf(networkPolicyKind);
const backend = { service: { name: 'web', port: { number: 80 } } };
const path = (fields: object) => ({ spec: { rules: [{ http: { paths: [{ path: '/', pathType: 'Prefix', backend, ...fields }] } }] } });
const host = (name: string) => ({ spec: { rules: [{ host: name }] } });
const at = 'spec.rules[0].http.paths[0]';

for (const [name, body, expected] of [
  ['an ingress without errors', path({}), []],
  ['neither rules nor backend', { spec: {} }, ['spec: Invalid value: null: either `defaultBackend` or `rules` must be specified']],
  ['a relative path', path({ path: 'x' }), [`${at}.path: Invalid value: "x": must be an absolute path`]],
  ['a path with steps', path({ path: '/a/../b//c' }), [`${at}.path: Invalid value: "/a/../b//c": must not contain '//'`, `${at}.path: Invalid value: "/a/../b//c": must not contain '/../'`]],
  ['a path that ends in a step', path({ path: '/a/..' }), [`${at}.path: Invalid value: "/a/..": cannot end with '/..'`]],
  ['any path, as the controller likes', path({ pathType: 'ImplementationSpecific', path: undefined }), []],
  ['an unknown type of path', path({ pathType: 'x' }), [`${at}.pathType: Unsupported value: "x": supported values: "Exact", "ImplementationSpecific", "Prefix"`]],
  ['no type of path', path({ pathType: undefined }), [`${at}.pathType: Required value: pathType must be specified`]],
  ['no port', path({ backend: { service: { name: 'web' } } }), [`${at}.backend: Required value: port name or number is required`]],
  ['two ports', path({ backend: { service: { name: 'web', port: { name: 'http', number: 80 } } } }), [`${at}.backend: Invalid value: "": cannot set both port name & port number`]],
  ['a port out of range', path({ backend: { service: { name: 'web', port: { number: 70_000 } } } }), [`${at}.backend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive`]],
  ['no backend', path({ backend: {} }), [`${at}.backend: Invalid value: "": resource or service backend is required`]],
  ['a resource as backend', path({ backend: { resource: { kind: 'Bucket' } } }), [`${at}.backend.resource.name: Required value`]],
  ['no paths', { spec: { rules: [{ http: {} }] } }, ['spec.rules[0].http.paths: Required value']],
  ['a host by address', host('10.0.0.1'), ['spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address']],
  ['a host with a wildcard', host('*.example.com'), []],
  ['a wildcard in the wrong place', host('a.*.com'), [
    "spec.rules[0].host: Invalid value: \"a.*.com\": a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  ]],
  ['two classes', { metadata: { name: 'web', annotations: { 'kubernetes.io/ingress.class': 'a' } }, spec: { ingressClassName: 'b', defaultBackend: backend } }, [
    'annotations.kubernetes.io/ingress.class: Invalid value: "a": must match `ingressClassName` when both are specified',
  ]],
] as const) {
  test(`ingress: ${name}`, () => assert.deepEqual(ingresses.created(body), expected));
}

const port = (fields: object) => ({ spec: { ingress: [{ ports: [fields] }] } });
const peer = (fields: object) => ({ spec: { ingress: [{ from: [fields] }] } });
for (const [name, body, expected] of [
  ['a policy without errors', { spec: { podSelector: { matchLabels: { a: 'b' } }, egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }] }] } }, []],
  ['a port range', port({ port: 80, endPort: 90 }), []],
  ['a port range backwards', port({ port: 90, endPort: 80 }), ['spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`']],
  ['a range from a name', port({ port: 'http', endPort: 80 }), ['spec.ingress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is non-numeric']],
  ['a range from nowhere', port({ endPort: 80 }), ['spec.ingress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is not specified']],
  ['an unknown protocol', port({ protocol: 'ICMP' }), ['spec.ingress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"']],
  ['nobody', peer({}), ['spec.ingress[0].from[0]: Required value: must specify a peer']],
  ['a block and a selector', peer({ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }), ['spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer']],
  ['a block that is none', peer({ ipBlock: { cidr: '10.0.0' } }), ['spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)']],
  ['an exception outside', peer({ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] } }), ['spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`']],
  ['a block without CIDR', peer({ ipBlock: {} }), ['spec.ingress[0].from[0].ipBlock.cidr: Required value']],
  ['an unknown direction', { spec: { policyTypes: ['Sideways'] } }, ['spec.policyTypes[0]: Unsupported value: "Sideways": supported values: "Ingress", "Egress"']],
] as const) {
  test(`network policy: ${name}`, () => assert.deepEqual(policies.created(body), expected));
}

test('a policy with egress rules is about both directions, others about ingress', () => {
  assert.deepEqual((policies.stored({ spec: { egress: [{}] } }) as NetworkPolicy).spec.policyTypes, ['Ingress', 'Egress']);
  assert.deepEqual((policies.stored({ spec: { podSelector: {} } }) as NetworkPolicy).spec.policyTypes, ['Ingress']);
});

test('classes name a controller and their parameters', () => {
  const { created, updated } = rulesOf(ingressClassKind);
  assert.deepEqual(created({ spec: { controller: 'example' } }), ['spec.controller: Invalid value: "example": must be a domain-prefixed path (such as "acme.io/foo")']);
  assert.deepEqual(created({ spec: { controller: 'k8s.io/ingress-nginx', parameters: { kind: 'P', name: 'p', namespace: 'x' } } }), ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"]);
  assert.deepEqual(updated({ spec: { controller: 'a.io/b' } }, { spec: { controller: 'a.io/c' } }), ['spec.controller: Invalid value: "a.io/b": field is immutable']);
});

test('service ranges and addresses', () => {
  assert.deepEqual(rulesOf(serviceCidrKind).created({ spec: { cidrs: ['10.0.0.0/8', '11.0.0.0/8'] } }), [
    'spec.cidrs: Invalid value: ["10.0.0.0/8","11.0.0.0/8"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64',
  ]);
  assert.deepEqual(rulesOf(ipAddressKind).created({ metadata: { name: '10.0.0.1' }, spec: {} }), ['spec.parentRef: Required value']);
});

test('the columns of an ingress', () => {
  const ingress = ingresses.stored({ metadata: { name: 'web', creationTimestamp: '2026-01-01T00:00:00Z' }, spec: { ingressClassName: 'nginx', tls: [{}], rules: ['a', 'b', 'c', 'd'].map((one) => ({ host: one })) } }) as Ingress;
  ingress.status = { loadBalancer: { ingress: [{ ip: '10.0.0.2' }, { ip: '10.0.0.1' }] } };
  assert.deepEqual((ingressKind.columns ?? []).map(({ value }) => value(ingress, Date.parse('2026-01-01T00:01:00Z'))), ['web', 'nginx', 'a,b,c + 1 more...', '10.0.0.1,10.0.0.2', '80, 443', '60s']);
});
