import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicaSet } from '#lib/kinds/types/apps-v1.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { podsToDelete } from '../../core/pod-ranking.ts';
import { planReplicaSet, replicaSetStatus } from './plan.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const replicaSet = (replicas: number, extra: Partial<ReplicaSet['metadata']> = {}): ReplicaSet => ({
  metadata: { name: 'web', namespace: 'default', uid: 'rs', generation: 3, ...extra },
  spec: { replicas, selector: { matchLabels: { app: 'web' } }, template: { metadata: { name: '', labels: { app: 'web', tier: 'front' } } } },
});
interface PodShape { node?: string; phase?: string; ready?: string; labels?: Record<string, string>; annotations?: Record<string, string>; deleting?: boolean; created?: string; restarts?: number }
const pod = (name: string, { node = 'w1', phase = 'Running', ready, labels = {}, annotations = {}, deleting = false, created = '2026-01-01T11:00:00Z', restarts = 0 }: PodShape = {}): Pod => ({
  metadata: { name, uid: name, labels: { app: 'web', ...labels }, annotations, creationTimestamp: created, ...(deleting ? { deletionTimestamp: '2026-01-01T11:59:00Z' } : {}) },
  spec: { containers: [], ...(node === '' ? {} : { nodeName: node }) },
  status: {
    phase, conditions: ready === undefined ? [] : [{ type: 'Ready', status: 'True', lastTransitionTime: ready }],
    containerStatuses: [{ name: 'c', image: '', imageID: '', ready: true, restartCount: restarts }],
  },
});
const names = (pods: readonly Readonly<Pod>[]): string[] => pods.map(({ metadata }) => metadata.name);

test('missing pods are created, up to the limit of one pass', () => {
  assert.deepEqual(planReplicaSet(replicaSet(3), [pod('a')], [], 500, NOW), { type: 'create', count: 2 });
  assert.deepEqual(planReplicaSet(replicaSet(900), [], [], 500, NOW), { type: 'create', count: 500 });
});

test('ended and terminating pods do not count', () => {
  const pods = [pod('a'), pod('b', { phase: 'Failed' }), pod('c', { phase: 'Succeeded' }), pod('d', { deleting: true })];
  assert.deepEqual(planReplicaSet(replicaSet(2), pods, [], 500, NOW), { type: 'create', count: 1 });
});

test('a ReplicaSet that is being deleted makes no more pods', () => {
  assert.deepEqual(planReplicaSet(replicaSet(3, { deletionTimestamp: '2026-01-01T11:59:00Z' }), [], [], 500, NOW), { type: 'nothing' });
});

test('surplus pods go in the order: unassigned, pending, not ready, cheap, crowded, young in readiness', () => {
  const pods = [
    pod('long-ready', { ready: '2026-01-01T10:00:00Z' }),
    pod('just-ready', { ready: '2026-01-01T11:59:50Z' }),
    pod('costly', { ready: '2026-01-01T11:59:50Z', annotations: { 'controller.kubernetes.io/pod-deletion-cost': '10' } }),
    pod('cheap', { ready: '2026-01-01T10:00:00Z', annotations: { 'controller.kubernetes.io/pod-deletion-cost': '-5' } }),
    pod('not-ready'),
    pod('pending', { phase: 'Pending' }),
    pod('unassigned', { node: '', phase: 'Pending' }),
  ];
  assert.deepEqual(names(podsToDelete(pods, pods, 6, NOW)), ['unassigned', 'pending', 'not-ready', 'cheap', 'just-ready', 'long-ready']);
});

test('of ready pods those on the node with most of their kin go first, counting sibling ReplicaSets', () => {
  const ready = '2026-01-01T10:00:00Z';
  const pods = [pod('alone', { node: 'w1', ready }), pod('crowded', { node: 'w2', ready })];
  const sibling = pod('old', { node: 'w2', ready });
  assert.deepEqual(names(podsToDelete(pods, [...pods, sibling], 1, NOW)), ['crowded']);
});

test('of pods alike the one that restarted most goes first', () => {
  const ready = '2026-01-01T10:00:00Z';
  assert.deepEqual(names(podsToDelete([pod('calm', { ready }), pod('flapping', { ready, restarts: 4 })], [], 1, NOW)), ['flapping']);
});

test('the status counts labels of the template, readiness, availability and pods on their way out', () => {
  const pods = [
    pod('full', { labels: { tier: 'front' }, ready: '2026-01-01T11:00:00Z' }),
    pod('fresh', { ready: '2026-01-01T11:59:55Z' }),
    pod('going', { deleting: true }),
  ];
  const set = replicaSet(2);
  set.spec.minReadySeconds = 10;
  const { conditions, ...counts } = replicaSetStatus(set, pods, undefined, NOW);
  assert.deepEqual(counts, { replicas: 2, fullyLabeledReplicas: 1, readyReplicas: 2, availableReplicas: 1, terminatingReplicas: 1, observedGeneration: 3 });
  assert.deepEqual(conditions, []);
});

test('a failure becomes the condition ReplicaFailure and goes with the next success', () => {
  const failed = replicaSetStatus(replicaSet(2), [], { error: new Error('pods "x" is forbidden: exceeded quota'), plan: { type: 'create', count: 2 } }, NOW);
  assert.deepEqual(failed.conditions, [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'pods "x" is forbidden: exceeded quota', lastTransitionTime: '2026-01-01T12:00:00Z' }]);
  assert.deepEqual(replicaSetStatus({ ...replicaSet(2), status: failed }, [], undefined, NOW).conditions, []);
});
