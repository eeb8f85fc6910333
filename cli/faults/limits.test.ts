import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLimit } from './limits.ts';

const words = (args: string[], limit?: string) => ({ args, options: limit === undefined ? {} : { limit } });

test('limits are quantities', () => {
  assert.deepEqual(parseLimit(words(['w1-k8s'], '200m'), 'cpu'), { host: 'w1-k8s', amount: 0.2 });
  assert.deepEqual(parseLimit(words(['w1-k8s'], '512Mi'), 'memory'), { host: 'w1-k8s', amount: 512 * 1024 * 1024 });
  for (const limit of ['0', '-1', 'much']) assert.throws(() => parseLimit(words(['w1-k8s'], limit), 'cpu'), /--limit must be a quantity above 0 such as 0.2 or 200m/);
  assert.throws(() => parseLimit(words(['w1-k8s']), 'memory'), /memory needs --limit, such as 512Mi or 1Gi/);
  assert.throws(() => parseLimit(words([], '1'), 'cpu'), /cpu takes a host/);
});
