import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIdMap } from './user-namespace.ts';

test('an id map names ranges of ids inside', () => {
  assert.deepEqual(parseIdMap('         0       1000          1\n         1     100000      65536\n'), [{ first: 0, count: 1 }, { first: 1, count: 65_536 }]);
  assert.deepEqual(parseIdMap(''), []);
});
