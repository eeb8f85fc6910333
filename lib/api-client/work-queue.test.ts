import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#lib/environment/clock.ts';
import { runWorkers, WorkQueue } from './work-queue.ts';

const newQueue = () => new WorkQueue({ clock: systemClock });

test('a key that waits already is not queued twice', async () => {
  const queue = newQueue();
  queue.add('a');
  queue.add('a');
  queue.add('b');
  assert.deepEqual([await queue.take(), await queue.take()], ['a', 'b']);
  assert.equal(queue.length, 0);
});

test('a key added while it is worked on comes again only when that work is done', async () => {
  const queue = newQueue();
  queue.add('a');
  assert.equal(await queue.take(), 'a');
  queue.add('a');
  assert.equal(queue.length, 0, 'two workers would have it');
  queue.done('a');
  assert.equal(await queue.take(), 'a');
});

test('of several delays the earliest counts', async () => {
  const queue = newQueue();
  queue.addAfter('a', 60_000);
  queue.addAfter('a', 1);
  assert.equal(await queue.take(), 'a');
  queue.close();
});

test('failures are counted until the key is forgotten', () => {
  const queue = newQueue();
  queue.addRateLimited('a');
  queue.addRateLimited('a');
  assert.equal(queue.failures('a'), 2);
  queue.forget('a');
  assert.equal(queue.failures('a'), 0);
  queue.close();
});

test('closing wakes who waits and takes nothing more', async () => {
  const queue = newQueue();
  const waiting = queue.take();
  queue.close();
  assert.equal(await waiting, undefined);
  queue.add('a');
  assert.equal(await queue.take(), undefined);
});

test('workers retry what throws and stop with the signal', async () => {
  const queue = newQueue();
  const stopping = new AbortController();
  const errors: unknown[] = [];
  let attempts = 0;
  queue.add('a');
  await runWorkers(queue, 2, async () => {
    attempts += 1;
    if (attempts < 3) throw new Error(`attempt ${attempts}`);
    stopping.abort();
    return undefined;
  }, (_key, error) => errors.push(error), stopping.signal);
  assert.equal(attempts, 3);
  assert.equal(errors.length, 2);
});
