import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { EVENT_WINDOW, WatchCache, WindowExceededError, type CacheEvent } from './watch-cache.ts';

const kinds = [anyKind(configMapKind), anyKind(podKind), anyKind(serviceKind)];
const bytes = (name: string, data = ''): Uint8Array => new TextEncoder().encode(JSON.stringify({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name, namespace: 'a' }, data: { data } }));
const put = (name: string, revision: number) => ({ key: `/registry/configmaps/a/${name}`, value: bytes(name, String(revision)), revision });
const gone = (name: string, revision: number) => ({ key: `/registry/configmaps/a/${name}`, revision });
const filled = (): WatchCache => {
  const cache = new WatchCache(kinds, (key, error) => assert.fail(`${key}: ${String(error)}`));
  cache.replace([{ key: '/registry/configmaps/a/one', value: bytes('one'), modRevision: 5 }], 10);
  return cache;
};
const told = (events: readonly CacheEvent[]): string[] => events.map(({ type, entry }) => `${type} ${entry.object.metadata.name} ${entry.object.metadata.resourceVersion ?? ''}`);

test('a put is ADDED or MODIFIED by what was there, a delete shows the last state with its own revision', () => {
  const cache = filled();
  const seen: CacheEvent[] = [];
  cache.of(anyKind(configMapKind)).addWatcher({ onEvent: (event) => seen.push(event), onReset: () => assert.fail('reset') });
  cache.apply([put('one', 11), put('two', 12), gone('one', 13), gone('never', 14)], 14);
  assert.deepEqual(told(seen), ['MODIFIED one 11', 'ADDED two 12', 'DELETED one 13']);
  assert.equal(cache.revision, 14);
  assert.deepEqual(cache.of(anyKind(configMapKind)).list().map(({ object }) => object.metadata.name), ['two']);
});

test('keys with a folder in their prefix find their kind, foreign keys are left out', () => {
  const cache = filled();
  const service = new TextEncoder().encode('{"kind":"Service","apiVersion":"v1","metadata":{"name":"s","namespace":"a"},"spec":{}}');
  cache.apply([{ key: '/registry/services/specs/a/s', value: service, revision: 11 }, { key: '/registry/masterleases/1.2.3.4', value: bytes('x'), revision: 12 }], 12);
  assert.equal(cache.of(anyKind(serviceKind)).size, 1);
});

test('events since a revision are replayed as long as the window reaches back', () => {
  const cache = filled();
  const resource = cache.of(anyKind(configMapKind));
  for (let revision = 11; revision <= 11 + EVENT_WINDOW * 2; revision += 1) cache.apply([put('one', revision)], revision);
  assert.equal(resource.eventsAfter(cache.revision - 3).length, 3);
  assert.equal(resource.eventsAfter(cache.revision).length, 0);
  assert.throws(() => resource.eventsAfter(12), WindowExceededError);
});

test('a few huge objects shrink the window', () => {
  const cache = filled();
  const resource = cache.of(anyKind(configMapKind));
  const huge = bytes('one', 'x'.repeat(1024 * 1024));
  for (let revision = 11; revision <= 40; revision += 1) cache.apply([{ key: '/registry/configmaps/a/one', value: huge, revision }], revision);
  assert.throws(() => resource.eventsAfter(12), WindowExceededError);
  assert.equal(resource.eventsAfter(38).length, 2);
});

test('before the first listing nothing can be replayed from earlier', () => {
  assert.throws(() => filled().of(anyKind(configMapKind)).eventsAfter(9), new WindowExceededError(9, 10));
});

test('a new listing ends the watches and tells subscribers what has changed', () => {
  const cache = filled();
  let resets = 0;
  const changes: CacheEvent[] = [];
  cache.of(anyKind(configMapKind)).addWatcher({ onEvent: () => assert.fail('event'), onReset: () => { resets += 1; } });
  cache.subscribe(anyKind(configMapKind), (event) => changes.push(event));
  cache.replace([{ key: '/registry/configmaps/a/two', value: bytes('two'), modRevision: 19 }], 20);
  assert.equal(resets, 1);
  assert.deepEqual(told(changes).sort(), ['ADDED two 19', 'DELETED one 20']);
});

test('whoever waits for a revision is woken by the event or the progress that reaches it', async () => {
  const cache = filled();
  const never = new AbortController().signal;
  const waiting = cache.waitFor(12, never);
  cache.apply([put('one', 11)], 11);
  cache.apply([], 12);
  await waiting;
  const aborted = AbortSignal.abort(new Error('given up'));
  await assert.rejects(cache.waitFor(99, aborted), /given up/);
});

test('the bytes of an event are made once for all watchers', () => {
  const cache = filled();
  const seen: CacheEvent[] = [];
  cache.of(anyKind(configMapKind)).addWatcher({ onEvent: (event) => seen.push(event), onReset: () => undefined });
  cache.apply([put('one', 11)], 11);
  const [event] = seen;
  const first = event?.bytes('json', () => 'x');
  assert.equal(event?.bytes('json', () => assert.fail('rendered twice')), first);
});
