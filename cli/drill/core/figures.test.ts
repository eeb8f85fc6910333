import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeFigures, figuresOf, figuresProblem, type Attempt } from './figures.ts';

const attempt = (startMs: number, endMs: number, isAnswered: boolean): Attempt => ({ startMs, endMs, isAnswered, text: '' });
const ATTEMPTS = [attempt(0, 100, true), attempt(200, 2200, false), attempt(400, 500, true), attempt(3000, 3100, true)];

test('requests, failures and the longest time without an answer are counted', () => {
  assert.deepEqual(figuresOf(ATTEMPTS, 0, 3200), { requests: 4, answered: 3, failed: 1, longestGapMs: 2600 });
  assert.equal(describeFigures(figuresOf(ATTEMPTS, 0, 3200)), '4 requests, 3 answered, 1 failed, longest gap 2.6 s');
});

test('only what was asked since counts, and silence up to now is a gap', () => {
  assert.deepEqual(figuresOf(ATTEMPTS, 300, 9000), { requests: 2, answered: 2, failed: 0, longestGapMs: 5900 });
  assert.deepEqual(figuresOf([], 1000, 4000), { requests: 0, answered: 0, failed: 0, longestGapMs: 3000 });
});

test('limits that are not kept are told', () => {
  const figures = { requests: 4, answered: 3, failed: 1, longestGapMs: 2600 };
  assert.equal(figuresProblem(figures, { maxFailed: 1, minFailed: 1, minAnswered: 3, maxAnswered: 3, maxGapMs: 2600 }), undefined);
  assert.equal(figuresProblem(figures, { maxFailed: 0 }), '1 failed, and at most 0 may');
  assert.equal(figuresProblem(figures, { minFailed: 2 }), '1 failed, and at least 2 must');
  assert.equal(figuresProblem(figures, { minAnswered: 4 }), '3 were answered, and at least 4 must be');
  assert.equal(figuresProblem(figures, { maxAnswered: 0 }), '3 were answered, and at most 0 may be');
  assert.equal(figuresProblem(figures, { maxGapMs: 1000 }), '2.6 s without an answer, and at most 1.0 s may be');
});
