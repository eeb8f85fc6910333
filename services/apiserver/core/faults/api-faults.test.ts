import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRule, RuleError, type ApiFaultRule, type RuleMatch } from '#lib/api-fault/rule.ts';
import { ApiFaults } from './api-faults.ts';
import { compileMatch, patternTest, type RequestFacts } from './match.ts';

const facts = (changes: Partial<RequestFacts> = {}): RequestFacts => ({
  user: 'system:serviceaccount:default:robot', groups: ['system:serviceaccounts', 'system:authenticated'], userAgent: 'robot/v1.2 (linux/amd64)', verb: 'update',
  group: 'apps', resource: 'deployments', subresource: '', namespace: 'default', name: 'web', resumes: false, mayBeStale: false, isLongRunning: false, ...changes,
});

test('patterns: * stands for any characters, everything else for itself', () => {
  const fits = (pattern: string, text: string) => patternTest(pattern)(text);
  assert.deepEqual([fits('*', ''), fits('a*', 'abc'), fits('*c', 'abc'), fits('a*c', 'abc'), fits('a*b*c', 'aXbYc'), fits('a.c', 'abc'), fits('a*a', 'a'), fits('ab*bc', 'abc'), fits('a*x*c', 'abc')],
    [true, true, true, true, true, false, false, false, false]);
});

test('a rule means a request when every list has one that fits', () => {
  const means = (match: RuleMatch, changes?: Partial<RequestFacts>) => compileMatch(match)(facts(changes));
  assert.ok(means({}));
  assert.ok(means({ users: ['nobody', 'system:serviceaccount:*'], verbs: ['update', 'patch'], userAgents: ['robot'] }));
  assert.ok(!means({ users: ['system:serviceaccount:*'], verbs: ['get'] }));
  assert.ok(means({ groups: ['system:authenticated'] }));
  assert.ok(means({ resources: ['deployments'] }) && means({ resources: ['apps/deployments'] }) && means({ resources: ['*/*'] }));
  assert.ok(!means({ resources: ['deployments'] }, { subresource: 'scale' }), 'a subresource has to be named');
  assert.ok(means({ resources: ['apps/deployments/scale'] }, { subresource: 'scale' }) && means({ resources: ['apps/deployments/*'] }));
  assert.ok(means({ resources: ['core/pods'] }, { group: '', resource: 'pods' }) && !means({ resources: ['core/deployments'] }));
});

function faultsWith(...rules: Partial<ApiFaultRule>[]) {
  const time = { nowMs: 0, revision: 10 };
  const faults = new ApiFaults({ nowMs: () => time.nowMs, revision: () => time.revision });
  rules.forEach((rule, at) => faults.put({ id: `r${at}`, match: {}, rate: { seed: 42 }, effect: { type: 'status', code: 500 }, ...rule }));
  return { faults, time };
}

test('a share of the requests is hit, the same ones for the same seed', () => {
  const run = (seed: number) => {
    const { faults } = faultsWith({ rate: { seed, percent: 30 } });
    return Array.from({ length: 1000 }, () => (faults.decide(facts()).end ? 'x' : '.')).join('');
  };
  assert.equal(run(42), run(42));
  assert.notEqual(run(42), run(43));
  const hit = run(42).split('x').length - 1;
  assert.ok(hit > 250 && hit < 350, `${hit} of 1000`);
});

test('first and per-second limit the hits, and matches are counted beside them', () => {
  const { faults, time } = faultsWith({ rate: { seed: 1, first: 5, perSecond: 2 } });
  const hit = (): number => Array.from({ length: 4 }, () => faults.decide(facts())).filter(({ end }) => end).length;
  assert.equal(hit(), 2);
  time.nowMs = 1_000;
  assert.equal(hit(), 2);
  time.nowMs = 2_000;
  assert.equal(hit(), 1);
  assert.deepEqual(faults.list().map(({ hits, matched }) => ({ hits, matched })), [{ hits: 5, matched: 12 }]);
});

test('delays add up until a rule ends the request; those after it are not asked', () => {
  const { faults } = faultsWith({ effect: { type: 'latency', delayMs: 10, jitterMs: 0 } }, { effect: { type: 'latency', delayMs: 20, jitterMs: 5 } }, {}, { effect: { type: 'drop', when: 'before' } });
  const { delayMs, end, ruleIds } = faults.decide(facts());
  assert.ok(delayMs >= 25 && delayMs <= 35);
  assert.deepEqual([end?.type, ruleIds], ['status', ['r0', 'r1', 'r2']]);
  assert.equal(faults.list()[3]?.matched, 0);
});

test('an answer that no API server gives is not given', () => {
  const met = (effect: ApiFaultRule['effect'], changes: Partial<RequestFacts>) => faultsWith({ effect }).faults.decide(facts(changes)).end !== undefined;
  assert.ok(!met({ type: 'status', code: 409 }, { verb: 'list' }));
  assert.ok(!met({ type: 'status', code: 410 }, { verb: 'list' }) && met({ type: 'status', code: 410 }, { verb: 'list', resumes: true }));
  assert.ok(!met({ type: 'stale' }, { verb: 'list' }) && met({ type: 'stale' }, { verb: 'list', mayBeStale: true }));
  assert.ok(!met({ type: 'drop', when: 'after' }, { verb: 'watch', isLongRunning: true }));
});

test('a list is so long behind as is asked, but not behind the rule', () => {
  const { faults, time } = faultsWith({ effect: { type: 'stale', behindMs: 5_000 } });
  const shown = (): unknown => (faults.decide(facts({ verb: 'list', mayBeStale: true })).end as { revision?: number }).revision;
  for (time.nowMs = 0; time.nowMs < 20_000; time.nowMs += 1_000) {
    time.revision += 1;
    faults.noteRevision(time.revision);
    if (time.nowMs === 3_000) assert.equal(shown(), 10);
  }
  assert.equal(shown(), 26, 'the revision of 15 s, at 20 s');
});

test('rules are refused with the reason', () => {
  const refused = (value: unknown, reason: RegExp): void => assert.throws(() => parseRule(value), (error: unknown) => error instanceof RuleError && reason.test(error.message));
  const effect = { type: 'status', code: 500 };
  refused({ id: 'A b', effect }, /^id must be/);
  refused({ id: 'a', effect: { type: 'status', code: 418 } }, /409, 410, 429, 500, 503/);
  refused({ id: 'a', effect, match: { verbs: ['bind'] } }, /"bind" is no verb/);
  refused({ id: 'a', effect, match: { verb: ['get'] } }, /match has a field "verb"/);
  refused({ id: 'a', effect, rate: { percent: 0 } }, /percent must be/);
  refused({ id: 'a', effect: { type: 'latency' } }, /delayMs must be/);
  refused({ id: 'a', effect, match: { resources: ['a/b/c/d'] } }, /is not RESOURCE/);
  assert.deepEqual(parseRule({ id: 'a', effect: { type: 'watch-cut' } }), { id: 'a', match: {}, rate: { seed: 0 }, effect: { type: 'watch-cut', afterMs: 0, expired: false } });
});
