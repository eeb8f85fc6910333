import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeMessage } from '#lib/cri/codec.ts';
import { oddities, OddityWatch, parseSurvey, type KnownPod } from './survey.ts';

const UID = '3c204e48-19a0-43a4-8847-30d06dae91e1';
const GONE = '76e8c854-7262-4142-926c-7095ae5baa32';
const CONTAINER = 'c'.repeat(64);
const POD: KnownPod = { uid: UID, name: 'web', host: 'w1-k8s', address: '172.16.1.2', isHostNetwork: false };

const sandbox = (id: string, uid: string, phase = 'ready'): string => `sandbox ${JSON.stringify({
  id, phase, address: '172.16.1.2', netns: `cni-${id}`, hostInterface: `cali${id}`,
  config: encodeMessage('PodSandboxConfig', { metadata: { name: 'web', uid, namespace: 'default', attempt: 0 } }).toString('base64'),
})}`;
const container = (id: string, uid: string, phase = 'running'): string => `container ${JSON.stringify({
  id, phase, config: encodeMessage('ContainerConfig', { metadata: { name: 'c', attempt: 0 }, labels: { 'io.kubernetes.pod.uid': uid } }).toString('base64'),
})}`;
const TIDY = [
  `process ${UID} ${CONTAINER}`, `group /sys/fs/cgroup/pids/x/kubepods/besteffort/pod${UID}`, 'netns cni-a', 'interface calia', 'address route 172.16.1.2', 'table ip kube-proxy',
  'mount /run/containerd/sandboxes/a/ipc', `folder /var/lib/kubelet/pods/${UID}`, `folder /var/log/pods/default_web_${UID}`, sandbox('a', UID), container(CONTAINER, UID), container('d'.repeat(64), UID, 'exited'),
];
const found = (...more: string[]): string[] => oddities(parseSurvey('w1-k8s', [...TIDY, ...more].join('\n')), [POD]);

test('a host with nothing but what its pods need is tidy', () => {
  assert.deepEqual(found(), []);
});

test('what belongs to no pod is told, each thing once', () => {
  assert.deepEqual(found(`process ${GONE} ${CONTAINER}`, `process ${GONE} ${CONTAINER}`, `folder /var/lib/kubelet/pods/${GONE}`, 'netns cni-b', 'interface calib', 'address kube-proxy 172.16.1.3', 'table ip else', sandbox('e', GONE, 'stopped')), [
    `w1-k8s: process of no pod: ${GONE} ${CONTAINER}`, `w1-k8s: folder of no pod: /var/lib/kubelet/pods/${GONE}`, 'w1-k8s: sandbox of no pod: e', 'w1-k8s: network namespace of no sandbox: cni-b',
    'w1-k8s: interface of no sandbox: calib', 'w1-k8s: unknown nft table: ip else', 'w1-k8s: kube-proxy has an address of no pod: 172.16.1.3',
  ]);
});

test('a pod that runs twice is told', () => {
  assert.deepEqual(found(sandbox('b', UID), container('e'.repeat(64), UID)), ['w1-k8s: web has 2 sandboxes', 'w1-k8s: web runs c 2 times']);
  assert.deepEqual(found(`process ${UID} ${'f'.repeat(64)}`), [`w1-k8s: web has processes of an unknown container ${'f'.repeat(64)}`]);
});

test('what goes within its time is no matter, and time starts anew when it comes back', () => {
  const watch = new OddityWatch();
  assert.deepEqual(watch.note(['x'], 0, 10), []);
  assert.deepEqual(watch.note(['x', 'y'], 10, 10), ['x']);
  assert.deepEqual(watch.note(['y'], 15, 10), []);
  assert.deepEqual(watch.note(['x', 'y'], 20, 10), ['y']);
});
