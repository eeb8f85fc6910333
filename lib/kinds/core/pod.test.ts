import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldErrorText } from '#lib/machinery/field-error.ts';
import type { Container, ContainerStatus, Pod, PodSpec } from '../types/core-v1.ts';
import { validateCreate, validateStatusUpdate, validateUpdate } from '../validation.ts';
import { podKind } from './pod.ts';
import { qosClassOf } from './pod-qos.ts';

const NOW_MS = Date.UTC(2026, 0, 1, 12, 0, 0);

/** A pod as the API server has it after defaulting; `spec` and `container` are what the user wrote. */
function pod(spec: Partial<PodSpec> = {}, container: Partial<Container> = {}): Pod {
  const result: Pod = {
    metadata: { name: 'web', namespace: 'default', resourceVersion: '1' },
    spec: { ...spec, containers: [{ name: 'c', image: 'nginx:1', ...container }, ...(spec.containers ?? [])] },
  };
  podKind.applyDefaults?.(result);
  podKind.prepareForCreate?.(result);
  return result;
}
const problems = (object: Pod): string[] => validateCreate(podKind, object).map(fieldErrorText);
function cell(name: string, object: Pod): unknown {
  return podKind.columns?.find((column) => column.name === name)?.value(object, NOW_MS);
}

test('a pod that names only its container gets what upstream fills in', () => {
  assert.deepEqual(pod({}, { ports: [{ containerPort: 80 }], livenessProbe: { httpGet: { port: 80 } } }).spec, {
    containers: [{
      name: 'c', image: 'nginx:1', ports: [{ containerPort: 80, protocol: 'TCP' }],
      livenessProbe: { httpGet: { path: '/', port: 80, scheme: 'HTTP' }, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 },
      imagePullPolicy: 'IfNotPresent', terminationMessagePath: '/dev/termination-log', terminationMessagePolicy: 'File', resources: {},
    }],
    restartPolicy: 'Always', dnsPolicy: 'ClusterFirst', schedulerName: 'default-scheduler', securityContext: {}, terminationGracePeriodSeconds: 30,
    serviceAccountName: undefined, enableServiceLinks: true,
  });
});

for (const [image, policy] of [
  ['nginx', 'Always'], ['nginx:latest', 'Always'], ['registry:5000/nginx', 'Always'], ['nginx:1.25', 'IfNotPresent'], ['registry:5000/nginx:1', 'IfNotPresent'],
  ['nginx@sha256:abc', 'IfNotPresent'], ['nginx:latest@sha256:abc', 'Always'],
] as const) {
  test(`the image ${image} is pulled ${policy}`, () => assert.equal(pod({}, { image }).spec.containers[0]?.imagePullPolicy, policy));
}

test('limits become requests, and ports of the host network are ports of the host', () => {
  const { spec } = pod({ hostNetwork: true }, { ports: [{ containerPort: 80 }], resources: { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '100m' } } });
  assert.deepEqual(spec.containers[0]?.resources?.requests, { cpu: '100m', memory: '1Gi' });
  assert.equal(spec.containers[0]?.ports?.[0]?.hostPort, 80);
});

test('volumes get a source and a mode', () => {
  const { spec } = pod({ volumes: [{ name: 'a' }, { name: 'b', configMap: { name: 'x' } }, { name: 'c', hostPath: { path: '/x' } }] });
  assert.deepEqual(spec.volumes, [{ name: 'a', emptyDir: {} }, { name: 'b', configMap: { name: 'x', defaultMode: 420 } }, { name: 'c', hostPath: { path: '/x', type: '' } }]);
});

test('a new pod is Pending whatever status it came with', () => {
  assert.deepEqual(pod().status, { phase: 'Pending', qosClass: 'BestEffort' });
});

for (const [resources, expected] of [
  [{}, 'BestEffort'], [{ requests: { cpu: '1' } }, 'Burstable'], [{ limits: { cpu: '1', memory: '1Gi' } }, 'Guaranteed'], [{ limits: { cpu: '1' } }, 'Burstable'],
  [{ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1000m', memory: '1024Mi' } }, 'Guaranteed'], [{ limits: { 'example.com/gpu': '1' } }, 'BestEffort'],
] as const) {
  test(`resources ${JSON.stringify(resources)} make a pod ${expected}`, () => assert.equal(qosClassOf(pod({}, { resources: structuredClone(resources) })), expected));
}

test('matchLabelKeys become requirements with the values of the pod itself', () => {
  const term = { topologyKey: 'kubernetes.io/hostname', labelSelector: {}, matchLabelKeys: ['pod-template-hash'] };
  const object: Pod = {
    metadata: { name: 'web', labels: { 'pod-template-hash': 'x' } },
    spec: { containers: [], affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } },
  };
  podKind.prepareForCreate?.(object);
  assert.deepEqual(term.labelSelector, { matchExpressions: [{ key: 'pod-template-hash', operator: 'In', values: ['x'] }] });
});

const LABEL = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const cases: readonly (readonly [string, Pod, readonly string[]])[] = [
  ['a plain pod', pod(), []],
  ['a container without a name', pod({}, { name: '' }), ['spec.containers[0].name: Required value']],
  ['a container with a bad name', pod({}, { name: 'C' }), [`spec.containers[0].name: Invalid value: "C": ${LABEL}`]],
  ['a container without an image', pod({}, { image: '' }), ['spec.containers[0].image: Required value']],
  ['an image with a space at its end', pod({}, { image: 'nginx ' }), ['spec.containers[0].image: Invalid value: "nginx ": must not have leading or trailing whitespace']],
  ['an unknown pull policy', pod({}, { imagePullPolicy: 'Sometimes' }), ['spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"']],
  ['two containers of one name', pod({ containers: [{ name: 'c', image: 'x' }] }), ['spec.containers[1].name: Duplicate value: "c"']],
  ['an unknown restart policy', pod({ restartPolicy: 'Maybe' }), ['spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"']],
  ['an impossible port', pod({}, { ports: [{ containerPort: 70_000 }] }), ['spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive']],
  ['a port without a number', pod({}, { ports: [{} as never] }), ['spec.containers[0].ports[0].containerPort: Required value']],
  ['a host port taken twice', pod({ containers: [{ name: 'd', image: 'x', ports: [{ containerPort: 1, hostPort: 80 }] }] }, { ports: [{ containerPort: 1, hostPort: 80 }] }),
    ['spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"']],
  ['more requested than allowed', pod({}, { resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } }), ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1']],
  ['a resource that does not exist', pod({}, { resources: { requests: { foo: '1' } } }), [
    'spec.containers[0].resources.requests[foo]: Invalid value: "foo": must be a standard resource type or fully qualified',
    'spec.containers[0].resources.requests[foo]: Invalid value: "foo": must be a standard resource for containers',
  ]],
  ['half a device', pod({}, { resources: { limits: { 'example.com/gpu': '500m' } } }), [
    'spec.containers[0].resources.limits[example.com/gpu]: Invalid value: "500m": must be an integer', 'spec.containers[0].resources.requests[example.com/gpu]: Invalid value: "500m": must be an integer',
  ]],
  ['a mount of no volume', pod({}, { volumeMounts: [{ name: 'x', mountPath: '/x' }] }), ['spec.containers[0].volumeMounts[0].name: Not found: "x"']],
  ['a volume with two sources', pod({ volumes: [{ name: 'x', emptyDir: {}, hostPath: { path: '/' } }] }), ['spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type']],
  ['a volume without a secret\'s name', pod({ volumes: [{ name: 'x', secret: {} }] }), ['spec.volumes[0].secret.secretName: Required value']],
  ['a probe that does nothing', pod({}, { livenessProbe: {} }), ['spec.containers[0].livenessProbe: Required value: must specify a handler type']],
  ['a liveness probe that must succeed twice', pod({}, { livenessProbe: { tcpSocket: { port: 80 }, successThreshold: 2 } }), ['spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1']],
  ['a variable from nowhere', pod({}, { env: [{ name: 'A', valueFrom: {} }] }),
    ['spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`']],
  ['a variable from an unknown field', pod({}, { env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.x' } } }] }),
    ['spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.x": error converting fieldPath: field label not supported: spec.x']],
  ['a toleration of everything without Exists', pod({ tolerations: [{}] }),
    ['spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, which means "match all values and all keys"']],
  ['a toleration with an unknown effect', pod({ tolerations: [{ key: 'a', effect: 'Never' }] }), ['spec.tolerations[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"']],
  ['affinity without terms', pod({ affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } } }),
    ['spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term']],
  ['a spread of nothing', pod({ topologySpreadConstraints: [{ maxSkew: 0, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: {} }] }),
    ['spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero']],
  ['privileged yet without escalation', pod({}, { securityContext: { privileged: true, allowPrivilegeEscalation: false } }),
    ['spec.containers[0].securityContext: Invalid value: {"privileged":true,"allowPrivilegeEscalation":false}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true']],
  ['an init container with a probe', pod({ initContainers: [{ name: 'i', image: 'x', livenessProbe: { exec: { command: ['a'] } } }] }),
    ['spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always']],
  ['a token without an account', pod({ volumes: [{ name: 't', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }] }),
    ['spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set']],
];
for (const [what, object, expected] of cases) {
  test(`upstream's words on ${what}`, () => assert.deepEqual(problems(object), expected));
}

test('a pod without containers is refused', () => {
  const object: Pod = { metadata: { name: 'web', namespace: 'default' }, spec: { containers: [] } };
  podKind.applyDefaults?.(object);
  assert.deepEqual(problems(object), ['spec.containers: Required value']);
});

test('an update may change images, tolerations and the deadline', () => {
  const next = structuredClone(pod());
  next.spec.containers[0]!.image = 'nginx:2';
  next.spec.tolerations = [{ key: 'a', operator: 'Exists' }];
  next.spec.activeDeadlineSeconds = 60;
  assert.deepEqual(validateUpdate(podKind, next, pod()), []);
});

test('an update of anything else shows what differs', () => {
  const next = pod();
  next.spec.hostname = 'other';
  const [error] = validateUpdate(podKind, next, pod());
  assert.match(error?.body ?? '', /^Forbidden: pod updates may not change fields other than `spec\.containers\[\*\]\.image`,`spec\.initContainers\[\*\]\.image`,`spec\.activeDeadlineSeconds`,`spec\.tolerations` \(only additions to existing tolerations\),`spec\.terminationGracePeriodSeconds` \(allow it to be set to 1 if it was previously negative\)\n/);
  assert.match(error?.body ?? '', /\+ \tHostname: "other",/);
});

for (const [what, change, expected] of [
  ['another container', (next: Pod) => next.spec.containers.push({ name: 'd', image: 'x' }), 'spec.containers: Forbidden: pod updates may not add or remove containers'],
  ['a longer deadline', (next: Pod) => { next.spec.activeDeadlineSeconds = 100; }, 'spec.activeDeadlineSeconds: Invalid value: 100: must be less than or equal to previous value'],
  ['a toleration less', (next: Pod) => { next.spec.tolerations = []; }, 'spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds'],
] as const) {
  test(`an update with ${what} is refused`, () => {
    const previous = pod({ activeDeadlineSeconds: 60, tolerations: [{ key: 'a', operator: 'Exists' }] });
    const next = structuredClone(previous);
    change(next);
    podKind.applyDefaults?.(next);
    assert.deepEqual(validateUpdate(podKind, next, previous).map(fieldErrorText), [expected]);
  });
}

test('a status update keeps the spec and the class, and may not bring back an ended container', () => {
  const previous = pod({ restartPolicy: 'Never' });
  previous.status = { ...previous.status, containerStatuses: [status({ terminated: { exitCode: 0 } })] };
  const next = structuredClone(previous);
  next.spec.nodeName = 'elsewhere';
  next.status = { phase: 'Running', containerStatuses: [status({ running: {} })] };
  podKind.prepareForStatusUpdate?.(next, previous);
  assert.equal(next.spec.nodeName, undefined);
  assert.equal(next.status.qosClass, 'BestEffort');
  assert.deepEqual(validateStatusUpdate(podKind, next, previous).map(fieldErrorText), ['status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state']);
});

for (const [what, change, requested, expected] of [
  ['a pod that no node has', {}, undefined, 0], ['a pod on a node', { nodeName: 'w1-k8s' }, undefined, 30], ['a pod told to go now', { nodeName: 'w1-k8s' }, 0, 0],
  ['a pod with a negative period', { nodeName: 'w1-k8s', terminationGracePeriodSeconds: -5 }, undefined, 1],
] as const) {
  test(`${what} has ${expected} s to end`, () => assert.equal(podKind.gracePeriodSeconds?.(pod(change), requested), expected));
}

function status(state: NonNullable<ContainerStatus['state']>, extra: Partial<ContainerStatus> = {}): ContainerStatus {
  return { name: 'c', image: '', imageID: '', ready: false, restartCount: 0, state, ...extra };
}
const ready = { type: 'Ready', status: 'True' };

for (const [expected, change] of [
  [['0/1', 'Pending', '0'], {}],
  [['0/1', 'ContainerCreating', '0'], { status: { phase: 'Pending', containerStatuses: [status({ waiting: { reason: 'ContainerCreating' } })] } }],
  [['1/1', 'Running', '0'], { status: { phase: 'Running', conditions: [ready], containerStatuses: [status({ running: {} }, { ready: true })] } }],
  [['0/1', 'CrashLoopBackOff', '3 (5m ago)'], {
    status: {
      phase: 'Running',
      containerStatuses: [status({ waiting: { reason: 'CrashLoopBackOff' } }, { restartCount: 3, lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-01T11:55:00Z' } } })],
    },
  }],
  [['0/1', 'Completed', '0'], { status: { phase: 'Succeeded', containerStatuses: [status({ terminated: { exitCode: 0, reason: 'Completed' } })] } }],
  [['0/1', 'ExitCode:3', '0'], { status: { phase: 'Failed', containerStatuses: [status({ terminated: { exitCode: 3 } })] } }],
  [['0/1', 'OOMKilled', '0'], { status: { phase: 'Running', containerStatuses: [status({ terminated: { exitCode: 137, reason: 'OOMKilled' } })] } }],
  [['0/1', 'Init:0/1', '0'], { initContainers: [{ name: 'i' }], status: { phase: 'Pending', initContainerStatuses: [status({ running: {} }, { name: 'i' })] } }],
  [['0/1', 'Init:Error', '2'], { initContainers: [{ name: 'i' }], status: { phase: 'Pending', initContainerStatuses: [status({ terminated: { exitCode: 1, reason: 'Error' } }, { name: 'i', restartCount: 2 })] } }],
  [['2/2', 'Running', '0'], {
    initContainers: [{ name: 'i', restartPolicy: 'Always' }],
    status: { phase: 'Running', initContainerStatuses: [status({ running: {} }, { name: 'i', started: true, ready: true })], containerStatuses: [status({ running: {} }, { ready: true })] },
  }],
  [['1/1', 'Terminating', '0'], { deletionTimestamp: '2026-01-01T12:00:30Z', status: { phase: 'Running', containerStatuses: [status({ running: {} }, { ready: true })] } }],
  [['1/1', 'Unknown', '0'], { deletionTimestamp: '2026-01-01T12:00:30Z', status: { phase: 'Running', reason: 'NodeLost', containerStatuses: [status({ running: {} }, { ready: true })] } }],
  [['0/1', 'Evicted', '0'], { status: { phase: 'Failed', reason: 'Evicted' } }],
  [['0/1', 'SchedulingGated', '0'], { status: { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] } }],
] as readonly (readonly [readonly string[], { initContainers?: Container[]; status?: Pod['status']; deletionTimestamp?: string }])[]) {
  test(`kubectl get pods shows ${expected.join(' ')}`, () => {
    const object = pod(change.initContainers === undefined ? {} : { initContainers: change.initContainers });
    if (change.status !== undefined) object.status = change.status;
    object.metadata.deletionTimestamp = change.deletionTimestamp;
    assert.deepEqual([cell('Ready', object), cell('Status', object), cell('Restarts', object)], expected);
  });
}

test('a name that cannot be a host name is warned of', () => {
  const object = pod();
  object.metadata.name = 'a.b';
  assert.deepEqual(podKind.warnings?.(object), ["metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"]);
});
