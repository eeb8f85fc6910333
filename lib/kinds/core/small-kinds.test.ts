// Kinds with few rules each: what is theirs alone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldErrorText } from '#lib/machinery/field-error.ts';
import { leaseKind } from '../coordination/lease.ts';
import type { Kind, KubernetesObject } from '../define-kind.ts';
import { endpointSliceKind } from '../discovery/endpoint-slice.ts';
import { eventsEventKind } from '../events/event.ts';
import { podDisruptionBudgetKind } from '../policy/pod-disruption-budget.ts';
import { clusterRoleBindingKind } from '../rbac/cluster-role-binding.ts';
import { roleKind } from '../rbac/role.ts';
import { roleBindingKind } from '../rbac/role-binding.ts';
import { priorityClassKind } from '../scheduling/priority-class.ts';
import type { ConfigMap, Event, Namespace, Node, Secret } from '../types/core-v1.ts';
import { validateCreate, validateStatusUpdate, validateUpdate } from '../validation.ts';
import { configMapKind } from './config-map.ts';
import { endpointsKind } from './endpoints.ts';
import { eventKind } from './event.ts';
import { namespaceKind } from './namespace.ts';
import { nodeKind } from './node.ts';
import { secretKind } from './secret.ts';

const namespaced = () => ({ name: 'web', namespace: 'default', resourceVersion: '1' });
function defaulted<T extends KubernetesObject>(kind: Kind<T>, object: T): T {
  kind.applyDefaults?.(object);
  return object;
}
const created = <T extends KubernetesObject>(kind: Kind<T>, object: T): string[] => validateCreate(kind, defaulted(kind, object)).map(fieldErrorText);
const updated = <T extends KubernetesObject>(kind: Kind<T>, next: T, previous: T): string[] =>
  validateUpdate(kind, defaulted(kind, next), defaulted(kind, previous)).map(fieldErrorText);
const cells = <T extends KubernetesObject>(kind: Kind<T>, object: T, nowMs = 0): unknown[] => (kind.columns ?? []).map(({ value }) => value(object, nowMs));

test('the keys of a ConfigMap are checked and its size is limited', () => {
  const badKey = "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
  assert.deepEqual(created(configMapKind, { metadata: namespaced(), data: { 'a b': '' } }), [badKey]);
  assert.deepEqual(created(configMapKind, { metadata: namespaced(), data: { a: 'x'.repeat(1024 * 1024 + 1) } }), [': Too long: may not be more than 1048576 bytes']);
  assert.deepEqual(created(configMapKind, { metadata: namespaced(), data: { a: '' }, binaryData: { a: '' } }), ['data[a]: Invalid value: "a": duplicate of key present in binaryData']);
});

test('an immutable ConfigMap stays as it is', () => {
  const previous: ConfigMap = { metadata: namespaced(), data: { a: '1' }, immutable: true };
  assert.deepEqual(updated(configMapKind, { metadata: namespaced(), data: { a: '2' } }, previous), [
    'immutable: Forbidden: field is immutable when `immutable` is set', 'data: Forbidden: field is immutable when `immutable` is set',
  ]);
});

test('plain text in a secret comes back encoded, over what was encoded already', () => {
  const secret: Secret = defaulted(secretKind, { metadata: namespaced(), data: { a: 'eA==', b: 'eA==' }, stringData: { a: 'grüß' } });
  assert.deepEqual(secret, { metadata: namespaced(), type: 'Opaque', data: { a: 'Z3LDvMOf', b: 'eA==' } });
});

for (const [type, data, expected] of [
  ['kubernetes.io/tls', {}, ['data[tls.crt]: Required value', 'data[tls.key]: Required value']],
  ['kubernetes.io/basic-auth', { username: '' }, []],
  ['kubernetes.io/dockerconfigjson', { '.dockerconfigjson': 'e30=' }, []],
  ['kubernetes.io/dockerconfigjson', {}, ['data[.dockerconfigjson]: Required value']],
  ['kubernetes.io/service-account-token', {}, ['metadata.annotations[kubernetes.io/service-account.name]: Required value']],
  ['example.com/mine', {}, []],
] as const) {
  test(`a secret of type ${type} with keys [${Object.keys(data).join()}]`, () => assert.deepEqual(created<Secret>(secretKind, { metadata: namespaced(), type, data }), expected));
}

test('the type of a secret does not change', () => {
  assert.deepEqual(updated<Secret>(secretKind, { metadata: namespaced(), type: 'a' }, { metadata: namespaced(), type: 'b' }), ['type: Invalid value: "a": field is immutable']);
});

test('a namespace is labelled with its name, guarded by a finalizer, and active', () => {
  const namespace: Namespace = defaulted(namespaceKind, { metadata: { name: 'team' }, spec: {} });
  namespaceKind.prepareForCreate?.(namespace);
  assert.deepEqual(namespace, { metadata: { name: 'team', labels: { 'kubernetes.io/metadata.name': 'team' } }, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } });
});

test('an update of a namespace leaves its finalizers alone', () => {
  const previous: Namespace = { metadata: { name: 'team' }, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } };
  const next: Namespace = { metadata: { name: 'team' }, spec: {} };
  namespaceKind.prepareForUpdate?.(next, previous);
  assert.deepEqual(next, previous);
});

test('the phase of a namespace follows its deletion', () => {
  const namespace: Namespace = { metadata: { name: 'team', resourceVersion: '1' }, spec: {}, status: { phase: 'Terminating' } };
  assert.deepEqual(validateStatusUpdate(namespaceKind, namespace, namespace).map(fieldErrorText), ["status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"]);
});

const node = (change: Partial<Node> = {}): Node => defaulted<Node>(nodeKind, { metadata: { name: 'w1-k8s', resourceVersion: '1' }, spec: {}, ...change } as Node);

test('kubectl get nodes shows health, roles and versions', () => {
  const object = node({
    metadata: { name: 'm-k8s', labels: { 'node-role.kubernetes.io/control-plane': '' } },
    spec: { unschedulable: true },
    status: {
      conditions: [{ type: 'Ready', status: 'True' }], addresses: [{ type: 'Hostname', address: 'm-k8s' }, { type: 'InternalIP', address: '192.168.1.10' }],
      nodeInfo: {
        kubeletVersion: 'v1.36.2', osImage: 'Debian', kernelVersion: '6.1', architecture: 'amd64', containerRuntimeVersion: 'containerd://2.0',
        bootID: '', kubeProxyVersion: '', machineID: '', operatingSystem: 'linux', systemUUID: '',
      },
    },
  });
  assert.deepEqual(cells(nodeKind, object), [
    'm-k8s', 'Ready,SchedulingDisabled', 'control-plane', '<unknown>', 'v1.36.2', '192.168.1.10', '<none>', 'Debian', '6.1 (amd64)', 'containerd://2.0',
  ]);
  assert.deepEqual(cells(nodeKind, node()).slice(1, 3), ['Unknown', '<none>']);
});

test('the pod network of a node is set once', () => {
  assert.deepEqual(updated(nodeKind, node({ spec: { podCIDR: '172.16.1.0/24' } }), node()), []);
  assert.deepEqual(updated(nodeKind, node({ spec: { podCIDR: '172.16.2.0/24' } }), node({ spec: { podCIDR: '172.16.1.0/24' } })), ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid']);
  assert.deepEqual(created(nodeKind, node({ spec: { podCIDR: '172.16.1.0' } })), ['spec.podCIDRs[0]: Invalid value: "172.16.1.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)']);
});

test('a node has each taint once', () => {
  const taint = { key: 'a', effect: 'NoSchedule' };
  assert.deepEqual(created(nodeKind, node({ spec: { taints: [taint, taint] } })), ['spec.taints[1]: Duplicate value: {"key":"a","effect":"NoSchedule"}']);
  assert.deepEqual(created(nodeKind, node({ spec: { taints: [{ key: 'a', effect: '' }] } })), ['spec.taints[0].effect: Required value']);
});

test('an event must live where its object lives', () => {
  const event = (namespace: string): Event => ({ metadata: { name: 'web.1', namespace: 'default' }, involvedObject: { kind: 'Pod', name: 'web', namespace } });
  assert.deepEqual(created(eventKind, event('default')), []);
  assert.deepEqual(created(eventKind, event('other')), ['involvedObject.namespace: Invalid value: "other": does not match event.namespace']);
});

test('an event reads the same through both of its groups', () => {
  const core = defaulted<Event>(eventKind, {
    apiVersion: 'v1', kind: 'Event', metadata: { name: 'web.1', namespace: 'default' }, involvedObject: { kind: 'Pod', name: 'web', namespace: 'default' },
    reason: 'Scheduled', message: 'Successfully assigned ', type: 'Normal', count: 2, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:01:00Z',
    source: { component: 'default-scheduler' },
  });
  const newer = eventsEventKind.storedAs?.fromStored(core);
  assert.ok(newer);
  assert.equal(newer.note, 'Successfully assigned ');
  assert.equal(newer.regarding?.name, 'web');
  assert.deepEqual(eventsEventKind.storedAs?.toStored(newer), core);
  const shown = ['60s', 'Normal', 'Scheduled', 'pod/web', '', 'default-scheduler', 'Successfully assigned', '2m', '2', 'web.1'];
  assert.deepEqual(cells(eventKind, core, Date.UTC(2026, 0, 1, 0, 2)), shown);
  assert.deepEqual(cells(eventsEventKind, newer, Date.UTC(2026, 0, 1, 0, 2)), shown);
});

test('endpoints and slices show the first three', () => {
  const ips = ['172.16.0.1', '172.16.0.2', '172.16.0.3', '172.16.0.4'];
  const endpoints = defaulted(endpointsKind, { metadata: namespaced(), subsets: [{ addresses: ips.map((ip) => ({ ip })), ports: [{ port: 80 }] }] });
  assert.equal(cells(endpointsKind, endpoints)[1], '172.16.0.1:80,172.16.0.2:80,172.16.0.3:80 + 1 more...');
  assert.equal(cells(endpointsKind, { metadata: namespaced() })[1], '<none>');
  const slice = defaulted(endpointSliceKind, { metadata: namespaced(), addressType: 'IPv4', endpoints: ips.map((ip) => ({ addresses: [ip] })), ports: [{ port: 80 }] });
  assert.deepEqual(cells(endpointSliceKind, slice).slice(1, 4), ['IPv4', '80', '172.16.0.1,172.16.0.2,172.16.0.3 + 1 more...']);
  assert.deepEqual(created(endpointSliceKind, { metadata: namespaced(), addressType: 'IPv4', endpoints: [{ addresses: ['fd00::1'] }] }), ['endpoints[0].addresses[0]: Invalid value: "fd00::1": must be an IPv4 address']);
});

test('a lease must last', () => {
  assert.deepEqual(created(leaseKind, { metadata: namespaced(), spec: { leaseDurationSeconds: 0 } }), ['spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0']);
});

test('a disruption budget says one of two things', () => {
  assert.deepEqual(created(podDisruptionBudgetKind, { metadata: namespaced(), spec: { minAvailable: 1, maxUnavailable: 1 } }), [
    'spec: Invalid value: {"minAvailable":1,"maxUnavailable":1}: minAvailable and maxUnavailable cannot be both set',
  ]);
});

test('priorities have a ceiling, and system names are taken', () => {
  assert.deepEqual(created(priorityClassKind, { metadata: { name: 'high' }, value: 1_000_000_001 }), ['value: Forbidden: maximum allowed value of a user defined priority is 1000000000']);
  assert.deepEqual(created(priorityClassKind, { metadata: { name: 'system-node-critical' }, value: 2_000_001_000 }), []);
  assert.deepEqual(created(priorityClassKind, { metadata: { name: 'system-mine' }, value: 1 }), [
    "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
  ]);
});

test('rules of roles must name something, and bindings somebody', () => {
  assert.deepEqual(created(roleKind, { metadata: namespaced(), rules: [{ verbs: [] }] }), [
    'rules[0].verbs: Required value: verbs must contain at least one value', 'rules[0].apiGroups: Required value: resource rules must supply at least one api group',
    'rules[0].resources: Required value: resource rules must supply at least one resource',
  ]);
  assert.deepEqual(created(roleKind, { metadata: { ...namespaced(), name: 'system:odd/name' } }), ['metadata.name: Invalid value: "system:odd/name": may not contain \'/\'']);
  const role = { kind: 'ClusterRole', name: 'view' };
  assert.deepEqual(created(clusterRoleBindingKind, { metadata: { name: 'system:x' }, roleRef: { ...role }, subjects: [{ kind: 'ServiceAccount', name: 'a' }, { kind: 'User', name: 'u' }] }), ['subjects[0].namespace: Required value']);
  assert.deepEqual(updated(roleBindingKind, { metadata: namespaced(), roleRef: { ...role, name: 'edit' } }, { metadata: namespaced(), roleRef: { ...role } }), [
    'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"edit"}: cannot change roleRef',
  ]);
});
