import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { aborted, withAbort, withDeadline } from './abort.ts';

test('work ends with its parent, for the parent\'s reason', async () => {
  const parent = new AbortController();
  const work = withAbort(parent.signal, async ({ signal }) => {
    await aborted(signal);
    return signal.reason as Error;
  });
  parent.abort(new Error('enough'));
  assert.equal((await work).message, 'enough');
});

test('a parent that has aborted already is heard, too', async () => {
  assert.equal(await withDeadline(1_000, AbortSignal.abort(), async (signal) => signal.aborted), true);
});

test('work that takes too long hears of its deadline', async () => {
  const reason = await withDeadline(1, undefined, async (signal) => {
    await aborted(signal);
    return signal.reason as Error;
  });
  assert.equal(reason.name, 'TimeoutError');
});

test('nothing stays behind in a parent that lives on', async () => {
  const parent = new AbortController();
  await withDeadline(1_000, parent.signal, async () => assert.equal(getEventListeners(parent.signal, 'abort').length, 1));
  await assert.rejects(withDeadline(1_000, parent.signal, async () => { throw new Error('failed'); }), /failed/);
  assert.equal(getEventListeners(parent.signal, 'abort').length, 0);
});
