import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyJsonPatch, JsonPatchError, JsonPatchFormatError } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { applyStrategicMergePatch, StrategicPatchError } from './strategic-merge-patch.ts';

const DEPLOYMENT = 'io.k8s.api.apps.v1.Deployment';
const POD = 'io.k8s.api.core.v1.Pod';
const strategic = (original: unknown, patch: unknown, definition = POD) => applyStrategicMergePatch(original, patch, definition);

test('a merge patch sets, deletes with null and replaces lists', () => {
  assert.deepEqual(applyMergePatch({ a: { b: 1, c: 2 }, l: [1, 2] }, { a: { b: null, d: 3 }, l: [3] }), { a: { c: 2, d: 3 }, l: [3] });
});

test('a JSON patch applies its operations in order (RFC 6902)', () => {
  const patched = applyJsonPatch({ a: [1, 3], b: { 'x/y': 1 } }, [
    { op: 'add', path: '/a/1', value: 2 }, { op: 'replace', path: '/b/x~1y', value: 5 }, { op: 'copy', from: '/a/0', path: '/c' },
    { op: 'move', from: '/a/2', path: '/d' }, { op: 'test', path: '/d', value: 3 }, { op: 'add', path: '/a/-', value: 9 },
  ]);
  assert.deepEqual(patched, { a: [1, 2, 9], b: { 'x/y': 5 }, c: 1, d: 3 });
});

test('a JSON patch that does not fit is told apart from one that makes no sense', () => {
  assert.throws(() => applyJsonPatch({}, [{ op: 'remove', path: '/a' }]), JsonPatchError);
  assert.throws(() => applyJsonPatch({ a: 1 }, [{ op: 'test', path: '/a', value: 2 }]), JsonPatchError);
  assert.throws(() => applyJsonPatch({}, [{ op: 'frobnicate', path: '/a' }]), JsonPatchFormatError);
  assert.throws(() => applyJsonPatch({}, { op: 'add' }), JsonPatchFormatError);
});

test('containers are merged by name', () => {
  const original = { spec: { containers: [{ name: 'a', image: '1', env: [{ name: 'X', value: '1' }] }, { name: 'b', image: '1' }] } };
  assert.deepEqual(strategic(original, { spec: { containers: [{ name: 'b', image: '2' }, { name: 'c', image: '3' }] } }), {
    spec: { containers: [{ name: 'a', image: '1', env: [{ name: 'X', value: '1' }] }, { name: 'b', image: '2' }, { name: 'c', image: '3' }] },
  });
});

test('an item that only the patch has goes before those that only the server has', () => {
  assert.deepEqual(strategic({ spec: { containers: [{ name: 'a' }] } }, { spec: { containers: [{ name: 'new' }] } }), { spec: { containers: [{ name: 'new' }, { name: 'a' }] } });
});

test('$patch: delete removes an item, $patch: replace the whole', () => {
  const original = { spec: { containers: [{ name: 'a' }, { name: 'b' }] }, metadata: { labels: { x: '1', y: '2' } } };
  assert.deepEqual(strategic(original, { spec: { containers: [{ name: 'a', $patch: 'delete' }] } }), { spec: { containers: [{ name: 'b' }] }, metadata: { labels: { x: '1', y: '2' } } });
  assert.deepEqual(strategic(original, { metadata: { labels: { $patch: 'replace', z: '3' } } }), { spec: original.spec, metadata: { labels: { z: '3' } } });
  assert.deepEqual(strategic(original, { spec: { containers: [{ $patch: 'replace' }, { name: 'n' }] } }), { spec: { containers: [{ name: 'n' }] }, metadata: original.metadata });
});

test('$retainKeys clears the other members of a union', () => {
  const original = { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } };
  assert.deepEqual(strategic(original, { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } }, DEPLOYMENT), { spec: { strategy: { type: 'Recreate' } } });
});

test('$setElementOrder puts the items of the patch in its order and leaves the server\'s own in place', () => {
  const original = { spec: { containers: [{ name: 'a' }, { name: 'server' }, { name: 'b' }] } };
  const patch = { spec: { $setElementOrder: undefined, '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }, { name: 'c' }], containers: [{ name: 'c' }] } };
  delete (patch.spec as Record<string, unknown>)['$setElementOrder'];
  assert.deepEqual(strategic(original, patch), { spec: { containers: [{ name: 'server' }, { name: 'b' }, { name: 'a' }, { name: 'c' }] } });
});

test('finalizers are merged as a set and taken off by $deleteFromPrimitiveList', () => {
  const original = { metadata: { finalizers: ['a', 'b'] } };
  assert.deepEqual(strategic(original, { metadata: { finalizers: ['b', 'c'] } }), { metadata: { finalizers: ['a', 'b', 'c'] } });
  assert.deepEqual(strategic(original, { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } }), { metadata: { finalizers: ['b'] } });
});

test('an item without its merge key is refused', () => {
  assert.throws(() => strategic({}, { spec: { containers: [{ image: 'x' }] } }), (error: unknown) =>
    error instanceof StrategicPatchError && error.message === 'map: map[image:x] does not contain declared merge key: name');
});

test('the original is never changed', () => {
  const original = Object.freeze({ spec: Object.freeze({ containers: Object.freeze([Object.freeze({ name: 'a' })]) }) });
  strategic(original, { spec: { containers: [{ name: 'a', image: '2' }] } });
  assert.deepEqual(original, { spec: { containers: [{ name: 'a' }] } });
});

test('a patch reaches only what the object itself has, whatever its fields are called', () => {
  const polluted = (): unknown => (({}) as Record<string, unknown>)['x'];
  assert.throws(() => applyJsonPatch({}, [{ op: 'add', path: '/__proto__/x', value: 1 }]), JsonPatchError);
  assert.throws(() => applyJsonPatch({}, [{ op: 'replace', path: '/constructor/prototype/x', value: 1 }]), JsonPatchError);
  assert.throws(() => applyJsonPatch({}, [{ op: 'remove', path: '/toString' }]), JsonPatchError);
  const named = JSON.parse('{"__proto__":{"x":1}}') as unknown;
  for (const patched of [applyJsonPatch({}, [{ op: 'add', path: '/__proto__', value: { x: 1 } }]), applyMergePatch({}, named), strategic({}, named)]) {
    assert.equal(JSON.stringify(patched), '{"__proto__":{"x":1}}');
    assert.equal(Object.getPrototypeOf(patched), Object.prototype);
  }
  assert.equal(polluted(), undefined);
});
