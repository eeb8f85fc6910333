import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cronProblem, isTimeZone, parseCron } from './cron.ts';

for (const [schedule, problem] of [
  ['*/5 * * * *', undefined], ['0 0 1-7 jan-MAR mon,fri', undefined], ['@hourly', undefined], ['@every 1h30m', undefined], ['? ? * * ?', undefined], ['TZ=Asia/Seoul 0 0 * * *', undefined],
  ['', 'empty spec string'],
  ['* * * *', 'expected exactly 5 fields, found 4: [* * * *]'],
  ['x', 'expected exactly 5 fields, found 1: [x]'],
  ['x * * * *', 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'],
  ['70 * * * *', 'end of range (70) above maximum (59): 70'],
  ['* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
  ['* * * * 7', 'end of range (7) above maximum (6): 7'],
  ['5-1 * * * *', 'beginning of range (5) beyond end of range (1): 5-1'],
  ['*/0 * * * *', 'step of range should be a positive number: */0'],
  ['1-2-3 * * * *', 'too many hyphens: 1-2-3'],
  ['1/2/3 * * * *', 'too many slashes: 1/2/3'],
  ['*/-1 * * * *', 'negative number (-1) not allowed: -1'],
  ['@sometimes', 'unrecognized descriptor: @sometimes'],
  ['@every soon', 'failed to parse duration @every soon: time: invalid duration "soon"'],
] as const) {
  test(`the schedule "${schedule}"`, () => assert.equal(cronProblem(schedule), problem));
}

test('a step after a single number runs to the end of the field', () => {
  const schedule = parseCron('50/5 0 * * 1');
  assert.ok(schedule.kind === 'fields');
  assert.deepEqual([[...schedule.minutes], schedule.anyDayOfMonth, schedule.anyDayOfWeek], [[50, 55], true, false]);
});

test('time zones are names, not offsets', () => assert.deepEqual(['Asia/Seoul', 'UTC', 'Etc/GMT+5', '+05:00', 'Mars/Base', ''].map(isTimeZone), [true, true, true, false, false, false]));
