import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { failure } from '#lib/machinery/status-error.ts';
import { TransportError } from './client.ts';
import { EventQueue } from './event-queue.ts';

const subject = { object: 'p', reason: 'Tested' };
const queue = (): EventQueue => new EventQueue({ clock: { nowMs: () => 0, sleep: () => Promise.resolve() }, log: pino({ level: 'silent' }), signal: new AbortController().signal });

test('what comes at whatever moment of the last write is written, too', async () => {
  for (let microtasks = 0; microtasks < 12; microtasks++) {
    const events = queue();
    let isWritten = false;
    events.add(subject, () => Promise.resolve());
    for (let passed = 0; passed < microtasks; passed++) await Promise.resolve();
    events.add(subject, async () => { isWritten = true; });
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(isWritten, `after ${microtasks} microtasks`);
  }
});

test('it tries again while the server is away, and gives up what the server refuses', async () => {
  const events = queue();
  const tries = { away: 0, refused: 0 };
  events.add(subject, async () => { if ((tries.away += 1) < 3) throw new TransportError('away'); });
  events.add(subject, async () => {
    tries.refused += 1;
    throw failure(403, 'Forbidden', 'no');
  });
  await events.flushed();
  assert.deepEqual(tries, { away: 3, refused: 1 });
});

test('it does not try for ever', async () => {
  const events = queue();
  let tries = 0;
  events.add(subject, async () => {
    tries += 1;
    throw new TransportError('away');
  });
  await events.flushed();
  assert.equal(tries, 12);
});

test('what is told while it holds back is written afterwards, in order', async () => {
  const sleeps: { readonly ms: number; readonly end: () => void }[] = [];
  let nowMs = 1_000;
  const clock = { nowMs: () => nowMs, sleep: (ms: number) => new Promise<void>((end) => sleeps.push({ ms, end })) };
  const events = new EventQueue({ clock, log: pino({ level: 'silent' }), signal: new AbortController().signal, holdMs: 5_000 });
  const written: string[] = [];
  const say = (word: string): void => events.add(subject, async () => void written.push(word));
  nowMs = 2_000;
  say('first');
  nowMs = 3_000;
  say('second');
  assert.deepEqual([written, sleeps.map(({ ms }) => ms)], [[], [4_000]]);
  nowMs = 6_000;
  sleeps[0]?.end();
  await events.flushed();
  say('third');
  await events.flushed();
  assert.deepEqual(written, ['first', 'second', 'third']);
});
