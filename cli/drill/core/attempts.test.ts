import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Attempts } from './attempts.ts';

test('an answer to what was asked earlier changes nothing of what is seen now', () => {
  const changes: string[] = [];
  const attempts = new Attempts((passes, text) => changes.push(`${String(passes)} ${text}`));
  attempts.note({ startMs: 0, endMs: 100, isAnswered: true, text: 'a' });
  attempts.note({ startMs: 400, endMs: 500, isAnswered: true, text: 'b' });
  attempts.note({ startMs: 200, endMs: 2200, isAnswered: false, text: 'overtaken' });
  assert.deepEqual([attempts.latest?.text, changes], ['b', ['true a']]);
  attempts.note({ startMs: 600, endMs: 2600, isAnswered: false, text: 'c' });
  assert.deepEqual([attempts.latest?.text, changes], ['c', ['true a', 'false c']]);
  assert.equal(attempts.all.length, 4);
});
