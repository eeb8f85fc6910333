// What must hold for every kind, whatever it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AnyKind, KubernetesObject } from './define-kind.ts';
import { definitions } from './openapi/schemas.ts';
import { allKinds } from './registry.ts';
import { validateCreate, validateStatusUpdate, validateUpdate } from './validation.ts';

const idOf = ({ apiVersion, plural }: AnyKind): string => `${apiVersion}/${plural}`;

/** Small, fast and repeatable. Source: mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A value that decodes as `type`, with any field missing that the decoder does not insist on, which is every one. */
function anyValue(type: string, random: () => number, depth: number): unknown {
  const plain = type.replace(/!$/, '');
  const pick = <T>(...options: T[]): T => options[Math.floor(random() * options.length)] as T;
  if (plain.startsWith('[]')) return Array.from({ length: Math.floor(random() * 3) }, () => anyValue(plain.slice(2), random, depth + 1));
  if (plain.startsWith('map:')) return random() < 0.5 ? {} : { [pick('a', 'app', 'cpu', 'memory', 'example.com/x', 'B@D', '')]: anyValue(plain.slice(4), random, depth + 1) };
  if (plain.startsWith('ref:')) {
    const definition = definitions[plain.slice(4)];
    if (definition?.fields === undefined) return definition?.type === undefined ? {} : anyValue(definition.type, random, depth);
    const likelihood = depth === 0 ? 0.9 : depth > 7 ? 0.05 : 0.35;
    return Object.fromEntries(Object.entries(definition.fields).filter(() => random() < likelihood).map(([name, field]) => [name, anyValue(field, random, depth + 1)]));
  }
  switch (plain) {
    case 'bool': return random() < 0.5;
    case 'int': case 'int32': case 'int64': case 'double': case 'number': return pick(0, 1, -1, 80, 2_147_483_647);
    case 'quantity': return pick('0', '1', '100m', '-1', '64Mi');
    case 'int-or-string': return pick<unknown>(0, 80, '25%', 'http', '', 'x%');
    case 'date-time': return '2026-01-01T00:00:00Z';
    case 'date-time-micro': return '2026-01-01T00:00:00.000000Z';
    case 'bytes': return pick('', 'YQ==');
    case 'raw-object': case 'object': return {};
    default: return pick('', 'a', 'web', 'Always', 'ClusterIP', 'None', 'In', 'Exists', 'RollingUpdate', 'a b', '/x', '../y', '10.0.0.1', 'TCP', 'metadata.name');
  }
}

function exercise(kind: AnyKind, object: KubernetesObject, previous: KubernetesObject): void {
  kind.applyDefaults?.(object);
  kind.prepareForCreate?.(object);
  validateCreate(kind, object);
  kind.warnings?.(object);
  for (const value of Object.values(kind.selectableFields ?? {})) assert.equal(typeof value(object), 'string');
  for (const { name, value } of kind.columns ?? []) assert.notEqual(value(object, 0), undefined, `column ${name}`);
  kind.rowConditions?.(object);
  kind.gracePeriodSeconds?.(object, undefined);
  kind.prepareForUpdate?.(object, previous);
  validateUpdate(kind, object, previous);
  kind.raisesGeneration?.(object, previous);
  kind.prepareForStatusUpdate?.(object, previous);
  validateStatusUpdate(kind, object, previous);
  if (kind.storedAs) kind.storedAs.fromStored(kind.storedAs.toStored(object));
}

for (const kind of allKinds) {
  test(`${idOf(kind)} has a published schema and distinct columns`, () => {
    assert.ok(definitions[kind.schema]?.fields, kind.schema);
    const names = (kind.columns ?? []).map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
  });

  test(`no half-filled ${idOf(kind)} makes its rules throw`, () => {
    const bare = (): KubernetesObject => ({ metadata: { name: 'web' } });
    const previous = bare();
    kind.applyDefaults?.(previous);
    exercise(kind, bare(), previous);
    for (let seed = 1; seed <= 150; seed += 1) {
      const random = randomFrom(seed);
      const object = { metadata: {}, ...(anyValue(`ref:${kind.schema}`, random, 0) as Partial<KubernetesObject>) } as KubernetesObject;
      object.metadata.name ??= 'web';
      const old = { metadata: {}, ...(anyValue(`ref:${kind.schema}`, random, 0) as Partial<KubernetesObject>) } as KubernetesObject;
      kind.applyDefaults?.(old);
      try {
        exercise(kind, object, old);
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}: ${JSON.stringify(object)}`, { cause: error });
      }
    }
  });

  test(`the defaults of ${idOf(kind)} change nothing the second time`, () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const object = { metadata: { name: 'web' }, ...(anyValue(`ref:${kind.schema}`, randomFrom(seed), 0) as object) } as KubernetesObject;
      kind.applyDefaults?.(object);
      const once = JSON.stringify(object);
      kind.applyDefaults?.(object);
      assert.equal(JSON.stringify(object), once);
    }
  });
}
