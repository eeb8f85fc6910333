import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DaemonSet } from '#lib/kinds/types/apps-v1.ts';
import type { Node, Pod, Taint } from '#lib/kinds/types/core-v1.ts';
import { FailedPodBackoff } from './failed-pod-backoff.ts';
import { daemonPodSpec, daemonSetStatus, fits, planDaemons, planRollingUpdate, targetNode } from './plan.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const daemonSet = (spec: Partial<DaemonSet['spec']> = {}, podSpec: Partial<Pod['spec']> = {}): DaemonSet => ({
  metadata: { name: 'agent', namespace: 'kube-system', uid: 'ds', generation: 2 },
  spec: { selector: { matchLabels: { app: 'agent' } }, template: { metadata: { name: '', labels: { app: 'agent' } }, spec: { containers: [], ...podSpec } }, ...spec },
});
const node = (name: string, taints: Taint[] = [], labels: Record<string, string> = {}): Node => ({ metadata: { name, labels }, spec: { taints }, status: {} });
const pod = (name: string, on: string, { hash = 'new', ready = true, phase = 'Running', deleting = false, created = '2026-01-01T11:00:00Z' } = {}): Pod => ({
  metadata: { name, uid: name, labels: { app: 'agent', 'controller-revision-hash': hash }, creationTimestamp: created, ...(deleting ? { deletionTimestamp: '2026-01-01T11:59:59Z' } : {}) },
  spec: { containers: [], nodeName: on },
  status: { phase, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: '2026-01-01T11:30:00Z' }] },
});
const names = (pods: readonly Readonly<Pod>[]): string[] => pods.map(({ metadata }) => metadata.name);

test('a daemon is pinned to its node by matchFields and tolerates what drives others away', () => {
  const spec = daemonPodSpec({ containers: [], hostNetwork: true, tolerations: [{ key: 'mine', operator: 'Exists' }] }, 'w1');
  assert.deepEqual(spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution, { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['w1'] }] }] });
  assert.deepEqual(spec.tolerations?.map(({ key, effect }) => `${key ?? ''}:${effect ?? ''}`), [
    'mine:', 'node.kubernetes.io/not-ready:NoExecute', 'node.kubernetes.io/unreachable:NoExecute', 'node.kubernetes.io/disk-pressure:NoSchedule',
    'node.kubernetes.io/memory-pressure:NoSchedule', 'node.kubernetes.io/pid-pressure:NoSchedule', 'node.kubernetes.io/unschedulable:NoSchedule', 'node.kubernetes.io/network-unavailable:NoSchedule',
  ]);
  assert.equal(targetNode({ metadata: { name: 'p' }, spec }), 'w1');
});

test('existing affinity keeps its expressions and loses its fields', () => {
  const terms = [{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }], matchFields: [{ key: 'metadata.name', operator: 'In', values: ['other'] }] }];
  const spec = daemonPodSpec({ containers: [], affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } } }, 'w1');
  assert.deepEqual(spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms[0], {
    matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }], matchFields: [{ key: 'metadata.name', operator: 'In', values: ['w1'] }],
  });
});

test('an untolerated NoSchedule taint keeps new daemons away and lets present ones stay; NoExecute removes them', () => {
  assert.deepEqual(fits(daemonSet(), node('m', [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }])), { shouldRun: false, shouldStay: true });
  assert.deepEqual(fits(daemonSet(), node('m', [{ key: 'x', effect: 'NoExecute' }])), { shouldRun: false, shouldStay: false });
  assert.deepEqual(fits(daemonSet(), node('m', [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }, { key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' }])), { shouldRun: true, shouldStay: true });
  assert.deepEqual(fits(daemonSet({}, { nodeSelector: { disk: 'ssd' } }), node('m')), { shouldRun: false, shouldStay: false });
});

test('pods are created where they are missing, doubles and strays removed, failed ones reported', () => {
  const nodes = [node('w1'), node('w2'), node('w3'), node('w4', [], {})];
  const pods = [pod('a', 'w2'), pod('b', 'w2', { created: '2026-01-01T11:30:00Z' }), pod('c', 'w3', { phase: 'Failed' }), pod('d', 'w4', { phase: 'Succeeded' })];
  const plan = planDaemons(daemonSet(), nodes, pods, 'new', NOW);
  assert.deepEqual(plan.createOn, ['w1']);
  assert.deepEqual(names(plan.remove), ['b']);
  assert.deepEqual(plan.failed.map(({ pod: { metadata } }) => metadata.name), ['c']);
  assert.deepEqual(plan.succeeded.map(({ pod: { metadata } }) => metadata.name), ['d']);
});

test('a terminating pod holds its node until it is gone', () => {
  assert.deepEqual(planDaemons(daemonSet(), [node('w1')], [pod('a', 'w1', { deleting: true })], 'new', NOW).createOn, []);
});

test('a rolling update replaces unavailable pods at once and available ones one by one', () => {
  const nodes = [node('w1'), node('w2'), node('w3')];
  const healthy = nodes.map(({ metadata }) => pod(`p-${metadata.name}`, metadata.name, { hash: 'old' }));
  assert.deepEqual(names(planRollingUpdate(daemonSet(), nodes, healthy, 'new', NOW).remove), ['p-w1']);
  const oneBroken = [pod('p-w1', 'w1', { hash: 'old', ready: false }), ...healthy.slice(1)];
  assert.deepEqual(names(planRollingUpdate(daemonSet(), nodes, oneBroken, 'new', NOW).remove), ['p-w1']);
  const oneNewNotReady = [pod('p-w1', 'w1', { ready: false }), ...healthy.slice(1)];
  assert.deepEqual(names(planRollingUpdate(daemonSet(), nodes, oneNewNotReady, 'new', NOW).remove), []);
});

test('with surge the new pod comes first and the old one goes when the new one is available', () => {
  const nodes = [node('w1'), node('w2')];
  const set = daemonSet({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } });
  const olds = nodes.map(({ metadata }) => pod(`old-${metadata.name}`, metadata.name, { hash: 'old' }));
  assert.deepEqual(planRollingUpdate(set, nodes, olds, 'new', NOW), { createOn: ['w1'], remove: [] });
  const surging = [...olds, pod('new-w1', 'w1', { ready: false })];
  assert.deepEqual(planRollingUpdate(set, nodes, surging, 'new', NOW), { createOn: [], remove: [] });
  assert.deepEqual(planDaemons(set, nodes, surging, 'new', NOW).remove, []);
  assert.deepEqual(names(planRollingUpdate(set, nodes, [...olds, pod('new-w1', 'w1')], 'new', NOW).remove), ['old-w1']);
});

test('the status counts nodes', () => {
  const nodes = [node('w1'), node('w2'), node('m', [{ key: 'x', effect: 'NoSchedule' }])];
  const pods = [pod('a', 'w1'), pod('b', 'w2', { ready: false, hash: 'old' }), pod('c', 'm')];
  assert.deepEqual(daemonSetStatus(daemonSet(), nodes, pods, 'new', NOW), {
    currentNumberScheduled: 2, desiredNumberScheduled: 2, numberMisscheduled: 1, numberReady: 1, numberAvailable: 1, numberUnavailable: 1, updatedNumberScheduled: 1, observedGeneration: 2,
  });
});

test('a node whose daemons keep failing waits twice as long each time', () => {
  const backoff = new FailedPodBackoff();
  assert.equal(backoff.tryTake('w1', 0), 0);
  assert.equal(backoff.tryTake('w1', 400), 600);
  assert.equal(backoff.tryTake('w1', 1_000), 0);
  assert.equal(backoff.tryTake('w1', 1_500), 1_500);
});
