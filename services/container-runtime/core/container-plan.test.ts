import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMessage, encodeMessage } from '#lib/cri/codec.ts';
import type { ContainerConfig, Sent } from '#lib/cri/messages.ts';
import { accountOf } from './accounts.ts';
import { environmentOf, planContainer, programOf, type ContainerPlanInput, type ImageConfig } from './container-plan.ts';
import { encodeSteps, MS } from './steps.ts';

const image: ImageConfig = { entrypoint: ['/entry'], command: ['serve'], environment: ['PATH=/bin', 'A=image'], workingDirectory: '', user: '', stopSignal: '' };
const configOf = (config: Sent<ContainerConfig>): ContainerConfig => decodeMessage('ContainerConfig', encodeMessage('ContainerConfig', config)) as ContainerConfig;
const inputOf = (config: Sent<ContainerConfig>, more: Partial<ContainerPlanInput> = {}): ContainerPlanInput => ({
  config: configOf(config), image, account: { uid: 0, gid: 0, groups: [0], home: '/root' }, root: '/r', mounts: [], namespaces: [], cgroups: [],
  overlays: [{ at: '', lower: ['/l2', '/l1'], upper: '/u', work: '/w' }], hostname: 'pod', reportPaths: ['/report'], sharedMemory: '/shm', bindDevices: [], ...more,
});
const files = { passwd: 'root:x:0:0::/root:/bin/sh\nweb:x:101:102::/srv/web:/bin/sh\n', group: 'root:x:0:\nweb:x:102:\nlogs:x:7:web\n' };

test('command replaces entrypoint and command of the image, args only its command', () => {
  assert.deepEqual(programOf(configOf({}), image), ['/entry', 'serve']);
  assert.deepEqual(programOf(configOf({ args: ['x'] }), image), ['/entry', 'x']);
  assert.deepEqual(programOf(configOf({ command: ['sh'] }), image), ['sh']);
});

test("the pod's variables win over the image's, HOME comes from the account", () => {
  const variables = environmentOf(inputOf({ envs: [{ key: 'A', value: Buffer.from('pod=1') }] }));
  assert.deepEqual(variables, ['PATH=/bin', 'HOSTNAME=pod', 'A=pod=1', 'HOME=/root']);
});

test('mounts are made from the outside in, read-only ones are locked afterwards', () => {
  const steps = planContainer(inputOf({}, {
    mounts: [
      { source: '/host/b', target: '/data/inner', readonly: true, propagation: 'PROPAGATION_PRIVATE' },
      { source: '/host/a', target: '/data', readonly: false, propagation: 'PROPAGATION_HOST_TO_CONTAINER' },
    ],
  }));
  const mounts = steps.flatMap((step) => (step.do === 'mount' && step.target.startsWith('/r/data') ? [[step.source, step.target, step.flags]] : []));
  assert.deepEqual(mounts, [
    ['/host/a', '/r/data', MS.BIND | MS.REC], ['', '/r/data', MS.SLAVE | MS.REC],
    ['/host/b', '/r/data/inner', MS.BIND | MS.REC], ['', '/r/data/inner', MS.PRIVATE | MS.REC], ['', '/r/data/inner', MS.BIND | MS.REMOUNT | MS.RDONLY],
  ]);
});

test('rights are given up after the root is changed and before the program', () => {
  const order = planContainer(inputOf({})).map((step) => step.do);
  assert.ok(order.indexOf('pivot') < order.indexOf('user'));
  assert.ok(order.indexOf('user') < order.indexOf('program'));
});

test('a container without any command is refused', () => {
  assert.throws(() => planContainer(inputOf({}, { image: { ...image, entrypoint: [], command: [] } })), /no command specified/);
});

test('a user is found by name or number, a number needs no entry', () => {
  assert.deepEqual(accountOf(configOf({}), 'web', files), { uid: 101, gid: 102, groups: [102, 7], home: '/srv/web' });
  assert.deepEqual(accountOf(configOf({ linux: { securityContext: { runAsUser: { value: 5000 }, runAsGroup: { value: 6 }, supplementalGroups: [9] } } }), 'web', files),
    { uid: 5000, gid: 6, groups: [6, 9], home: '/' });
  assert.throws(() => accountOf(configOf({}), 'nobody', files), /unable to find user nobody/);
});

test('steps are refused when an argument contains a NUL byte', () => {
  assert.throws(() => encodeSteps([{ do: 'program', argv: ['a\0b'] }]), /NUL/);
});
