import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseWords, splitWords } from './faults.ts';

const KIND = { name: 'cut', arguments: '<a> <b>', options: [{ flags: '--one-way', description: '' }, { flags: '--delay <duration>', description: '' }] };

test('faults are written as they are typed on the command line', () => {
  assert.deepEqual(splitWords('api-fault --match "verb in (get, list)" x'), ['api-fault', '--match', 'verb in (get, list)', 'x']);
  assert.deepEqual(parseWords(KIND, ['w1-k8s', '--one-way', 'w2-k8s', '--delay', '5s']), { args: ['w1-k8s', 'w2-k8s'], options: { 'one-way': true, delay: '5s' } });
});

test('words that the command line would refuse are refused', () => {
  assert.throws(() => parseWords(KIND, ['w1-k8s']), /cut w1-k8s: missing required argument 'b'/);
  assert.throws(() => parseWords(KIND, ['a', 'b', '--other']), /unknown option '--other'/);
  assert.throws(() => parseWords(KIND, ['a', 'b', '--delay']), /argument missing/);
});
