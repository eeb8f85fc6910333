import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress, nextAddress, parseAddress, parseBlock } from './addresses.ts';

const block = parseBlock('172.16.103.128/26');
const deal = (last?: string, taken: string[] = []): string | undefined => {
  const next = nextAddress([block], last === undefined ? undefined : parseAddress(last), new Set(taken.map(parseAddress)));
  return next === undefined ? undefined : formatAddress(next);
};

test('the first pod gets the second address of the block', () => assert.equal(deal(), '172.16.103.129'));

test('an address that came free is not dealt again at once', () => assert.equal(deal('172.16.103.130'), '172.16.103.131'));

test('after the end of the block dealing starts over and skips what is taken', () => {
  assert.equal(deal('172.16.103.191', ['172.16.103.129']), '172.16.103.130');
});

test('nothing is dealt when all are taken', () => {
  assert.equal(deal(undefined, Array.from({ length: 63 }, (_, index) => `172.16.103.${129 + index}`)), undefined);
});

test('a second block is used when the first is full', () => {
  const second = parseBlock('172.16.9.0/26');
  assert.equal(nextAddress([block, second], parseAddress('172.16.103.191'), new Set()), parseAddress('172.16.9.1'));
});

test('a network that is none is refused', () => {
  for (const text of ['172.16.1.0', '172.16.1.0/33', '172.16.1/24', 'x/24']) assert.throws(() => parseBlock(text), Error, text);
});
