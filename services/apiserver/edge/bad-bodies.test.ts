// Bodies at random: objects of many kinds with one thing in them that does not belong there. Whatever the server says of
// them, it says as a Status, and never that it was its own fault. SEED=n COUNT=m replays and prolongs a run.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { seededRandom, type Random } from '#lib/environment/random.ts';
import type { AnyKind } from '#lib/kinds/define-kind.ts';
import { definitions } from '#lib/kinds/openapi/schemas.ts';
import { allKinds } from '#lib/kinds/registry.ts';
import { servedKinds } from './served-kinds.ts';
import { startTestServer, type Answer, type TestServer } from './testing/test-server.ts';

const SEED = Number(process.env['SEED'] ?? 1);
const COUNT = Number(process.env['COUNT'] ?? 400);
const DEPTH = 7;

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.close());

const JUNK: readonly unknown[] = [
  null, true, false, 0, -1, 1.5, 2 ** 31, 2 ** 53, 1e300, '', 'x', 'Not A Name', '-', '9'.repeat(30), 'ü\u0000\ud800', '__proto__', '../..', '1Zi', '2026-13-45T00:00:00Z', '=', 'a'.repeat(300),
  [], [null], [[]], [{}], ['x', 'x'], [1], {}, { a: null }, { x: 1 }, { 'not a key!': 'x' }, { constructor: 'x', toString: null }, JSON.parse('{"__proto__":{"x":1}}') as unknown,
  { matchLabels: 1 }, { name: 'x' }, { type: 'x' }, { matchExpressions: [{ key: 'a', operator: 'In' }] },
];

const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random.fraction() * from.length)] as T;

/** A value that fits the type, more or less: deep enough for checks to run, with fields left out at random. */
function valueOf(type: string, random: Random, depth: number): unknown {
  const bare = type.replace(/!$/, '');
  if (random.fraction() < 0.03) return pick(random, JUNK);
  if (bare.startsWith('[]')) return Array.from({ length: Math.floor(random.fraction() * 3) }, () => valueOf(bare.slice(2), random, depth));
  if (bare.startsWith('map:')) return { a: valueOf(bare.slice(4), random, depth) };
  if (bare.startsWith('ref:')) return depth === 0 ? {} : structOf(bare.slice(4), random, depth - 1);
  switch (bare) {
    case 'string': return pick(random, ['a', 'x.example.com', 'None', 'ClusterIP', 'Always', '10.96.0.5', 'fe80::1', 'a/b', 'In', 'v1', 'Pod', 'apps', '']);
    case 'bool': return random.fraction() < 0.5;
    case 'int32': case 'int64': case 'int': return pick(random, [0, 1, -5, 80, 70_000, 2 ** 31 - 1]);
    case 'double': return 0.5;
    case 'bytes': return 'YQ==';
    case 'quantity': return pick(random, ['1', '100m', '1Gi', '-1']);
    case 'int-or-string': return pick(random, [1, '50%', 'http']);
    case 'date-time': return '2026-01-01T00:00:00Z';
    case 'date-time-micro': return '2026-01-01T00:00:00.000000Z';
    default: return { a: 1 };
  }
}
function structOf(definition: string, random: Random, depth: number): unknown {
  const { fields, type } = definitions[definition] ?? {};
  if (!fields) return type === undefined ? {} : valueOf(type, random, depth);
  const chance = 0.25 + 0.5 * random.fraction();
  return Object.fromEntries(Object.entries(fields).filter(([, type]) => type.endsWith('!') || random.fraction() < chance).map(([name, type]) => [name, valueOf(type, random, depth)]));
}

const kinds = servedKinds(allKinds).filter(({ verbs }) => verbs.includes('create'));
const collection = (kind: AnyKind): string => `${kind.group === '' ? '/api' : `/apis/${kind.group}`}/${kind.version}/${kind.namespaced ? 'namespaces/default/' : ''}${kind.plural}`;

/** Upstream answers 500 to these, too. */
const UPSTREAMS_OWN = /resourceVersion should not be set|failed to create typed patch object|failed to convert new typed object|associative list with keys/;
const STACK = /\\n +at |node:internal|Cannot read prop|is not a function|is not iterable|\bundefined\b/;
const LIMIT_MS = 2_000;

/** What is wrong with an answer: each kind of thing once. */
const faults = new Map<string, string>();

async function check(ask: Promise<Answer>, what: object): Promise<Answer> {
  const startMs = performance.now();
  const answer = await ask;
  const { code, text } = answer;
  const isFault = (code >= 500 && !UPSTREAMS_OWN.test(text)) || (code >= 400 && STACK.test(text)) || !text.startsWith('{') || performance.now() - startMs > LIMIT_MS;
  if (isFault) faults.set(text.slice(0, 150), `${code} ${text.slice(0, 300)}\n${JSON.stringify(what).slice(0, 2000)}`);
  return answer;
}

test(`objects with junk in them are refused or stored, never the end (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  let stored = 0;
  for (let round = 0; round < COUNT; round += 1) {
    const kind = pick(random, kinds);
    const object = structOf(kind.schema, random, DEPTH) as Record<string, unknown>;
    delete object['apiVersion'];
    delete object['kind'];
    if (random.fraction() < 0.9) object['metadata'] = { name: `o${round}`, ...(random.fraction() < 0.3 ? { labels: pick(random, JUNK) } : {}) };
    const validation = pick(random, ['Strict', 'Warn', 'Ignore']);
    const answer = await check(server.post(`${collection(kind)}?fieldValidation=${validation}`, object), { kind: kind.kind, round, object });
    if (answer.code !== 201) continue;
    stored += 1;
    const item = `${collection(kind)}/o${round}`;
    if (!kind.verbs.includes('patch') || object['metadata'] === undefined) continue;
    const change = structOf(kind.schema, random, DEPTH) as Record<string, unknown>;
    delete change['metadata'];
    delete change['apiVersion'];
    delete change['kind'];
    for (const type of ['merge', 'strategic-merge'] as const) await check(server.patch(item, type, change), { kind: kind.kind, type, round, object, change });
    await check(server.request('PATCH', `${item}?fieldManager=f&force=true`, { ...change, apiVersion: kind.apiVersion, kind: kind.kind, metadata: { name: `o${round}` } }, { 'content-type': 'application/apply-patch+yaml' }), { kind: kind.kind, apply: true, round, object, change });
    await check(server.get(item, { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' }), { kind: kind.kind, table: true, round, object, change });
    for (const subresource of Object.keys(kind.subresources).filter((name) => ['status', 'scale', 'approval', 'finalize'].includes(name))) {
      await check(server.patch(`${item}/${subresource}`, 'merge', change), { kind: kind.kind, subresource, round, object, change });
    }
  }
  for (const kind of kinds) {
    if (kind.verbs.includes('list')) await check(server.get(collection(kind), { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' }), { kind: kind.kind });
    if (kind.verbs.includes('deletecollection') && kind.kind !== 'Namespace' && kind.kind !== 'ServiceAccount') await check(server.delete(collection(kind)), { kind: kind.kind });
  }
  assert.deepEqual([...faults.values()], []);
  assert.ok(stored > COUNT / 20, `${stored} stored`);
});
