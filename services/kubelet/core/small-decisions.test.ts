import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerStatus } from '#lib/kinds/types/core-v1.ts';
import { parseLogLine, renderLogLine } from './cri-log.ts';
import { garbage } from './garbage.ts';
import { credentialsFor, pullDecision, withDefaultTag, type PullSecret } from './image-name.ts';
import { containerToRead, logOptions } from './log-request.ts';
import { capacities, nodeConditions, parseTaint, statusChanged } from './node-status.ts';
import { neededAccess } from './server-access.ts';
import { isMirrorOf, mirrorPodOf, staticPod } from './static-pod.ts';
import { statusPatch } from './status-patch.ts';
import { volumePayload } from './volume-payload.ts';
import { container, pod } from './testing.ts';

test('an image without a tag is meant to be latest', () => {
  assert.deepEqual(['nginx', 'nginx:1.25', 'host:5000/a/b', `nginx@sha256:${'0'.repeat(64)}`].map(withDefaultTag), ['nginx:latest', 'nginx:1.25', 'host:5000/a/b:latest', `nginx@sha256:${'0'.repeat(64)}`]);
  assert.throws(() => withDefaultTag('NGINX'), { message: `couldn't parse image name "NGINX": repository name must be lowercase` });
  assert.throws(() => withDefaultTag('Bad Image!'), { message: `couldn't parse image name "Bad Image!": invalid reference format` });
  assert.throws(() => withDefaultTag('a b'), /invalid reference format/);
});

test('an image is pulled by policy, and by default always where the tag may move', () => {
  assert.equal(pullDecision(undefined, 'nginx', true), 'pull');
  assert.equal(pullDecision(undefined, 'host:5000/nginx:1', true), 'use');
  assert.deepEqual([pullDecision('IfNotPresent', 'nginx', false), pullDecision('IfNotPresent', 'nginx', true), pullDecision('Always', 'nginx:1', true)], ['pull', 'use', 'pull']);
  assert.deepEqual([pullDecision('Never', 'nginx', true), pullDecision('Never', 'nginx', false)], ['use', 'never']);
});

test('credentials are those of the registry of the image', () => {
  const secret = (config: object) => ({ type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': btoa(JSON.stringify(config)) } });
  const config = secret({ auths: { 'https://index.docker.io/v1/': { auth: btoa('me:pa:ss') }, 'host:5000': { username: 'u', password: 'p' }, 'host:5000/team': { username: 't', password: 'p' }, '*.corp.io': { username: 'c', password: 'p' } } });
  const users = (image: string, ...secrets: PullSecret[]) => credentialsFor(image, secrets).map(({ username }) => username);
  assert.deepEqual(credentialsFor('nginx:latest', [config]).map(({ username, password }) => [username, password]), [['me', 'pa:ss']]);
  assert.deepEqual(users('host:5000/x', config), ['u']);
  assert.deepEqual(users('host:5000/team/x:v1', config), ['t', 'u']);
  assert.deepEqual(users('a.corp.io/x', config), ['c']);
  assert.deepEqual(users('a.b.corp.io/x', config), []);
  assert.deepEqual(users('other.io/x', config), []);
  assert.deepEqual(users('old.io/x', { type: 'kubernetes.io/dockercfg', data: { '.dockercfg': btoa(JSON.stringify({ 'https://old.io': { auth: btoa('o:p') } })) } }), ['o']);
  assert.throws(() => users('x', { type: 'kubernetes.io/dockercfg', data: { '.dockercfg': btoa('no') } }), /not JSON/);
});

test('log lines are taken apart and shown with or without their time', () => {
  const line = parseLogLine('2026-01-01T00:00:00.000000001Z stdout F hello world');
  assert.deepEqual(line, { time: '2026-01-01T00:00:00.000000001Z', stream: 'stdout', isWhole: true, text: 'hello world' });
  assert.ok(line);
  assert.equal(renderLogLine(line, {}, false), 'hello world\n');
  assert.equal(renderLogLine(line, { timestamps: true }, false), '2026-01-01T00:00:00.000000001Z hello world\n');
  assert.equal(renderLogLine(line, { stream: 'stderr' }, false), '');
  assert.equal(renderLogLine(line, { sinceMs: Date.parse('2026-01-02') }, false), '');
  assert.equal(renderLogLine({ ...line, isWhole: false }, {}, false), 'hello world');
  assert.equal(parseLogLine('nonsense'), undefined);
});

const waitingFor = (reason: string): ContainerStatus => ({ name: 'c', image: '', imageID: '', ready: false, restartCount: 0, state: { waiting: { reason } } });

test('a log request for a container that never ran is refused in upstream\'s words', () => {
  const text = (status: ContainerStatus | undefined, previous = false): string => {
    try {
      return containerToRead(status, 'c', 'p', previous);
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.equal(text(waitingFor('ContainerCreating')), 'container "c" in pod "p" is waiting to start: ContainerCreating');
  assert.equal(text(waitingFor('ImagePullBackOff')), 'container "c" in pod "p" is waiting to start: trying and failing to pull image');
  assert.equal(text(waitingFor('x'), true), 'previous terminated container "c" in pod "p" not found');
  assert.equal(text(undefined), 'container "c" in pod "p" is not available');
  assert.equal(text({ ...waitingFor('CrashLoopBackOff'), lastState: { terminated: { exitCode: 1, containerID: 'containerd://old' } } }), 'old');
  assert.equal(text({ ...waitingFor(''), state: { running: {} }, containerID: 'containerd://now' }), 'now');
});

test('log options are checked', () => {
  assert.equal(logOptions(new URLSearchParams('tailLines=5&follow=true&sinceSeconds=10'), 60_000).sinceMs, 50_000);
  assert.throws(() => logOptions(new URLSearchParams('tailLines=x'), 0), { status: 400 });
  assert.throws(() => logOptions(new URLSearchParams('tailLines=-1'), 0), { status: 422 });
  assert.throws(() => logOptions(new URLSearchParams('sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z'), 0), { status: 422 });
});

test('a static pod is named after its node, and its identifier changes with its contents', () => {
  const md5 = (text: string): string => String(text.length);
  const make = (image: string) => staticPod({ manifest: { kind: 'Pod', metadata: { name: 'etcd', namespace: 'kube-system' }, spec: { containers: [{ name: 'etcd', image }] } }, file: '/m/etcd.yaml', nodeName: 'M-k8s', md5, seenAt: 'now' });
  const one = make('etcd:1');
  assert.deepEqual([one.metadata.name, one.spec.nodeName, one.metadata.annotations?.['kubernetes.io/config.source']], ['etcd-m-k8s', 'M-k8s', 'file']);
  assert.notEqual(one.metadata.uid, make('etcd:12').metadata.uid);
  const mirror = mirrorPodOf(one, { name: 'm-k8s', uid: 'n1' });
  assert.deepEqual([mirror.metadata.uid, mirror.metadata.ownerReferences?.[0]?.kind, isMirrorOf(mirror, one), isMirrorOf(mirror, make('etcd:12'))], [undefined, 'Node', true, false]);
  assert.throws(() => staticPod({ manifest: { kind: 'Deployment' }, file: 'x', nodeName: 'm', md5, seenAt: '' }), { name: 'ManifestError' });
});

test('a status patch holds only what differs, and removes addresses that went', () => {
  const before = { phase: 'Running', reason: 'x', podIP: '1.1.1.1', podIPs: [{ ip: '1.1.1.1' }], conditions: [{ type: 'Ready', status: 'True' }, { type: 'Other', status: 'True' }] };
  const after = { phase: 'Running', podIP: '2.2.2.2', podIPs: [{ ip: '2.2.2.2' }], conditions: [{ type: 'Ready', status: 'False', reason: 'r' }] };
  assert.deepEqual(statusPatch(before, after), { reason: null, podIP: '2.2.2.2', podIPs: [{ ip: '2.2.2.2' }, { $patch: 'delete', ip: '1.1.1.1' }], conditions: [{ type: 'Ready', status: 'False', reason: 'r' }] });
  assert.equal(statusPatch(after, after), undefined);
});

test('a condition that lost its reason says so in the patch', () => {
  assert.deepEqual(statusPatch({ conditions: [{ type: 'Ready', status: 'False', reason: 'r' }] }, { conditions: [{ type: 'Ready', status: 'True' }] }), { conditions: [{ type: 'Ready', status: 'True', reason: null }] });
});

const facts = { cpuCount: 2, memoryBytes: 4 * 2 ** 30, storageBytes: 100 * 2 ** 30, swapBytes: 0, machineId: '', systemUuid: '', bootId: '', kernelVersion: '', osImage: '', architecture: 'amd64' };
const noSettings = { maxPods: 110, cpu: '', memory: '', kubeReserved: {}, systemReserved: {}, evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '10%' } };

test('what is allocatable is the capacity less reservations and eviction thresholds', () => {
  const { capacity, allocatable } = capacities(facts, { ...noSettings, kubeReserved: { cpu: '100m' } });
  assert.deepEqual([capacity['cpu'], capacity['memory'], allocatable['cpu'], allocatable['memory']], ['2', '4194304Ki', '1900m', '4091904Ki']);
  assert.deepEqual([allocatable['ephemeral-storage'], allocatable['pods']], [String(90 * 2 ** 30), '110']);
  assert.equal(capacities(facts, { ...noSettings, cpu: '8', memory: '1Gi' }).capacity['memory'], '1048576Ki');
});

test('the node is ready when nothing is wrong, and says what is', () => {
  const inputs = { previous: [], pressures: new Set<never>(), nowMs: 0 };
  const bad = nodeConditions({ ...inputs, problems: ['no network'] });
  assert.deepEqual(bad.conditions.map(({ type, status }) => `${type}=${status}`), ['MemoryPressure=False', 'DiskPressure=False', 'PIDPressure=False', 'Ready=False']);
  assert.equal(bad.conditions[3]?.message, 'no network');
  const good = nodeConditions({ ...inputs, previous: bad.conditions, problems: [] });
  assert.deepEqual([good.conditions[3]?.reason, good.events], ['KubeletReady', ['NodeReady']]);
  assert.equal(nodeConditions({ ...inputs, problems: ['a', 'b'] }).conditions[3]?.message, '[a, b]');
});

test('heartbeats alone are no change of a status', () => {
  const make = (beat: string) => ({ conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: beat }] });
  assert.equal(statusChanged(make('1'), make('2')), false);
  assert.equal(statusChanged(make('1'), { ...make('1'), volumesInUse: ['v'] }), true);
});

test('taints are read from flags', () => {
  assert.deepEqual([parseTaint('a=b:NoSchedule'), parseTaint('a:NoExecute')], [{ key: 'a', value: 'b', effect: 'NoSchedule' }, { key: 'a', effect: 'NoExecute' }]);
  assert.throws(() => parseTaint('a'), /invalid taint spec/);
});

test('of dead containers the newest stays, and nothing of a pod that is gone', () => {
  const dead = (id: string, podUid: string, createdAt: bigint) => ({ id, podUid, name: 'c', createdAt, sandboxId: `s-${podUid}`, state: 'CONTAINER_EXITED' as const });
  const result = garbage({
    containers: [dead('old', 'u1', 1n), dead('new', 'u1', 2n), dead('gone', 'u2', 1n)],
    sandboxes: [{ id: 's-u1', podUid: 'u1', createdAt: 1n, isReady: false }, { id: 's-u2', podUid: 'u2', createdAt: 1n, isReady: false }],
    isWanted: (uid) => uid === 'u1', keepPerContainer: 1,
  });
  assert.deepEqual(result, { containers: ['old', 'gone'], sandboxes: ['s-u2'] });
});

test('a container that was never started goes when there is a newer dead one, with its sandbox; one that may still be started stays', () => {
  const made = (id: string, state: 'CONTAINER_CREATED' | 'CONTAINER_EXITED' | 'CONTAINER_RUNNING', createdAt: bigint) => ({ id, podUid: 'u1', name: 'c', createdAt, sandboxId: `s-${id}`, state });
  const sandbox = (id: string, createdAt: bigint, isReady = false) => ({ id: `s-${id}`, podUid: 'u1', createdAt, isReady });
  const verdict = garbage({
    containers: [made('before-reboot', 'CONTAINER_CREATED', 1n), made('ended', 'CONTAINER_EXITED', 2n), made('runs', 'CONTAINER_RUNNING', 3n)],
    sandboxes: [sandbox('before-reboot', 1n), sandbox('ended', 2n), sandbox('runs', 3n, true)],
    isWanted: () => true, keepPerContainer: 1,
  });
  assert.deepEqual(verdict, { containers: ['before-reboot'], sandboxes: ['s-before-reboot'] });
  const starting = garbage({ containers: [made('ended', 'CONTAINER_EXITED', 1n), made('starting', 'CONTAINER_CREATED', 2n)], sandboxes: [], isWanted: () => true, keepPerContainer: 1 });
  assert.deepEqual(starting.containers, ['ended']);
});

test('requests need the permission that upstream asks for', () => {
  assert.deepEqual(neededAccess('POST', '/exec/ns/pod/c'), { verb: 'create', subresources: ['proxy'] });
  assert.deepEqual(neededAccess('GET', '/metrics/resource').subresources, ['metrics']);
  assert.deepEqual(neededAccess('GET', '/pods').subresources, ['pods', 'proxy']);
  assert.deepEqual(neededAccess('GET', '/podsecrets').subresources, ['proxy']);
});

const payloadInputs = {
  pod: pod({}, { labels: { b: '2', a: '1' } }),
  context: { podIPs: [], hostIPs: [], nodeName: 'w1', nodeAllocatable: {} },
  objects: { configMap: (name: string) => (name === 'cm' ? { metadata: { name }, data: { k: 'v' }, binaryData: { b: btoa('\u00ff') } } : undefined), secret: () => undefined },
  tokens: new Map([['api/3600', 'token']]),
};
const filesOf = (volume: object): Record<string, string> => Object.fromEntries([...volumePayload({ ...payloadInputs, volume: { name: 'v', ...volume } })].map(([path, { content, mode }]) => [path, `${mode.toString(8)} ${[...content].map((byte) => String.fromCharCode(byte)).join('')}`]));

test('volumes of data become files with their modes', () => {
  assert.deepEqual(filesOf({ configMap: { name: 'cm' } }), { k: '644 v', b: '644 \u00ff' });
  assert.deepEqual(filesOf({ configMap: { name: 'cm', items: [{ key: 'k', path: 'x/y', mode: 0o600 }] } }), { 'x/y': '600 v' });
  assert.deepEqual(filesOf({ downwardAPI: { items: [{ path: 'l', fieldRef: { fieldPath: 'metadata.labels' } }] } }), { l: '644 a="1"\nb="2"' });
  assert.deepEqual(filesOf({ projected: { defaultMode: 0o400, sources: [{ serviceAccountToken: { audience: 'api', path: 'token' } }, { configMap: { name: 'cm', items: [{ key: 'k', path: 'k' }] } }] } }), { token: '400 token', k: '400 v' });
});

test('a volume whose source is missing cannot be set up, unless it is optional', () => {
  assert.throws(() => filesOf({ configMap: { name: 'no' } }), { name: 'VolumeError', message: 'configmap "no" not found' });
  assert.throws(() => filesOf({ configMap: { name: 'cm', items: [{ key: 'z', path: 'z' }] } }), { message: 'configmap references non-existent config key: z' });
  assert.throws(() => filesOf({ secret: { secretName: 'no' } }), { message: 'secret "no" not found' });
  assert.deepEqual(filesOf({ secret: { secretName: 'no', optional: true } }), {});
});

test('a container keeps its hash when anything but its name and image changes', async () => {
  const { containerHash } = await import('./container-hash.ts');
  assert.equal(containerHash(container('a')), containerHash(container('a', { command: ['x'] })));
  assert.notEqual(containerHash(container('a')), containerHash(container('a', { image: 'x' })));
});
