import assert from 'node:assert/strict';
import { test } from 'node:test';
import { offsetText, parseClock } from './clock.ts';

const parse = (skew?: string) => parseClock({ args: ['w1-k8s'], options: skew === undefined ? {} : { skew } });

test('a skew goes either way, and is handed on in seconds', () => {
  assert.deepEqual(parse('+2h'), { host: 'w1-k8s', skewMs: 7_200_000 });
  assert.deepEqual(['+2h', '1m30s', '-90s', '-500ms'].map((skew) => offsetText(parse(skew).skewMs)), ['+7200\n', '+90\n', '-90\n', '-0.5\n']);
});

test('words that are no skew are refused', () => {
  for (const skew of ['0s', '+', 'tomorrow', '--90s']) assert.throws(() => parse(skew), /--skew must be a duration such as \+2h or -90s/);
  assert.throws(() => parse(), /clock needs --skew/);
});
