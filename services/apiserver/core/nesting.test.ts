import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeeperThan } from './nesting.ts';

test('levels of lists and maps count, brackets in strings do not', () => {
  assert.equal(isDeeperThan('[{"a":[1]}]', 3), false);
  assert.equal(isDeeperThan('[{"a":[[1]]}]', 3), true);
  assert.equal(isDeeperThan('["[[[[", "\\"[[[[", {"[[[[": []}]', 3), false);
  assert.equal(isDeeperThan('[],[],[],[],[]', 3), false);
  assert.equal(isDeeperThan('['.repeat(1_000_000), 3), true);
});
