import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodStatus } from '#lib/kinds/types/core-v1.ts';
import { podStatus, terminatedStatus, type StatusInputs } from './pod-status.ts';
import { container, exited, pod, ran, runtimePod, sandbox } from './testing.ts';
import type { RuntimePod } from './runtime-pod.ts';

const status = (of: Pod, runtime: RuntimePod, more: Partial<StatusInputs> = {}): PodStatus => podStatus({
  pod: of, runtimePod: runtime, resize: {}, cpuPeriodUs: 100_000, previous: {}, startFailures: new Map(), isTerminal: false, runtimeName: 'containerd', hostIPs: ['192.168.1.101'], nowMs: 10_000,
  readiness: { isStarted: () => true, isReady: () => true }, ...more,
});
const condition = ({ conditions = [] }: PodStatus, type: string) => conditions.find((one) => one.type === type);

test('a pod of which the runtime has nothing is Pending, its containers wait for ContainerCreating', () => {
  const result = status(pod(), runtimePod([], []));
  assert.equal(result.phase, 'Pending');
  assert.deepEqual(result.containerStatuses?.[0]?.state, { waiting: { reason: 'ContainerCreating' } });
  assert.equal(condition(result, 'PodReadyToStartContainers')?.status, 'False');
  assert.deepEqual([condition(result, 'Ready')?.reason, condition(result, 'Ready')?.message], ['ContainersNotReady', 'containers with unready status: [a]']);
});

test('with init containers the others wait for PodInitializing', () => {
  const result = status(pod({ initContainers: [container('i')] }), runtimePod([ran('i')]));
  assert.equal(result.phase, 'Pending');
  assert.deepEqual(result.containerStatuses?.[0]?.state, { waiting: { reason: 'PodInitializing' } });
  assert.deepEqual([condition(result, 'Initialized')?.status, condition(result, 'Initialized')?.message], ['False', 'containers with incomplete status: [i]']);
});

test('a running pod has addresses, identifiers and is ready', () => {
  const result = status(pod(), runtimePod([ran('a')]));
  assert.equal(result.phase, 'Running');
  assert.deepEqual([result.podIP, result.hostIP, result.qosClass], ['172.16.0.2', '192.168.1.101', 'BestEffort']);
  assert.deepEqual([result.containerStatuses?.[0]?.containerID, result.containerStatuses?.[0]?.ready], ['containerd://a-1', true]);
  assert.equal(condition(result, 'Ready')?.status, 'True');
});

test('a pod in the host network shows the addresses of its node', () => {
  assert.equal(status(pod({ hostNetwork: true }), runtimePod([ran('a')], [sandbox({ ips: [], usesHostNetwork: true })])).podIP, '192.168.1.101');
});

test('a crashed container that waits for its time shows CrashLoopBackOff with its last state, and the pod stays Running', () => {
  const result = status(pod(), runtimePod([exited('a', 3, { restartCount: 2, message: 'oops' })]), { startFailures: new Map([['a', { reason: 'CrashLoopBackOff', message: 'back-off 20s' }]]) });
  const [one] = result.containerStatuses ?? [];
  assert.equal(result.phase, 'Running');
  assert.deepEqual(one?.state, { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 20s' } });
  assert.deepEqual([one?.lastState?.terminated?.exitCode, one?.lastState?.terminated?.message, one?.restartCount], [3, 'oops', 2]);
});

test('a container that could not be started shows the beginning of time as its start', () => {
  const result = status(pod(), runtimePod([exited('a', 128, { reason: 'StartError', startedAtMs: 0 })]));
  assert.equal(result.containerStatuses?.[0]?.state?.terminated?.startedAt, '1970-01-01T00:00:00Z');
});

test('a container that runs again shows how the one before it ended', () => {
  const result = status(pod(), runtimePod([ran('a', { id: 'a-2', restartCount: 1 }), exited('a', 1)]));
  assert.deepEqual([result.containerStatuses?.[0]?.lastState?.terminated?.exitCode, result.containerStatuses?.[0]?.restartCount], [1, 1]);
});

test('an image that cannot be pulled shows as the reason to wait', () => {
  const result = status(pod(), runtimePod(), { startFailures: new Map([['a', { reason: 'ErrImagePull', message: 'not found' }]]) });
  assert.deepEqual([result.phase, result.containerStatuses?.[0]?.state?.waiting?.reason], ['Pending', 'ErrImagePull']);
});

for (const [exits, policy, phase] of [
  [[0, 0], 'Never', 'Succeeded'], [[0, 1], 'Never', 'Failed'], [[0, 1], 'OnFailure', 'Running'], [[0, 0], 'OnFailure', 'Succeeded'], [[0, 0], 'Always', 'Running'],
] as const) {
  test(`with policy ${policy} a pod whose containers exited with ${exits.join(' and ')} is ${phase}`, () => {
    const spec = { restartPolicy: policy, containers: [container('a'), container('b')] };
    assert.equal(status(pod(spec), runtimePod([exited('a', exits[0]), exited('b', exits[1])])).phase, phase);
  });
}

test('a finished pod is not ready because it is completed', () => {
  const result = status(pod({ restartPolicy: 'Never' }), runtimePod([exited('a', 0)]));
  assert.deepEqual([condition(result, 'Ready')?.reason, condition(result, 'Initialized')?.reason, condition(result, 'ContainersReady')?.status], ['PodCompleted', 'PodCompleted', 'False']);
});

test('an init container that failed for good fails the pod', () => {
  assert.equal(status(pod({ restartPolicy: 'Never', initContainers: [container('i')] }), runtimePod([exited('i', 1)])).phase, 'Failed');
});

test('a sidecar that runs while all else is done leaves the pod Running until it is ended', () => {
  const spec = { restartPolicy: 'Never', initContainers: [container('s', { restartPolicy: 'Always' })] };
  assert.equal(status(pod(spec), runtimePod([ran('s'), exited('a', 0)])).phase, 'Running');
  assert.equal(status(pod(spec), runtimePod([exited('s', 137), exited('a', 0)])).phase, 'Succeeded');
});

test('a pod deleted while it ran has failed when its containers did not exit with 0', () => {
  const gone = pod({}, { deletionTimestamp: '2026-01-01T00:00:00Z' });
  assert.equal(status(gone, runtimePod([exited('a', 137)], []), { isTerminal: true }).phase, 'Failed');
  assert.equal(status(gone, runtimePod([exited('a', 0)], []), { isTerminal: true }).phase, 'Succeeded');
});

test('a phase that is final stays', () => {
  const result = status(pod(), runtimePod([ran('a')]), { previous: { phase: 'Failed', reason: 'Evicted', message: 'low' } });
  assert.deepEqual([result.phase, result.reason, result.message], ['Failed', 'Evicted', 'low']);
});

test('a container that ran and left no trace is shown as lost, and counted as restarted', () => {
  const previous: PodStatus = { phase: 'Running', containerStatuses: [{ name: 'a', image: 'nginx', imageID: 'x', ready: true, restartCount: 4, state: { running: { startedAt: '2026-01-01T00:00:00Z' } }, lastState: {} }] };
  const [one] = status(pod(), runtimePod([], []), { previous }).containerStatuses ?? [];
  assert.deepEqual([one?.lastState?.terminated?.reason, one?.lastState?.terminated?.exitCode, one?.restartCount, one?.state?.waiting?.reason], ['ContainerStatusUnknown', 137, 5, 'ContainerCreating']);
});

test('a container is not ready before its probe says so', () => {
  const result = status(pod(), runtimePod([ran('a')]), { readiness: { isStarted: () => true, isReady: () => false } });
  assert.deepEqual([result.containerStatuses?.[0]?.ready, condition(result, 'Ready')?.status], [false, 'False']);
});

test('a readiness gate that nobody has opened keeps the pod from being ready', () => {
  const gated = pod({ readinessGates: [{ conditionType: 'example.com/gate' }] });
  const closed = condition(status(gated, runtimePod([ran('a')])), 'Ready');
  assert.deepEqual([closed?.reason, closed?.message], ['ReadinessGatesNotReady', 'corresponding condition of pod readiness gate "example.com/gate" does not exist.']);
  const open = { ...gated, status: { conditions: [{ type: 'example.com/gate', status: 'True' }] } };
  assert.equal(condition(status(open, runtimePod([ran('a')])), 'Ready')?.status, 'True');
});

test('conditions keep the time of their last transition', () => {
  const first = status(pod(), runtimePod([ran('a')]));
  const later = status(pod(), runtimePod([ran('a')]), { previous: first, nowMs: 99_000 });
  assert.deepEqual(later.conditions, first.conditions);
});

test('a pod refused by its node has failed with the reason', () => {
  const result = status(pod(), runtimePod([], []), { ended: { reason: 'OutOfcpu', message: 'too much' } });
  assert.deepEqual([result.phase, result.reason, result.message], ['Failed', 'OutOfcpu', 'too much']);
});

test('at the end a container without a known end counts as failed, but not one that never started', () => {
  const running = status(pod(), runtimePod([ran('a')]));
  const lost = terminatedStatus(running, false);
  assert.deepEqual([lost.phase, lost.containerStatuses?.[0]?.state?.terminated?.reason], ['Failed', 'ContainerStatusUnknown']);
  const never = terminatedStatus(status(pod(), runtimePod([], [])), false);
  assert.deepEqual([never.phase, never.containerStatuses?.[0]?.state?.waiting?.reason], ['Failed', 'ContainerCreating']);
  assert.equal(terminatedStatus(running, true).phase, 'Running');
});
