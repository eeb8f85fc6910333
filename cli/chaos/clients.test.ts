import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientFigures, parseAnswers } from './clients.ts';

test('requests are counted, failures by their kind, and the time between good answers', () => {
  const first = parseAnswers('10.00 200 0\n11.00 000 28\n12.00 000 6\n13.00 503 0\n14.00 200 0\n15.');
  const second = parseAnswers('10.50 200 0\n12.50 200 0\n13.50 000 28\n14.25 000 28\n16.00 200 0\n');
  assert.deepEqual(clientFigures([first, second]), {
    requests: 10, failed: 5, failures: { 'timed out': 3, 'name not resolved': 1, 'status 503': 1 }, longestGapMs: 4000, longestOutageMs: 2000,
  });
});

test('no answers at all are no requests', () => {
  assert.deepEqual(clientFigures([[], []]), { requests: 0, failed: 0, failures: {}, longestGapMs: 0, longestOutageMs: 0 });
});
