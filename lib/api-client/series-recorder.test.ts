import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import pino from 'pino';
import type { Event } from '#lib/kinds/types/events-v1.ts';
import { eventually } from '#lib/testing/eventually.ts';
import { ObjectServer } from '#lib/testing/object-server.ts';
import { ApiClient } from './client.ts';
import { SeriesRecorder, type Saying } from './series-recorder.ts';

const EVENTS = '/apis/events.k8s.io/v1/namespaces/default/events';
const pod = { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'p', uid: 'u1' };
const failed: Saying = { type: 'Warning', reason: 'FailedScheduling', action: 'Scheduling', note: 'no node' };

async function setUp(context: TestContext) {
  const server = new ObjectServer();
  const api = new ApiClient({ server: await server.start() }, 'test');
  context.after(async () => {
    await api.close();
    await server.stop();
  });
  const time = { nowMs: 1_000_000 };
  const clock = { nowMs: () => time.nowMs, sleep: () => Promise.resolve() };
  const recorder = new SeriesRecorder({ api, controller: 'default-scheduler', instance: 'default-scheduler-m', clock, log: pino({ level: 'silent' }), signal: new AbortController().signal });
  const written = (): Event[] => server.paths().filter((path) => path.startsWith(EVENTS)).map((path) => server.get(path) as Event);
  return { recorder, time, written, server };
}

test('an event has its own time, and none of the fields of older events', async (context) => {
  const { recorder, written } = await setUp(context);
  recorder.event(pod, { ...failed, related: { kind: 'Pod', name: 'other' } });
  const event = await eventually(() => written()[0]);
  assert.equal(event.eventTime, '1970-01-01T00:16:40.000000Z');
  assert.deepEqual([event.reportingController, event.reportingInstance, event.action, event.note, event.related?.name, event.series], ['default-scheduler', 'default-scheduler-m', 'Scheduling', 'no node', 'other', undefined]);
});

test('what is said again, in whatever words, becomes a series: written at once, then when it ends', async (context) => {
  const { recorder, time, written } = await setUp(context);
  recorder.event(pod, failed);
  time.nowMs += 1_000;
  recorder.event(pod, { ...failed, note: 'other words' });
  await eventually(() => written()[0]?.series?.count === 2);
  time.nowMs += 1_000;
  recorder.event(pod, failed);
  await recorder.sweep();
  assert.deepEqual(written().map(({ note, series }) => [note, series?.count]), [['no node', 2]]);
  time.nowMs += 400_000;
  await recorder.sweep();
  assert.deepEqual(written().map(({ series }) => series), [{ count: 3, lastObservedTime: '1970-01-01T00:16:42.000000Z' }]);
  recorder.event(pod, failed);
  await eventually(() => written().length === 2); // the series is over: this is another event
});

test('a series whose event has expired on the server starts anew', async (context) => {
  const { recorder, written, server } = await setUp(context);
  recorder.event(pod, failed);
  await eventually(() => written().length === 1);
  for (const path of server.paths()) server.remove(path);
  recorder.event(pod, failed);
  assert.equal((await eventually(() => written()[0])).series, undefined);
});
