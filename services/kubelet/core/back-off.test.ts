import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BackOff, goDuration, goSeconds } from './back-off.ts';

const limits = { firstMs: 10_000, longestMs: 300_000 };

test('the first restart is not delayed, later ones 10 s, 20 s, 40 s up to 5 minutes', () => {
  const backOff = new BackOff(limits);
  let nowMs = 1_000_000;
  const delays: number[] = [];
  for (let crash = 0; crash < 8; crash += 1) {
    const waitMs = backOff.remainingSinceMs('k', nowMs, { wallMs: nowMs, steadyMs: nowMs });
    delays.push(waitMs / 1000);
    nowMs += waitMs;
    backOff.next('k', nowMs, nowMs);
  }
  assert.deepEqual(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
});

test('a container that ran for more than twice the longest delay starts anew', () => {
  const backOff = new BackOff(limits);
  backOff.next('k', 0, 0);
  backOff.next('k', 20_000, 20_000);
  assert.equal(backOff.delayMs('k'), 20_000);
  const laterMs = 20_000 + 2 * limits.longestMs + 1;
  assert.equal(backOff.remainingSinceMs('k', laterMs, { wallMs: laterMs, steadyMs: laterMs }), 0);
  backOff.next('k', laterMs, laterMs);
  assert.equal(backOff.delayMs('k'), 10_000);
});

test('what happened by a clock that was set back since delays no longer than usual', () => {
  const backOff = new BackOff(limits);
  const hourMs = 3_600_000;
  backOff.next('k', hourMs, hourMs);
  assert.equal(backOff.remainingSinceMs('k', hourMs + 5_000, { wallMs: 6_000, steadyMs: 6_000 }), 10_000);
  assert.equal(backOff.remainingSinceMs('k', hourMs + 5_000, { wallMs: 12_000, steadyMs: 12_000 }), 4_000);
  assert.equal(backOff.remainingSinceMs('k', hourMs + 5_000, { wallMs: 16_000, steadyMs: 16_000 }), 0);
});

test('the delay of a pull counts from the last failure', () => {
  const backOff = new BackOff(limits);
  backOff.next('k', 5_000, 5_000);
  assert.equal(backOff.remainingMs('k', 8_000), 7_000);
  assert.equal(backOff.remainingMs('k', 15_000), 0);
});

test('durations read as Go prints them', () => {
  assert.deepEqual([10_000, 80_000, 300_000, 3_600_000].map(goSeconds), ['10s', '1m20s', '5m0s', '1h0m0s']);
  assert.deepEqual([0, 812.4, 1204, 62_500].map(goDuration), ['0s', '812ms', '1.204s', '1m2.5s']);
});
