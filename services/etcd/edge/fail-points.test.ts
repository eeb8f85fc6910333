import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailPoints, parseTerms } from './fail-points.ts';

class Ended extends Error {}
const points = (): FailPoints => new FailPoints(() => { throw new Ended(); });

test('terms act one after the other, as often as they say', async () => {
  const some = points();
  some.set('walBeforeSync', '2*off->1*sleep(1)->panic');
  await some.pass('walBeforeSync');
  await some.pass('walBeforeSync');
  await some.pass('walBeforeSync');
  await assert.rejects(some.pass('walBeforeSync'), Ended);
  some.unset('walBeforeSync');
  await some.pass('walBeforeSync');
});

test('a place that may fail fails with what is to be returned; elsewhere that does nothing', async () => {
  const some = points();
  some.set('defragdbFail', '1*return("no space (left)")');
  await assert.rejects(some.pass('defragdbFail'), { message: 'no space (left)' });
  await some.pass('defragdbFail');
  some.set('beforeCommit', 'return("no space")');
  await some.pass('beforeCommit');
});

test('a write is torn between sectors', () => {
  const some = points();
  const written: number[][] = [];
  some.set('walBeforeWrite', 'tear(100)');
  assert.throws(() => some.passWrite('walBeforeWrite', 500, 1000, (start, end) => written.push([start, end])), Ended);
  assert.deepEqual(written, [[0, 12], [12, 524], [524, 1000]]);
  some.set('walBeforeWrite', 'tear(0)');
  assert.throws(() => some.passWrite('walBeforeWrite', 500, 1000, () => assert.fail('written')), Ended);
});

test('what gofail writes is understood, what nobody knows is refused', () => {
  assert.deepEqual(parseTerms('sleep("2s")->5%panic("boom")').map(({ action, percent }) => [action, percent]), [[{ type: 'sleep', ms: 2000 }, 100], [{ type: 'panic' }, 5]]);
  assert.throws(() => parseTerms('explode'), /could not parse terms: explode/);
  assert.throws(() => points().set('nowhere', 'panic'), /failpoint does not exist: nowhere/);
});
