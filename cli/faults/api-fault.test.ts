import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UserError } from '../user-error.ts';
import { ruleOf } from './api-fault.ts';

const rule = (options: Record<string, string | boolean>, args: readonly string[] = ['add']) => ruleOf({ args, options }, 'f001');

test('options of the command line become a rule', () => {
  assert.deepEqual(rule({ user: 'jane,joe', verb: 'list', resource: 'core/pods', percent: '12.5', seed: '7', status: '429', 'retry-after': '3' }), {
    id: 'f001', match: { users: ['jane', 'joe'], verbs: ['list'], resources: ['core/pods'] }, rate: { seed: 7, percent: 12.5 }, effect: { type: 'status', code: 429, retryAfterSeconds: 3 },
  });
  assert.deepEqual(rule({ latency: '1m30s', jitter: '500ms' }).effect, { type: 'latency', delayMs: 90_000, jitterMs: 500 });
  assert.deepEqual(rule({ 'stale-lists': 'frozen' }).effect, { type: 'stale' });
  assert.deepEqual(rule({ 'stale-lists': '30s' }).effect, { type: 'stale', behindMs: 30_000 });
  assert.deepEqual(rule({ 'watch-cut': '0s', gone: true }).effect, { type: 'watch-cut', afterMs: 0, expired: true });
});

test('what makes no sense is refused as a word of the command line', () => {
  const refused = (options: Record<string, string | boolean>, reason: RegExp, args?: readonly string[]): void =>
    assert.throws(() => rule(options, args), (error: unknown) => error instanceof UserError && error.exitCode === 2 && reason.test(error.message));
  refused({}, /a rule has one effect/);
  refused({ latency: '1s', status: '500' }, /not 2 of them/);
  refused({ latency: 'soon' }, /--latency must be a duration/);
  refused({ status: '404' }, /409, 410, 429, 500, 503/);
  refused({ status: '500', 'retry-after': '3' }, /429 and 503/);
  refused({ latency: '1s', gone: true }, /--gone goes with --watch-cut/);
  refused({ latency: '1s', first: 'some' }, /--first must be a number/);
  refused({ latency: '1s' }, /add, list, remove/, ['sub']);
});
