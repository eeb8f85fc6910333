import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMessage, encodeMessage, msOfNanoseconds, nanosecondsOfMs } from './codec.ts';
import type { ContainerConfig, ContainerStatus } from './messages.ts';

test('a moment keeps every nanosecond, other 64-bit numbers are numbers', () => {
  const bytes = encodeMessage('ContainerStatus', { id: 'c1', state: 'CONTAINER_EXITED', createdAt: 1_766_000_000_123_456_789n, exitCode: 137 });
  const status = decodeMessage('ContainerStatus', bytes) as ContainerStatus;
  assert.equal(status.createdAt, 1_766_000_000_123_456_789n);
  assert.equal(status.finishedAt, 0n);
  assert.equal(status.state, 'CONTAINER_EXITED');
  assert.equal(status.exitCode, 137);
  assert.deepEqual(status.labels, {});
  assert.deepEqual(status.mounts, []);
  assert.equal(status.metadata, undefined);
});

test('a user id of 0 is told from no user id', () => {
  const config = (securityContext: object) => decodeMessage('ContainerConfig', encodeMessage('ContainerConfig', { linux: { securityContext } })) as ContainerConfig;
  assert.equal(config({ runAsUser: { value: 0 } }).linux?.securityContext?.runAsUser?.value, 0);
  assert.equal(config({}).linux?.securityContext?.runAsUser, undefined);
});

test('the fields have the numbers of cri-api: StopContainerRequest is 1 id, 2 timeout', () => {
  assert.equal(encodeMessage('StopContainerRequest', { containerId: 'ab', timeout: 30 }).toString('hex'), '0a026162101e');
  assert.equal(encodeMessage('ContainerConfig', { CDIDevices: [{ name: 'x' }], stopSignal: 'SIGQUIT' }).toString('hex'), '8a01030a0178900112');
});

test('environment values are bytes, maps come back as they were sent', () => {
  const bytes = encodeMessage('ContainerConfig', { envs: [{ key: 'A', value: Buffer.from('ü') }], labels: { 'io.kubernetes.pod.name': 'web' } });
  const config = decodeMessage('ContainerConfig', bytes) as ContainerConfig;
  assert.equal(config.envs[0]?.value.toString(), 'ü');
  assert.deepEqual(config.labels, { 'io.kubernetes.pod.name': 'web' });
});

test('milliseconds and nanoseconds convert without losing the microsecond', () => {
  assert.equal(nanosecondsOfMs(1_766_000_000_123.456), 1_766_000_000_123_456_000n);
  assert.equal(msOfNanoseconds(1_766_000_000_123_456_000n), 1_766_000_000_123.456);
});
