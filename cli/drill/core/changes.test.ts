import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event, Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { leaseState, nodeState, podState, seenEvent } from './changes.ts';

test('nodes, pods and leases are told in a few words', () => {
  const node = (ready: string, rest: object = {}) => nodeState({ metadata: { name: 'w1-k8s' }, spec: rest, status: { conditions: [{ type: 'Ready', status: ready, reason: 'NodeStatusUnknown' }, { type: 'DiskPressure', status: 'False' }] } } as unknown as Node);
  assert.deepEqual(node('True'), { state: 'Ready', text: 'is Ready', tone: 'good' });
  assert.deepEqual(node('Unknown', { taints: [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }, { key: 'other', effect: 'NoSchedule' }] }), { state: 'Unknown, tainted unreachable:NoExecute', text: 'is Unknown, tainted unreachable:NoExecute (NodeStatusUnknown)', tone: 'bad' });
  assert.equal(node('True', { unschedulable: true }).text, 'is Ready, SchedulingDisabled');

  const pod = { metadata: { name: 'a' }, spec: { nodeName: 'w1-k8s', containers: [{ name: 'c' }] }, status: { phase: 'Running', podIP: '172.16.0.1', containerStatuses: [{ name: 'c', ready: true, restartCount: 2, state: { running: {} } }] } };
  assert.deepEqual(podState(pod as unknown as Pod), { state: 'Running 1/1, 2 restarts', text: 'is Running 1/1, 2 restarts on w1-k8s 172.16.0.1', tone: 'good' });
  const waiting = { ...pod, status: { ...pod.status, containerStatuses: [{ name: 'c', ready: false, restartCount: 0, state: { waiting: { reason: 'ImagePullBackOff' } } }] } };
  assert.deepEqual([podState(waiting as unknown as Pod).state, podState(waiting as unknown as Pod).tone], ['ImagePullBackOff 0/1', 'bad']);

  assert.equal(leaseState({ metadata: { name: 'l' }, spec: { holderIdentity: 'm-k8s_248aacb4-b630-436d' } }).text, 'is held by m-k8s (248aacb4)');
});

test('events of both forms are understood', () => {
  const event = (rest: object) => seenEvent({ metadata: { name: 'e', uid: 'u', creationTimestamp: '2026-01-01T00:00:00Z' }, involvedObject: { kind: 'Pod', name: 'a' }, reason: 'R', message: 'm', type: 'Normal', ...rest } as unknown as Event);
  assert.deepEqual(event({ source: { component: 'kubelet' }, count: 3, lastTimestamp: '2026-01-01T00:00:05Z' }), { uid: 'u', reason: 'R', object: 'pod/a', message: 'm', type: 'Normal', from: 'kubelet', count: 3, lastMs: Date.parse('2026-01-01T00:00:05Z') });
  assert.deepEqual(event({ source: {}, reportingComponent: 'default-scheduler', series: { count: 4, lastObservedTime: '2026-01-01T00:00:07.5Z' } }).count, 4);
});
