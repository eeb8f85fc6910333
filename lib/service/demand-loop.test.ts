import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#lib/environment/clock.ts';
import { eventually } from '#lib/testing/eventually.ts';
import { DemandLoop } from './demand-loop.ts';

test('requests that come together or during a run cause one more run, never two at a time', async () => {
  const stopping = new AbortController();
  let runs = 0;
  let underWay = 0;
  const releases: (() => void)[] = [];
  const loop = new DemandLoop({
    work: async () => {
      assert.equal((underWay += 1), 1);
      await new Promise<void>((resolve) => releases.push(resolve));
      underWay -= 1;
      runs += 1;
    },
    onError: () => assert.fail(), clock: systemClock, minIntervalMs: 0, retryMs: 1,
  });
  const running = loop.run(stopping.signal);
  loop.request();
  loop.request();
  await eventually(() => releases.length === 1);
  loop.request();
  loop.request();
  releases.shift()?.();
  await eventually(() => releases.length === 1);
  releases.shift()?.();
  await eventually(() => runs === 2);
  assert.equal(loop.pendingSinceMs, undefined);
  stopping.abort();
  await running;
  assert.equal(runs, 2);
});

test('a failed run is told and tried again, and its request stays pending meanwhile', async () => {
  const stopping = new AbortController();
  const errors: unknown[] = [];
  let runs = 0;
  const loop = new DemandLoop({
    work: async () => {
      runs += 1;
      if (runs < 3) throw new Error(`failure ${runs}`);
    },
    onError: (error) => errors.push(error), clock: systemClock, minIntervalMs: 0, retryMs: 5,
  });
  const running = loop.run(stopping.signal);
  loop.request();
  await eventually(() => runs === 3 && loop.pendingSinceMs === undefined);
  assert.equal(errors.length, 2);
  stopping.abort();
  await running;
});

test('runs keep their distance, but the first one after a rest is at once', async () => {
  const stopping = new AbortController();
  const slept: number[] = [];
  let nowMs = 0;
  let runs = 0;
  const clock = {
    nowMs: () => nowMs,
    sleep: async (ms: number) => {
      slept.push(ms);
      nowMs += ms;
    },
  };
  const loop = new DemandLoop({ work: async () => void (runs += 1), onError: () => assert.fail(), clock, minIntervalMs: 60, retryMs: 1 });
  const running = loop.run(stopping.signal);
  loop.request();
  await eventually(() => runs === 1);
  assert.deepEqual(slept, []);
  nowMs += 20;
  loop.request();
  await eventually(() => runs === 2);
  assert.deepEqual(slept, [40]);
  nowMs += 60;
  loop.request();
  await eventually(() => runs === 3);
  assert.deepEqual(slept, [40]);
  stopping.abort();
  await running;
});

test('with a period it runs without being asked', async () => {
  const stopping = new AbortController();
  let runs = 0;
  const loop = new DemandLoop({ work: async () => void (runs += 1), onError: () => assert.fail(), clock: systemClock, minIntervalMs: 0, retryMs: 1, periodMs: 5 });
  const running = loop.run(stopping.signal);
  await eventually(() => runs >= 3);
  stopping.abort();
  await running;
});

test('a wall clock that is set back by an hour makes nobody wait', { timeout: 10_000 }, async (context) => {
  let runs = 0;
  const stop = new AbortController();
  const loop = new DemandLoop({ work: async () => void (runs += 1), onError: () => assert.fail(), clock: systemClock, minIntervalMs: 20, retryMs: 20 });
  const ended = loop.run(stop.signal);
  const untilRuns = async (count: number): Promise<void> => {
    while (runs < count) await new Promise((resolve) => setImmediate(resolve));
  };
  loop.request();
  await untilRuns(1);
  const trueNow = Date.now;
  context.mock.method(Date, 'now', () => trueNow() - 3_600_000);
  loop.request();
  await untilRuns(2);
  stop.abort();
  await ended;
});
