import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerCache } from './answer-cache.ts';
import { failureReply, type Question, type Reply } from './message.ts';

const cache = (overrides: object = {}): AnswerCache => new AnswerCache({ zones: ['.'], successSeconds: 30, denialSeconds: 30, disabledSuccess: ['cluster.local.'], disabledDenial: ['cluster.local.'], ...overrides });
const question: Question = { name: 'example.org', type: 'A', class: 'IN' };
const answer = (ttl: number, name = 'example.org'): Reply => ({ ...failureReply('NOERROR'), answers: [{ name, type: 'A', ttl, data: '1.2.3.4' }] });

test('an answer lasts as long as its records, at most as long as the cache allows, and grows old meanwhile', () => {
  const kept = cache();
  assert.equal(kept.put(question, answer(300), 0).answers[0]?.ttl, 30);
  assert.equal(kept.get({ ...question, name: 'EXAMPLE.org' }, 10_000)?.answers[0]?.ttl, 20);
  assert.equal(kept.get(question, 30_000), undefined);
  assert.equal(kept.get({ ...question, type: 'AAAA' }, 1), undefined);
});

test('nothing is kept for less than five seconds; what comes out of the cache says that it is authoritative', () => {
  const kept = cache();
  const first = kept.put(question, answer(1), 0);
  assert.deepEqual([first.answers[0]?.ttl, first.isAuthoritative], [5, false]);
  assert.equal(kept.get(question, 4_900)?.isAuthoritative, true);
});

test('names of the cluster are not kept when the Corefile says so', () => {
  const kept = cache();
  kept.put({ ...question, name: 'web.default.svc.cluster.local' }, answer(30), 0);
  kept.put({ ...question, name: 'nope.svc.cluster.local' }, failureReply('NXDOMAIN'), 0);
  assert.deepEqual(kept.sizes, { success: 0, denial: 0 });
});

test('denials are kept too, failures only for a moment, refusals not at all', () => {
  const kept = cache();
  const soa = { name: 'org', type: 'SOA', ttl: 600, data: {} };
  kept.put(question, { ...failureReply('NXDOMAIN'), authorities: [soa] }, 0);
  assert.equal(kept.get(question, 29_000)?.rcode, 'NXDOMAIN');
  kept.put({ ...question, type: 'NS' }, failureReply('NXDOMAIN'), 0);
  assert.equal(kept.get({ ...question, type: 'NS' }, 4_000)?.rcode, 'NXDOMAIN');
  assert.equal(kept.get({ ...question, type: 'NS' }, 5_000), undefined, 'nothing says for how long');
  kept.put({ ...question, type: 'MX' }, failureReply('SERVFAIL'), 0);
  assert.equal(kept.get({ ...question, type: 'MX' }, 6_000), undefined);
  kept.put({ ...question, type: 'TXT' }, failureReply('REFUSED'), 0);
  assert.equal(kept.get({ ...question, type: 'TXT' }, 1), undefined);
});

test('the number of answers kept is limited; the oldest go first', () => {
  const kept = cache();
  for (let index = 0; index < 10_100; index += 1) kept.put({ ...question, name: `n${index}.org` }, answer(30), 0);
  assert.equal(kept.sizes.success, 9984);
  assert.equal(kept.get({ ...question, name: 'n0.org' }, 1), undefined);
});
