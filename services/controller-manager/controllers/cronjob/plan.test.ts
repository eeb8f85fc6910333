import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CronJob, Job } from '#lib/kinds/types/batch-v1.ts';
import { parseCron } from '#lib/machinery/cron.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { nextTime } from './next-time.ts';
import { beyondHistory, dueRun, isTooLate, jobNameFor, rfc1123, untilNextRun, zonedTime } from './plan.ts';

const at = (text: string): number => Date.parse(text);
const next = (schedule: string, after: string, zone = 'UTC'): string | undefined => {
  const time = nextTime(parseCron(schedule), at(after), zone);
  return time === undefined ? undefined : formatTime(time);
};

test('the next time of a schedule', () => {
  assert.equal(next('*/15 * * * *', '2026-01-01T12:00:00Z'), '2026-01-01T12:15:00Z');
  assert.equal(next('0 3 * * *', '2026-01-01T03:00:00Z'), '2026-01-02T03:00:00Z');
  assert.equal(next('30 8 1 * *', '2026-01-31T23:59:59Z'), '2026-02-01T08:30:00Z');
  assert.equal(next('0 0 * * mon-fri', '2026-01-02T12:00:00Z'), '2026-01-05T00:00:00Z');
  assert.equal(next('0 0 13 * 5', '2026-02-01T00:00:00Z'), '2026-02-06T00:00:00Z', 'two lists of days are alternatives');
  assert.equal(next('@yearly', '2026-01-01T00:00:00Z'), '2027-01-01T00:00:00Z');
  assert.equal(next('0 0 29 2 *', '2026-01-01T00:00:00Z'), '2028-02-29T00:00:00Z');
  assert.equal(next('0 0 31 2 *', '2026-01-01T00:00:00Z'), undefined);
  assert.equal(next('@every 90s', '2026-01-01T00:00:00.700Z'), '2026-01-01T00:01:30Z');
});

test('time zones, with the days on which clocks change', () => {
  assert.equal(next('0 9 * * *', '2026-01-01T00:00:00Z', 'Asia/Seoul'), '2026-01-02T00:00:00Z');
  assert.equal(next('30 2 * * *', '2026-03-28T12:00:00Z', 'Europe/Berlin'), '2026-03-30T00:30:00Z', 'half past two does not exist on the 29th');
  assert.equal(next('30 2 * * *', '2026-10-25T00:30:00Z', 'Europe/Berlin'), '2026-10-25T01:30:00Z', 'and comes twice on the 25th');
  assert.equal(next('15 10 * * *', '2026-01-01T00:00:00Z', 'Asia/Kathmandu'), '2026-01-01T04:30:00Z');
  assert.equal(zonedTime(at('2026-01-01T00:00:00Z'), 'Asia/Seoul'), '2026-01-01T09:00:00+09:00');
  assert.equal(zonedTime(at('2026-01-01T00:00:00Z'), undefined), '2026-01-01T00:00:00Z');
});

const cronJob = (spec: Partial<CronJob['spec']> = {}, lastScheduleTime?: string): CronJob => ({
  metadata: { name: 'tick', namespace: 'default', uid: 'cj', creationTimestamp: '2026-01-01T11:59:30Z' },
  spec: { schedule: '* * * * *', jobTemplate: {}, ...spec }, status: lastScheduleTime === undefined ? {} : { lastScheduleTime },
});
const EVERY_MINUTE = parseCron('* * * * *');

test('a run is due once its time has passed, and only the last one that was missed', () => {
  assert.equal(dueRun(cronJob(), EVERY_MINUTE, at('2026-01-01T11:59:59Z')).dueMs, undefined);
  assert.equal(dueRun(cronJob(), EVERY_MINUTE, at('2026-01-01T12:00:00.100Z')).dueMs, at('2026-01-01T12:00:00Z'));
  const late = dueRun(cronJob({}, '2026-01-01T12:00:00Z'), EVERY_MINUTE, at('2026-01-01T12:30:10Z'));
  assert.deepEqual([late.dueMs, late.hasMissedMany], [at('2026-01-01T12:30:00Z'), false]);
  const veryLate = dueRun(cronJob({}, '2026-01-01T12:00:00Z'), EVERY_MINUTE, at('2026-01-03T12:30:10Z'));
  assert.deepEqual([veryLate.dueMs, veryLate.hasMissedMany], [at('2026-01-03T12:30:00Z'), true]);
});

test('runs older than the starting deadline are not looked for', () => {
  const daily = parseCron('0 0 * * *');
  assert.equal(dueRun(cronJob({ startingDeadlineSeconds: 60 }, '2025-12-30T00:00:00Z'), daily, at('2026-01-01T12:00:00Z')).dueMs, undefined);
  assert.equal(isTooLate(cronJob({ startingDeadlineSeconds: 60 }), at('2026-01-01T12:00:00Z'), at('2026-01-01T12:01:01Z')), true);
});

test('the next look comes just after the next run', () => {
  assert.equal(untilNextRun(cronJob({}, '2026-01-01T12:00:00Z'), EVERY_MINUTE, at('2026-01-01T12:00:20Z')), 40_100);
});

test('names and times as text', () => {
  assert.equal(jobNameFor(cronJob(), at('2026-01-01T12:00:00Z')), `tick-${at('2026-01-01T12:00:00Z') / 60_000}`);
  assert.equal(rfc1123(at('2026-01-01T12:00:00Z')), 'Thu, 01 Jan 2026 12:00:00 +0000');
});

test('the oldest Jobs beyond the limit go', () => {
  const job = (name: string, startTime: string): Job => ({ metadata: { name }, spec: { template: {} }, status: { startTime } });
  const jobs = [job('c', '2026-01-03T00:00:00Z'), job('a', '2026-01-01T00:00:00Z'), job('b', '2026-01-02T00:00:00Z')];
  assert.deepEqual(beyondHistory(jobs, 1).map(({ metadata }) => metadata.name), ['a', 'b']);
  assert.deepEqual(beyondHistory(jobs, undefined), []);
});
