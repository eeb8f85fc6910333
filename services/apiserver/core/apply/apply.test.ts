// Sets of fields, merging and ownership, without a server; the random ones replay with their seed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { integerBelow, seededRandom, type Random } from '#lib/environment/random.ts';
import { compareTyped } from './compare.ts';
import { difference, equalSets, formatPath, hasPath, inOrder, intersection, isEmptySet, parseSet, pathsOf, recursiveDifference, setOf, union, type FieldSet } from './field-set.ts';
import { extractItems, mergeTyped, removeItems } from './merge.ts';
import { mergeTypeOf } from './merge-schema.ts';
import { ConflictsError, ownAfterApply, ownAfterUpdate, ownerKey, type Owner, type Owners, type Versions } from './ownership.ts';
import { equalValues, fieldSetOf, validateTyped, type Json } from './typed-value.ts';

const SEEDS = Array.from({ length: 60 }, (_, index) => index + 1);
const deployment = mergeTypeOf('io.k8s.api.apps.v1.Deployment');
const versions: Versions = { apiVersion: 'apps/v1', of: (version) => (version === 'apps/v1' ? { type: deployment, convert: (object) => object, resetFields: {} } : undefined) };
const owner = (manager: string, operation: Owner['operation'] = 'Apply'): Owner => ({ manager, operation, apiVersion: 'apps/v1', subresource: '', time: undefined, fields: {} });
const apply = (live: Json, config: Json, owners: Owners, manager: string, force = false) => {
  const { object, owners: after } = ownAfterApply(live, config, owners, { versions, self: owner(manager), force });
  return { object: object ?? live, owners: after };
};

const pick = <T>(random: Random, values: readonly T[]): T => values[integerBelow(random, values.length)] as T;

/** Some fields of a deployment that may be stated; containers, ports and labels among them. */
function randomConfig(random: Random, names: { readonly containers: readonly string[]; readonly labels: readonly string[]; readonly spec: boolean }): Json {
  const maybe = <T>(make: () => T): T | undefined => (integerBelow(random, 3) > 0 ? make() : undefined);
  const containers = names.containers.filter(() => integerBelow(random, 2) > 0).map((name) => ({
    name,
    ...(maybe(() => ({ image: `image-${integerBelow(random, 3)}` })) ?? {}),
    ...(maybe(() => ({ ports: [80, 81, 82].filter(() => integerBelow(random, 2) > 0).map((containerPort) => ({ containerPort, name: `p${containerPort}` })) })) ?? {}),
    ...(maybe(() => ({ args: [pick(random, ['a', 'b']), 'c'] })) ?? {}),
  })).map((container) => (container.ports?.length === 0 ? { ...container, ports: undefined } : container));
  const labels = Object.fromEntries(names.labels.filter(() => integerBelow(random, 2) > 0).map((label) => [label, pick(random, ['x', 'y'])]));
  return JSON.parse(JSON.stringify({
    apiVersion: 'apps/v1', kind: 'Deployment',
    metadata: { name: 'web', ...(Object.keys(labels).length > 0 ? { labels } : {}) },
    spec: {
      ...(names.spec ? { replicas: maybe(() => integerBelow(random, 3)), paused: maybe(() => true), strategy: maybe(() => ({ type: 'Recreate' })) } : {}),
      ...(containers.length > 0 ? { template: { spec: { containers } } } : {}),
    },
  })) as Json;
}

test('what is applied is what can be extracted by the set of fields it owns', () => {
  for (const seed of SEEDS) {
    const random = seededRandom(seed);
    const others = randomConfig(random, { containers: ['a', 'b', 'c'], labels: ['l1', 'l2'], spec: true });
    const config = randomConfig(random, { containers: ['b', 'c', 'd'], labels: ['l2', 'l3'], spec: true });
    const merged = mergeTyped(others, config, deployment);
    const extracted = extractItems(merged, fieldSetOf(config, deployment), deployment);
    assert.ok(equalValues(inKeyOrder(extracted), inKeyOrder(config)), `seed ${seed}: ${JSON.stringify(extracted)} is not ${JSON.stringify(config)}`);
  }
});

test('two managers who state different things may apply in either order', () => {
  for (const seed of SEEDS) {
    const random = seededRandom(seed);
    const one = randomConfig(random, { containers: ['a', 'b'], labels: ['l1'], spec: true });
    const two = randomConfig(random, { containers: ['c', 'd'], labels: ['l2'], spec: false });
    const run = (first: readonly [Json, string], second: readonly [Json, string]) => {
      const half = apply({}, first[0], new Map(), first[1]);
      return apply(half.object, second[0], half.owners, second[1]);
    };
    const [left, right] = [run([one, 'one'], [two, 'two']), run([two, 'two'], [one, 'one'])];
    assert.ok(equalValues(inKeyOrder(left.object), inKeyOrder(right.object)), `seed ${seed}`);
    for (const manager of ['one', 'two']) {
      const key = ownerKey(owner(manager));
      assert.ok(equalSets(left.owners.get(key)?.fields ?? {}, right.owners.get(key)?.fields ?? {}), `seed ${seed}: ${manager}`);
    }
  }
});

test('whatever was applied before, the last configuration alone decides what its manager leaves behind', () => {
  for (const seed of SEEDS) {
    const random = seededRandom(seed);
    const names = { containers: ['a', 'b', 'c'], labels: ['l1', 'l2'], spec: true };
    let state: { object: Json; owners: Owners } = { object: {}, owners: new Map() };
    let config: Json = {};
    for (let round = 0; round < 4; round += 1) {
      config = randomConfig(random, names);
      state = apply(state.object, config, state.owners, 'one');
    }
    const fresh = apply({}, config, new Map(), 'one');
    assert.ok(equalValues(inKeyOrder(withoutEmpty(state.object)), inKeyOrder(withoutEmpty(fresh.object))), `seed ${seed}: ${JSON.stringify(state.object)} is not ${JSON.stringify(fresh.object)}`);
  }
});

test('a comparison names what an update has to take over, and nothing when there is nothing', () => {
  for (const seed of SEEDS) {
    const random = seededRandom(seed);
    const names = { containers: ['a', 'b', 'c'], labels: ['l1', 'l2'], spec: true };
    const [before, after] = [randomConfig(random, names), randomConfig(random, names)];
    const { removed, modified, added } = compareTyped(before, after, deployment);
    for (const [left, right] of [[removed, modified], [removed, added], [modified, added]] as const) assert.ok(isEmptySet(intersection(left, right)));
    const [had, has] = [fieldSetOf(before, deployment), fieldSetOf(after, deployment)];
    assert.ok(isEmptySet(intersection(has, removed)), `seed ${seed}: removed`);
    assert.deepEqual(pathsOf(difference(has, union(difference(had, removed), union(modified, added)))), [], `seed ${seed}: added or modified`);
    assert.ok(isEmptySet(intersection(fieldSetOf(removeItems(before, removed, deployment), deployment), removed)));
    const same = compareTyped(before, structuredClone(before), deployment);
    assert.ok([same.removed, same.modified, same.added].every(isEmptySet));
  }
});

test('the algebra of sets holds for random paths', () => {
  for (const seed of SEEDS) {
    const random = seededRandom(seed);
    const path = (): string[] => Array.from({ length: 1 + integerBelow(random, 3) }, () => pick(random, ['f:a', 'f:b', 'k:{"name":"x"}', 'v:1']));
    const [left, right] = [0, 1].map(() => setOf(...Array.from({ length: integerBelow(random, 8) }, path))) as [FieldSet, FieldSet];
    const texts = (set: FieldSet): Set<string> => new Set(pathsOf(set).map(formatPath));
    const [a, b] = [texts(left), texts(right)];
    assert.deepEqual([...texts(union(left, right))].sort(), [...new Set([...a, ...b])].sort(), `seed ${seed}: union`);
    assert.deepEqual([...texts(intersection(left, right))].sort(), [...a].filter((one) => b.has(one)).sort(), `seed ${seed}: intersection`);
    assert.deepEqual([...texts(difference(left, right))].sort(), [...a].filter((one) => !b.has(one)).sort(), `seed ${seed}: difference`);
    const isBelow = (one: string): boolean => [...b].some((other) => one === other || (one.startsWith(other) && '.['.includes(one[other.length] ?? ' ')));
    assert.deepEqual([...texts(recursiveDifference(left, right))].sort(), [...a].filter((one) => !isBelow(one)).sort(), `seed ${seed}: recursive difference`);
    assert.ok(equalSets(parseSet(JSON.parse(JSON.stringify(inOrder(left)))), left));
    assert.equal(union(left, intersection(left, right)), left, 'what adds nothing changes nothing');
    for (const one of pathsOf(left)) assert.ok(hasPath(left, one));
  }
});

test('an update owns what it changes and takes it from everybody else', () => {
  const first = apply({}, { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec: { replicas: 1, paused: true } }, new Map(), 'one');
  const changed = { ...first.object, spec: { replicas: 2, paused: true } };
  const after = ownAfterUpdate(first.object, changed, first.owners, { versions, self: owner('two', 'Update'), unowned: {} });
  assert.deepEqual(after.get(ownerKey(owner('two', 'Update')))?.fields, { 'f:spec': { 'f:replicas': {} } });
  assert.equal(hasPath(after.get(ownerKey(owner('one')))?.fields ?? {}, ['f:spec', 'f:replicas']), false);
  assert.throws(() => apply(changed, { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec: { replicas: 1 } }, after, 'one'), (error: unknown) =>
    error instanceof ConflictsError && error.conflicts.map(({ path }) => formatPath(path)).join() === '.spec.replicas');
});

test('a configuration that does not fit its type is told in the words of structured-merge-diff', () => {
  const problems = (spec: object): string[] => validateTyped({ spec }, deployment, { allowDuplicates: false });
  assert.deepEqual(problems({ replicas: 'two', zoo: 1 }), ['.spec.replicas: expected numeric (int or float), got string', '.spec.zoo: field not declared in schema']);
  const inPod = (container: object): string[] => problems({ template: { spec: { containers: [container] } } });
  assert.deepEqual(inPod({ name: 'web', env: [{ name: 'A', value: 1 }] }), ['.spec.template.spec.containers[name="web"].env[name="A"].value: expected string, got &value.valueUnstructured{Value:1}']);
  assert.deepEqual(inPod({ name: 'web', ports: [{ containerPort: 80 }, { containerPort: 80, protocol: 'TCP' }] }), ['.spec.template.spec.containers[name="web"].ports: duplicate entries for key [containerPort=80,protocol="TCP"]']);
});

/** Objects compare without regard to the order of their keys; lists keep theirs, but for items known by name. */
function inKeyOrder(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(inKeyOrder);
    const key = (item: unknown): string => JSON.stringify((item as Json)?.['name'] ?? item);
    return items.every((item) => typeof item === 'object') ? items.sort((a, b) => (key(a) < key(b) ? -1 : 1)) : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, inKeyOrder(item)]));
}

/** Without maps that have nothing left in them. */
function withoutEmpty(value: Json): Json {
  const entries = Object.entries(value).map(([key, item]) => [key, typeof item === 'object' && item !== null && !Array.isArray(item) ? withoutEmpty(item as Json) : item] as const);
  return Object.fromEntries(entries.filter(([, item]) => typeof item !== 'object' || item === null || Object.keys(item).length > 0));
}
