import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controllerOf, controllerReference, isControlledBy } from './controller-ref.ts';
import { sameContent, semanticEqual } from './deep-equal.ts';
import { fnv1a32, podTemplateHash, safeEncode } from './hash.ts';
import { ageOf, humanDuration } from './human-duration.ts';
import { resolveIntOrPercent } from './int-or-percent.ts';
import { formatMicroTime, formatTime, parseTime } from './time.ts';

for (const [seconds, text] of [
  [-2, '<invalid>'], [-1, '0s'], [0, '0s'], [119, '119s'], [120, '2m'], [125, '2m5s'], [600, '10m'], [10_799, '179m'], [10_800, '3h'], [11_000, '3h3m'],
  [28_800, '8h'], [172_799, '47h'], [172_800, '2d'], [180_000, '2d2h'], [691_200, '8d'], [63_072_000, '2y'], [63_158_400, '2y1d'], [252_288_000, '8y'],
] as const) {
  test(`an age of ${seconds} s is shown as ${text}`, () => assert.equal(humanDuration(seconds * 1000), text));
}

test('an absent timestamp has an unknown age', () => {
  assert.equal(ageOf(undefined, 0), '<unknown>');
  assert.equal(ageOf('2026-01-01T00:00:00Z', Date.UTC(2026, 0, 1, 0, 5, 30)), '5m30s');
});

test('times are read with zone and fraction and written in UTC', () => {
  assert.equal(formatTime(parseTime('2026-02-03T04:05:06.789+09:00')), '2026-02-02T19:05:06Z');
  assert.equal(formatMicroTime(parseTime('2026-02-03T04:05:06.123456Z')), '2026-02-03T04:05:06.123456Z');
  assert.throws(() => parseTime('2026-02-31T00:00:00Z'));
  assert.throws(() => parseTime('yesterday'), { message: 'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"' });
});

test('FNV-1a agrees with its published vectors', () => {
  assert.equal(fnv1a32(''), 0x811c9dc5);
  assert.equal(fnv1a32('a'), 0xe40c292c);
  assert.equal(fnv1a32('foobar'), 0xbf9cf968);
});

test('a template hash uses only the safe alphabet, ignores key order and changes with a collision', () => {
  const template = { metadata: { name: '' }, spec: { containers: [{ name: 'c', image: 'nginx' }] } };
  const reordered = { spec: { containers: [{ image: 'nginx', name: 'c' }] }, metadata: { name: '' } };
  assert.equal(podTemplateHash(template), podTemplateHash(reordered));
  assert.match(podTemplateHash(template), /^[bcdfghjklmnpqrstvwxz2456789]+$/);
  assert.notEqual(podTemplateHash(template), podTemplateHash(template, 1));
  assert.equal(safeEncode('0123456789'), '456789bcdf');
});

test('percentages are rounded as asked', () => {
  assert.equal(resolveIntOrPercent('25%', 10, 'up'), 3);
  assert.equal(resolveIntOrPercent('25%', 10, 'down'), 2);
  assert.equal(resolveIntOrPercent(4, 10, 'down'), 4);
  assert.throws(() => resolveIntOrPercent('x', 10, 'up'), { message: 'invalid value for IntOrString: invalid type: string is not a percentage' });
});

test('the controller of an object is recognised by uid', () => {
  const owner = { metadata: { name: 'web', uid: '1' } };
  const owned = { metadata: { name: 'web-1', ownerReferences: [controllerReference(owner, { apiVersion: 'apps/v1', kind: 'ReplicaSet' })] } };
  assert.equal(controllerOf(owned)?.name, 'web');
  assert.equal(isControlledBy(owned, owner), true);
  assert.equal(isControlledBy(owned, { metadata: { name: 'web', uid: '2' } }), false);
});

test('an empty selector is not an absent one where content counts', () => {
  assert.equal(sameContent({ selector: {} }, {}), false);
  assert.equal(sameContent({ list: [], gone: undefined }, {}), true);
  assert.equal(sameContent({ a: { b: [{ c: 1 }] } }, { a: { b: [{ c: 1 }] } }), true);
});

test('absent, null and empty are equal', () => {
  assert.equal(semanticEqual({ a: [], b: { c: undefined } }, {}), true);
  assert.equal(semanticEqual({ a: [1] }, { a: [] }), false);
  assert.equal(semanticEqual({ a: { x: '1' } }, { a: { x: '2' } }), false);
});
