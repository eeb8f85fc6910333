import assert from 'node:assert/strict';
import { test } from 'node:test';
import { computePodActions, type PodActions, type ProbeResults } from './compute-actions.ts';
import { container, exited, pod, ran, runtimePod, sandbox } from './testing.ts';

const noProbes: ProbeResults = () => undefined;
const names = (containers: PodActions['containersToStart']): string[] => containers.map(({ name }) => name);
const failing = (type: string, id: string): ProbeResults => (asked, containerId) => (asked === type && containerId === id ? 'failure' : 'success');

test('a new pod gets a sandbox and all its containers in the order of its specification', () => {
  const actions = computePodActions(pod({ containers: [container('b'), container('a')] }), runtimePod([], []), noProbes);
  assert.equal(actions.createSandbox, true);
  assert.equal(actions.attempt, 0);
  assert.deepEqual(names(actions.containersToStart), ['b', 'a']);
});

test('a pod whose containers run needs nothing', () => {
  const actions = computePodActions(pod(), runtimePod([ran('a')]), noProbes);
  assert.deepEqual([actions.killPod, actions.createSandbox, actions.containersToStart.length, actions.containersToKill.length], [false, false, 0, 0]);
});

test('after a reboot a new sandbox is made with the next attempt, and everything starts again', () => {
  const actions = computePodActions(pod(), runtimePod([exited('a', 137)], [sandbox({ isReady: false, attempt: 2 })]), noProbes);
  assert.deepEqual([actions.killPod, actions.createSandbox, actions.attempt, names(actions.containersToStart)], [true, true, 3, ['a']]);
});

test('after a reboot a pod that is never restarted gets no new sandbox', () => {
  const actions = computePodActions(pod({ restartPolicy: 'Never' }), runtimePod([exited('a', 137)], [sandbox({ isReady: false })]), noProbes);
  assert.deepEqual([actions.killPod, actions.createSandbox, actions.containersToStart.length], [true, false, 0]);
});

test('after a reboot a container that had succeeded is not started again with OnFailure', () => {
  const spec = { restartPolicy: 'OnFailure', containers: [container('a'), container('b')] };
  const actions = computePodActions(pod(spec), runtimePod([exited('a', 0), exited('b', 1)], [sandbox({ isReady: false })]), noProbes);
  assert.deepEqual(names(actions.containersToStart), ['b']);
});

test('a sandbox without an address is replaced, but not for a pod in the host network', () => {
  const bare = sandbox({ ips: [] });
  assert.equal(computePodActions(pod(), runtimePod([ran('a')], [bare]), noProbes).createSandbox, true);
  assert.equal(computePodActions(pod({ hostNetwork: true }), runtimePod([ran('a')], [{ ...bare, usesHostNetwork: true }]), noProbes).createSandbox, false);
});

test('two ready sandboxes are one too many', () => {
  assert.equal(computePodActions(pod(), runtimePod([ran('a')], [sandbox({ id: 's2', attempt: 1 }), sandbox()]), noProbes).createSandbox, true);
});

for (const [policy, exitCode, restarts] of [['Always', 0, true], ['Always', 1, true], ['OnFailure', 0, false], ['OnFailure', 1, true], ['Never', 1, false]] as const) {
  test(`with restart policy ${policy} a container that exited with ${exitCode} is ${restarts ? '' : 'not '}started again`, () => {
    const spec = { restartPolicy: policy, containers: [container('a'), container('b')] };
    const actions = computePodActions(pod(spec), runtimePod([exited('a', exitCode), ran('b')]), noProbes);
    assert.deepEqual(names(actions.containersToStart), restarts ? ['a'] : []);
    assert.equal(actions.killPod, false);
  });
}

test('when nothing runs and nothing will, the pod is ended', () => {
  assert.equal(computePodActions(pod({ restartPolicy: 'Never' }), runtimePod([exited('a', 0)]), noProbes).killPod, true);
});

test('a pod that is being deleted starts nothing', () => {
  const actions = computePodActions(pod({ containers: [container('a'), container('b')] }, { deletionTimestamp: '2026-01-01T00:00:00Z' }), runtimePod([exited('a', 1), ran('b')]), noProbes);
  assert.deepEqual(actions.containersToStart, []);
});

test('a container whose image changed is killed and started whatever the policy', () => {
  const actions = computePodActions(pod({ restartPolicy: 'Never', containers: [container('a', { image: 'nginx:2' })] }), runtimePod([ran('a')]), noProbes);
  assert.equal(actions.containersToKill[0]?.message, 'Container a definition changed, will be restarted');
  assert.deepEqual(names(actions.containersToStart), ['a']);
});

test('a failed liveness probe kills the container, and starts it again where the policy allows', () => {
  const always = computePodActions(pod(), runtimePod([ran('a')]), failing('liveness', 'a-1'));
  assert.deepEqual([always.containersToKill[0]?.message, names(always.containersToStart)], ['Container a failed liveness probe, will be restarted', ['a']]);
  const never = computePodActions(pod({ restartPolicy: 'Never' }), runtimePod([ran('a')]), failing('liveness', 'a-1'));
  assert.deepEqual([never.containersToKill[0]?.message, never.containersToStart.length, never.killPod], ['Container a failed liveness probe', 0, true]);
});

test('a container in an unknown state is killed before it is started again', () => {
  const actions = computePodActions(pod({ containers: [container('a'), container('b')] }), runtimePod([ran('a', { state: 'unknown' }), ran('b')]), noProbes);
  assert.equal(actions.containersToKill[0]?.containerId, 'a-1');
  assert.deepEqual(names(actions.containersToStart), ['a']);
});

const withInit = (more = {}) => ({ initContainers: [container('i1'), container('i2')], ...more });

test('init containers run one by one before the others', () => {
  const first = computePodActions(pod(withInit()), runtimePod([], []), noProbes);
  assert.deepEqual([names(first.initContainersToStart), first.containersToStart.length], [['i1'], 0]);
  const second = computePodActions(pod(withInit()), runtimePod([exited('i1', 0)]), noProbes);
  assert.deepEqual([names(second.initContainersToStart), second.containersToStart.length], [['i2'], 0]);
  const waiting = computePodActions(pod(withInit()), runtimePod([ran('i2'), exited('i1', 0)]), noProbes);
  assert.deepEqual([waiting.initContainersToStart.length, waiting.containersToStart.length], [0, 0]);
  const done = computePodActions(pod(withInit()), runtimePod([exited('i2', 0), exited('i1', 0)]), noProbes);
  assert.deepEqual(names(done.containersToStart), ['a']);
});

test('a failed init container is tried again, and ends the pod where nothing may be restarted', () => {
  assert.deepEqual(names(computePodActions(pod(withInit()), runtimePod([exited('i1', 1)]), noProbes).initContainersToStart), ['i1']);
  const never = computePodActions(pod(withInit({ restartPolicy: 'Never' })), runtimePod([exited('i1', 1)]), noProbes);
  assert.deepEqual([never.killPod, never.initContainersToStart.length], [true, 0]);
});

test('finished init containers that the runtime has dropped do not run again while the others run', () => {
  const actions = computePodActions(pod(withInit()), runtimePod([ran('a')]), noProbes);
  assert.deepEqual([actions.initContainersToStart.length, actions.killPod], [0, false]);
});

test('in a new sandbox the init containers of the old one do not count', () => {
  const old = { sandboxId: 's0' };
  const actions = computePodActions(pod(withInit()), runtimePod([exited('i1', 0, { id: 'i1-2' }), exited('a', 137, old), exited('i2', 0, old), exited('i1', 0, old)]), noProbes);
  assert.deepEqual([names(actions.initContainersToStart), actions.containersToStart.length], [['i2'], 0]);
});

const withSidecar = (more = {}) => ({ initContainers: [container('side', { restartPolicy: 'Always', ...more }), container('i2')] });

test('a sidecar lets the next init container start once it runs, and after its startup probe if it has one', () => {
  assert.deepEqual(names(computePodActions(pod(withSidecar()), runtimePod([ran('side')]), noProbes).initContainersToStart), ['i2']);
  const probed = withSidecar({ startupProbe: {} });
  assert.deepEqual(computePodActions(pod(probed), runtimePod([ran('side')]), noProbes).initContainersToStart, []);
  assert.deepEqual(names(computePodActions(pod(probed), runtimePod([ran('side')]), () => 'success').initContainersToStart), ['i2']);
});

test('a sidecar that ended is started again while the pod runs', () => {
  const actions = computePodActions(pod(withSidecar()), runtimePod([ran('a'), exited('i2', 0), exited('side', 1)]), noProbes);
  assert.deepEqual([names(actions.initContainersToStart), actions.containersToStart.length], [['side'], 0]);
});

test('sidecars do not keep a pod alive whose other containers are done', () => {
  const actions = computePodActions(pod({ ...withSidecar(), restartPolicy: 'Never' }), runtimePod([exited('a', 0), exited('i2', 0), ran('side')]), noProbes);
  assert.equal(actions.killPod, true);
});

test('an ephemeral container is started once and never again', () => {
  const spec = { ephemeralContainers: [container('debug')] };
  assert.deepEqual(names(computePodActions(pod(spec), runtimePod([ran('a')]), noProbes).ephemeralContainersToStart), ['debug']);
  assert.deepEqual(computePodActions(pod(spec), runtimePod([ran('a'), exited('debug', 0)]), noProbes).ephemeralContainersToStart, []);
});

test("a container's own restart rules come before the pod's policy", () => {
  const spec = { restartPolicy: 'Never', containers: [container('a', { restartPolicy: 'Never', restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }] }), container('b')] };
  assert.deepEqual(names(computePodActions(pod(spec), runtimePod([exited('a', 42), ran('b')]), noProbes).containersToStart), ['a']);
  assert.deepEqual(computePodActions(pod(spec), runtimePod([exited('a', 1), ran('b')]), noProbes).containersToStart, []);
});
