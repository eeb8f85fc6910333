import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedCheck } from './shared-check.ts';

test('those who ask at once share an answer; a good one holds for a while, a failure does not', async () => {
  let nowMs = 0;
  let asked = 0;
  let isDown = false;
  const check = sharedCheck(async () => {
    asked += 1;
    await Promise.resolve();
    if (isDown) throw new Error('down');
  }, 500, () => nowMs);
  await Promise.all([check(), check(), check()]);
  assert.equal(asked, 1);
  nowMs = 499;
  isDown = true;
  await check();
  assert.equal(asked, 1);
  nowMs = 500;
  await assert.rejects(Promise.all([check(), check()]), /down/);
  assert.equal(asked, 2);
  isDown = false;
  await check();
  assert.equal(asked, 3);
});
