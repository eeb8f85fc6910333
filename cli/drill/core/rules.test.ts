import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventsSince, outputProblem, seeEvents, seeObjects, type AnyObject, type SeenEvent } from './rules.ts';

const pod = (name: string, ready: string, extra: object = {}): AnyObject => ({ metadata: { name }, status: { conditions: [{ type: 'Ready', status: ready }], ...extra } }) as AnyObject;
const PODS = [pod('a', 'True', { n: 3 }), pod('b', 'False')];

test('every object has to be so, and one has to be there, unless they are counted', () => {
  assert.equal(seeObjects(PODS, { condition: 'Ready' }).holds, false);
  assert.equal(seeObjects(PODS, { condition: 'Ready', count: 1 }).holds, true);
  assert.equal(seeObjects(PODS, { condition: 'Ready=False', 'min-count': 1 }).holds, true);
  assert.equal(seeObjects([], { condition: 'Ready' }).holds, false);
  assert.equal(seeObjects([], { count: 0 }).holds, true);
  assert.equal(seeObjects(undefined, { count: 0 }, 'no answer').holds, 'unknown');
});

test('being there and being gone are states, too', () => {
  assert.deepEqual(seeObjects([], { exists: false }), { holds: true, text: 'not there' });
  assert.equal(seeObjects(PODS, { exists: false }).holds, false);
  assert.equal(seeObjects(PODS, { path: '.status.n', exists: false, count: 1 }).holds, true);
});

test('values at a path are compared as texts and as numbers; one that is left out counts as 0', () => {
  const [a] = PODS as [AnyObject];
  assert.equal(seeObjects([a], { path: '.status.n', equals: 3 }).holds, true);
  assert.equal(seeObjects([a], { path: '{.status.n}', 'not-equals': 3 }).holds, false);
  assert.equal(seeObjects([a], { path: '.status.n', 'at-least': 3, 'at-most': 3 }).holds, true);
  assert.equal(seeObjects([a], { path: '.status.missing', 'at-most': 0 }).holds, true);
  assert.equal(seeObjects([a], { path: '.status.missing', equals: 0 }).holds, false);
  assert.equal(seeObjects([a], { path: '.status.conditions[?(@.type=="Ready")].status', matches: '^T' }).holds, true);
  assert.equal(seeObjects([a], { path: '.status.n', equals: 4 }).text, 'a .status.n=3');
});

const event = (changes: Partial<SeenEvent>): SeenEvent => ({ uid: 'u', reason: 'BackOff', object: 'pod/web-1', message: 'Back-off restarting', type: 'Warning', from: 'kubelet', count: 2, lastMs: 0, ...changes });

test('events are told by reason, object, message, author and count', () => {
  const events = [event({}), event({ reason: 'Started', type: 'Normal' })];
  assert.equal(seeEvents(events, 'BackOff', { of: 'pod/web-*', message: 'restart', type: 'Warning', from: 'kubelet', 'min-count': 2 }).holds, true);
  assert.equal(seeEvents(events, 'BackOff', { 'min-count': 3 }).holds, false);
  assert.equal(seeEvents(events, 'BackOff', { of: 'pod/web' }).holds, false);
  assert.deepEqual(seeEvents(events, 'Failed', { of: 'pod/web-1' }), { holds: false, text: 'other events: BackOff, Started' });
  assert.equal(seeEvents(undefined, 'BackOff', {}, 'no answer').holds, 'unknown');
});

test('an event that stood when the drill began does not count, however late its clock says it is, until it happens again', () => {
  const before = new Map([['ahead', 2]]);
  const events = [event({ uid: 'ahead', lastMs: 9_000 }), event({ uid: 'old', lastMs: 1_000 }), event({ uid: 'new', lastMs: 2_000, count: 1 })];
  assert.deepEqual(eventsSince(events, 2_000, before).map(({ uid }) => uid), ['new']);
  assert.deepEqual(eventsSince([event({ uid: 'ahead', lastMs: 9_000, count: 3 })], 2_000, before).map(({ uid }) => uid), ['ahead']);
});

test('what is wrong with an output is told', () => {
  assert.equal(outputProblem('a\nbc\n', { equals: 'a\nbc', contains: 'b', matches: '^bc$', 'not-matches': '^c' }), undefined);
  assert.match(outputProblem('abc', { equals: 'ab' }) ?? '', /printed "abc", not "ab"/);
  assert.match(outputProblem('abc', { contains: 'x' }) ?? '', /without "x"/);
  assert.match(outputProblem('abc', { matches: '^b' }) ?? '', /does not match/);
  assert.match(outputProblem('abc', { 'not-matches': 'b' }) ?? '', /which matches/);
});
