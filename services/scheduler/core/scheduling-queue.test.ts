import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultPlugins } from './plugins/registry.ts';
import { SchedulingQueue } from './scheduling-queue.ts';
import { pod } from './testing/objects.ts';

const newQueue = () => new SchedulingQueue({ retryOn: new Map(defaultPlugins.map(({ name, retryOn }) => [name, retryOn])), backoffFirstMs: 1_000, backoffLongestMs: 10_000, unschedulableLongestMs: 300_000 });

test('higher priority comes first, then who waits longest', () => {
  const queue = newQueue();
  queue.put(pod('first'), 1);
  queue.put(pod('second'), 2);
  queue.put(pod('vip', { priority: 10 }), 3);
  assert.deepEqual([queue.pop(4), queue.pop(4), queue.pop(4), queue.pop(4)].map((one) => one?.metadata.name), ['vip', 'first', 'second', undefined]);
});

test('a rejected pod waits for an event that may help, and out its back-off', () => {
  const queue = newQueue();
  const one = pod('p');
  queue.put(one, 0);
  queue.pop(0);
  queue.putUnschedulable(one, new Set(['NodeResourcesFit']), 0);
  queue.notify('Node/UpdateLabel', 10);
  assert.equal(queue.pop(5_000), undefined, 'a label does not give a node more cpu');
  queue.notify('AssignedPod/Delete', 500);
  assert.equal(queue.pop(600), undefined, 'it is still backing off');
  assert.equal(queue.nextDueMs(600), 400);
  assert.equal(queue.pop(1_000), one);
});

test('the back-off doubles from 1 s up to 10 s', () => {
  const queue = newQueue();
  const one = pod('p');
  queue.put(one, 0);
  const waits: number[] = [];
  for (let nowMs = 0; waits.length < 6;) {
    assert.equal(queue.pop(nowMs), one);
    queue.putError(one, nowMs);
    const waitMs = queue.nextDueMs(nowMs) ?? 0;
    waits.push(waitMs);
    nowMs += waitMs;
  }
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
});

test('an event during the attempt is not missed', () => {
  const queue = newQueue();
  const one = pod('p');
  queue.put(one, 0);
  queue.pop(0);
  queue.notify('Node/Add', 1);
  queue.putUnschedulable(one, new Set(['NodeName']), 2);
  assert.equal(queue.pop(1_002), one);
});

test('without any event a rejected pod is tried again after five minutes', () => {
  const queue = newQueue();
  const one = pod('p');
  queue.put(one, 0);
  queue.pop(0);
  queue.putUnschedulable(one, new Set(['NodeName']), 0);
  assert.equal(queue.pop(299_000), undefined);
  assert.equal(queue.pop(300_000), one);
});

test('a gated pod is not tried before its gates are gone', () => {
  const queue = newQueue();
  const gated = pod('p', { schedulingGates: [{ name: 'wait' }] });
  queue.put(gated, 0);
  assert.equal(queue.pop(1), undefined);
  const open = { ...gated, spec: { ...gated.spec, schedulingGates: [] } };
  queue.put(open, 2);
  assert.equal(queue.pop(3), open);
});
