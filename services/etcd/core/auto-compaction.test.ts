import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AutoCompactor } from './auto-compaction.ts';

test('by revision: all but the newest so many are let go of', () => {
  const compactor = new AutoCompactor({ mode: 'revision', keepRevisions: 100 });
  assert.equal(compactor.revisionToCompact(0, 90, 0), undefined);
  assert.equal(compactor.revisionToCompact(0, 150, 0), 50);
  assert.equal(compactor.revisionToCompact(0, 150, 50), undefined);
});

test('by time: what was current one period ago is let go of', () => {
  const compactor = new AutoCompactor({ mode: 'periodic', keepMs: 1000 });
  assert.equal(compactor.intervalMs, 100);
  const answers = Array.from({ length: 13 }, (_, at) => compactor.revisionToCompact(at * 100, 10 + at, 0));
  assert.deepEqual(answers.slice(8), [undefined, undefined, 10, 11, 12]);
});
