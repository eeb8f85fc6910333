import assert from 'node:assert/strict';
import { test } from 'node:test';
import protobuf from 'protobufjs';
import { decodeMessage, encodeMessage, msOfNanoseconds, nanosecondsOfMs } from './codec.ts';
import type { ContainerConfig, ContainerStatus } from './messages.ts';
import { CRI_PROTO } from './proto.ts';

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

/** A message of the type with something in every field, two levels deep; a different something for each `seed`. */
function filled(type: protobuf.Type, seed: number, depth = 0): Record<string, unknown> {
  const value = (field: protobuf.Field, index: number): unknown => {
    const { resolvedType } = field.resolve();
    if (resolvedType instanceof protobuf.Type) return depth < 3 ? filled(resolvedType, seed + index, depth + 1) : {};
    if (resolvedType instanceof protobuf.Enum) return Object.values(resolvedType.values)[(seed + index) % Object.keys(resolvedType.values).length];
    switch (field.type) {
      case 'string': return `s${seed}-${index}`;
      case 'bytes': return Buffer.from(`b${seed}`);
      case 'bool': return true;
      case 'double': return seed + 0.5;
      case 'int32': case 'int64': return (seed % 2 === 0 ? -1 : 1) * (seed + index + 1);
      default: return seed + index + 1;
    }
  };
  return Object.fromEntries(type.fieldsArray.map((field, index) => [field.name,
    field.map ? { k1: value(field, index), k2: value(field, index + 1) } : field.repeated ? [value(field, index), value(field, index + 1)] : value(field, index)]));
}

test('every message of CRI is written and read as by protobufjs', () => {
  const { root } = protobuf.parse(CRI_PROTO, { keepCase: false });
  const types = (root.lookup('runtime.v1') as protobuf.Namespace).nestedArray.filter((entry): entry is protobuf.Type => entry instanceof protobuf.Type);
  assert.ok(types.length > 80);
  for (const type of types) {
    for (const seed of [1, 2, 300]) {
      const message = filled(type, seed);
      const theirs = Buffer.from(type.encode(type.fromObject(message)).finish());
      assert.equal(encodeMessage(type.name, message).toString('hex'), theirs.toString('hex'), type.name);
      assert.equal(encodeMessage(type.name, decodeMessage(type.name, theirs) as object).toString('hex'), theirs.toString('hex'), `${type.name} read and written again`);
    }
  }
});

test('bytes that end in the middle of a field are refused', () => {
  const bytes = encodeMessage('ContainerStatus', { id: 'c1', metadata: { name: 'web', attempt: 3 } });
  for (let length = 1; length < bytes.length; length++) {
    const part = bytes.subarray(0, length);
    try {
      decodeMessage('ContainerStatus', part);
    } catch {
      continue;
    }
    assert.ok(length === 4, `cut at ${length}`); // between the two fields
  }
});
