import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WriteLedger } from './write-ledger.ts';

const told = (ledger: WriteLedger, found: Readonly<Record<string, string>>): string[] => ledger.contradictions(new Map(Object.entries(found)));

test('what was acknowledged last must be there, and nothing else', () => {
  const ledger = new WriteLedger();
  ledger.acknowledged('a', '1');
  ledger.acknowledged('a', '2');
  ledger.acknowledged('b', '1');
  ledger.acknowledged('b', undefined);
  assert.deepEqual(told(ledger, { a: '2' }), []);
  assert.deepEqual(told(ledger, { a: '1', b: '1', c: '1' }), ['a has 1, not 2', 'b was deleted, and is there', 'c was never written']);
  assert.deepEqual(told(ledger, {}), ['a is lost']);
});

test('an unanswered request may have been done or not, and nothing in between', () => {
  const ledger = new WriteLedger();
  ledger.acknowledged('a', '1');
  ledger.doubtful('a', '2');
  ledger.doubtful('b', '1');
  ledger.acknowledged('c', '1');
  ledger.doubtful('c', undefined);
  for (const found of [{ a: '1' }, { a: '2', b: '1' }, { a: '1', c: '1' }]) assert.deepEqual(told(ledger, found), []);
  assert.deepEqual(told(ledger, { c: '2' }), ['a is lost, not 1 or 2', 'c has 2, not 1 or none']);
});
