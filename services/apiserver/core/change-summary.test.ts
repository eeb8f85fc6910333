import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import { eventKind } from '#lib/kinds/core/event.ts';
import { anyKind, type KubernetesObject } from '#lib/kinds/define-kind.ts';
import { aboutUids, changeSummary } from './change-summary.ts';

const object = (fields: Record<string, unknown>): KubernetesObject => ({ metadata: { name: 'x' }, ...fields }) as unknown as KubernetesObject;
const pod = anyKind(podKind);

test('what became of a pod is told in its own words', () => {
  const before = object({ spec: {}, status: { phase: 'Pending', conditions: [{ type: 'Ready', status: 'False', reason: 'ContainersNotReady' }], containerStatuses: [{ name: 'a', restartCount: 0, state: { waiting: { reason: 'ContainerCreating' } } }] } });
  const after = object({ spec: {}, status: { phase: 'Running', podIP: '172.16.1.1', conditions: [{ type: 'Ready', status: 'True' }], containerStatuses: [{ name: 'a', restartCount: 1, state: { running: { startedAt: 'now' } } }] } });
  assert.equal(changeSummary(pod, after, before), 'phase Pending→Running; podIP=172.16.1.1; Ready False→True; a running; a restarts=1');
  const crashed = object({ spec: {}, status: { ...(after as unknown as { status: object }).status, containerStatuses: [{ name: 'a', restartCount: 1, state: { terminated: { reason: 'Error', exitCode: 137 } } }] } });
  assert.equal(changeSummary(pod, crashed, after), 'a terminated (Error, exit code 137)');
  const leaving = { ...after, metadata: { ...after.metadata, deletionTimestamp: 'now', deletionGracePeriodSeconds: 30 } };
  assert.equal(changeSummary(pod, leaving, after), 'to be deleted, grace 30 s');
});

test('a node that is lost shows its condition and its taints', () => {
  const before = object({ spec: { taints: [{ key: 'old', effect: 'NoSchedule' }] }, status: { conditions: [{ type: 'Ready', status: 'True' }] } });
  const after = object({ spec: { taints: [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }] }, status: { conditions: [{ type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown' }] } });
  assert.equal(changeSummary(anyKind(nodeKind), after, before), '+taint node.kubernetes.io/unreachable:NoExecute; -taint old:NoSchedule; Ready True→Unknown (NodeStatusUnknown)');
});

test('what has no words of its own is told by the section that changed', () => {
  assert.equal(changeSummary(anyKind(deploymentKind), object({ spec: { replicas: 2, minReadySeconds: 5 } }), object({ spec: { replicas: 2 } })), 'spec');
  assert.equal(changeSummary(anyKind(deploymentKind), object({ spec: { replicas: 5 } }), object({ spec: { replicas: 2 } })), 'replicas 2→5');
  assert.equal(changeSummary(anyKind(deploymentKind), object({ spec: { replicas: 2 } }), undefined), 'replicas=2');
});

test('a change of endpoints is about the pods behind those that changed', () => {
  const endpoint = (uid: string, address: string, ready: boolean): object => ({ addresses: [address], conditions: { ready }, targetRef: { uid } });
  const before = object({ endpoints: [endpoint('a', '1.1.1.1', true), endpoint('b', '1.1.1.2', true), endpoint('c', '1.1.1.3', true)] });
  const after = object({ endpoints: [endpoint('a', '1.1.1.1', true), endpoint('b', '1.1.1.2', false), endpoint('d', '1.1.1.4', true)] });
  assert.equal(changeSummary(anyKind(endpointSliceKind), after, before), '1.1.1.2 not ready; +1.1.1.4 ready; -1.1.1.3');
  assert.deepEqual(aboutUids(after, before, 10), ['b', 'd', 'c']);
  assert.deepEqual(aboutUids(object({ involvedObject: { uid: 'p' } }), undefined, 10), ['p']);
  assert.equal(changeSummary(anyKind(eventKind), object({ reason: 'Killing', message: 'Stopping container a' }), undefined), 'Killing: Stopping container a');
});

test('a line has a bound', () => {
  assert.equal(changeSummary(anyKind(eventKind), object({ reason: 'Failed', message: 'x'.repeat(5_000) }), undefined).length, 300);
});
