import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BusyCode } from './busy-code.ts';

function counted(perSecond: number, seconds: number): number {
  let nowMs = 0;
  let times = 0;
  const code = new BusyCode(() => { times += 1; }, () => nowMs);
  for (let second = 0; second < seconds; second += 1) {
    nowMs += 1_000;
    code.add(perSecond);
  }
  return times;
}

test('the requests of an idle cluster leave the code as it is, however many come in the long run', () => {
  assert.equal(counted(50, 3_600), 0);
});

test('code is to be optimized once there is a load, and is told so once', () => {
  assert.equal(counted(300, 1), 0);
  assert.equal(counted(300, 60), 1);
});
