import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WatchResponse } from '#lib/etcd-api/messages.ts';
import { Store } from './store.ts';
import { apply, compactTo, deleteRange, EVERYTHING, newStore, put, txn, watchOf } from './testing.ts';
import { WatchStream } from './watch-stream.ts';

const take = (stream: WatchStream, revision: number): WatchResponse[] => [...stream.takeResponses(revision)];
const texts = (responses: readonly WatchResponse[]): string[] =>
  responses.flatMap(({ watchId, events }) => events.map(({ type, kv, prevKv }) => `${watchId}:${type} ${kv?.key.toString()}=${kv?.value.toString()}@${kv?.modRevision}${prevKv ? ` was ${prevKv.value.toString()}` : ''}`));

test('a watch gets what happens after it was made, and numbers count up from 0', () => {
  const store = newStore();
  apply(store, put({ key: 'a', value: '1' }));
  const stream = new WatchStream(store, 1024);
  assert.deepEqual([stream.create(watchOf({ key: 'a' }), 2).watchId, stream.create(watchOf({ key: 'a', rangeEnd: 'z' }), 2).watchId], [0, 1]);
  assert.deepEqual(take(stream, 2), []);
  apply(store, put({ key: 'a', value: '2' }));
  apply(store, put({ key: 'b', value: '1' }));
  apply(store, deleteRange({ key: 'b' }));
  assert.deepEqual(texts(take(stream, store.revision)), ['0:PUT a=2@3', '1:PUT a=2@3', '1:PUT b=1@4', '1:DELETE b=@5']);
  assert.deepEqual(take(stream, store.revision), []);
});

test('nothing beyond the given revision is told', () => {
  const store = newStore();
  const stream = new WatchStream(store, 1024);
  stream.create(watchOf(EVERYTHING), 1);
  apply(store, put({ key: 'a', value: '1' }));
  apply(store, put({ key: 'a', value: '2' }));
  assert.deepEqual(texts(take(stream, 2)), ['0:PUT a=1@2']);
  assert.deepEqual(texts(take(stream, 3)), ['0:PUT a=2@3']);
});

test('a watch from an old revision reads the history, with previous values when asked, and filters', () => {
  const store = newStore();
  apply(store, put({ key: 'a', value: '1' }));
  apply(store, put({ key: 'a', value: '2' }));
  apply(store, deleteRange({ key: 'a' }));
  const stream = new WatchStream(store, 1024);
  stream.create(watchOf({ key: 'a', startRevision: 2, prevKv: true }), 4);
  stream.create(watchOf({ key: 'a', startRevision: 3, filters: ['NOPUT'] }), 4);
  stream.create(watchOf({ key: 'a', startRevision: 3, filters: ['NODELETE'] }), 4);
  assert.deepEqual(texts(take(stream, 4)), ['0:PUT a=1@2', '0:PUT a=2@3 was 1', '0:DELETE a=@4 was 2', '1:DELETE a=@4', '2:PUT a=2@3']);
});

test('a watch that starts in the future waits for its revision', () => {
  const store = newStore();
  const stream = new WatchStream(store, 1024);
  stream.create(watchOf({ key: 'a', startRevision: 3 }), 1);
  apply(store, put({ key: 'a', value: '1' }));
  assert.deepEqual(take(stream, 2), []);
  assert.equal(stream.progress(2), undefined);
  apply(store, put({ key: 'a', value: '2' }));
  assert.deepEqual(texts(take(stream, 3)), ['0:PUT a=2@3']);
  assert.equal(stream.progress(3)?.watchId, -1);
});

test('a watch below the compaction is cancelled with its revision; one that starts at it is not', () => {
  const store = newStore();
  for (const value of ['1', '2', '3']) apply(store, put({ key: 'a', value }));
  apply(store, deleteRange({ key: 'a' }));
  apply(store, compactTo(5));
  const stream = new WatchStream(store, 1024);
  stream.create(watchOf({ key: 'a', startRevision: 4 }), 5);
  stream.create(watchOf({ key: 'a', startRevision: 5 }), 5);
  const [cancelled, ...others] = take(stream, 5);
  assert.deepEqual([cancelled?.watchId, cancelled?.canceled, cancelled?.compactRevision], [0, true, 5]);
  assert.deepEqual(texts(others), ['1:DELETE a=@5']);
});

test('a watch that a compaction cancelled keeps its number and holds up progress until its client cancels it', () => {
  const store = newStore();
  for (const value of ['1', '2', '3']) apply(store, put({ key: 'a', value }));
  apply(store, compactTo(4));
  const stream = new WatchStream(store, 1024);
  stream.create(watchOf({ key: 'a' }), 4);
  stream.create(watchOf({ key: 'a', startRevision: 2, watchId: 7, progressNotify: true }), 4);
  assert.deepEqual(take(stream, 4).map(({ watchId, canceled }) => ({ watchId, canceled })), [{ watchId: 7, canceled: true }]);
  assert.deepEqual(take(stream, 4), []);
  assert.equal(stream.progress(4), undefined);
  assert.deepEqual([...stream.takeNotifications(4)], []);
  assert.match(stream.create(watchOf({ key: 'a', watchId: 7 }), 4).cancelReason, /duplicate watch ID/);
  assert.deepEqual(stream.cancel(7, 4)?.canceled, true);
  assert.equal(stream.progress(4)?.watchId, -1);
  assert.equal(stream.size, 1);
});

test('a response holds whole revisions, and ends after about a thousand events', () => {
  const store = newStore();
  for (let at = 0; at < 30; at += 1) {
    apply(store, txn({ success: Array.from({ length: 70 }, (_, key) => ({ requestPut: { key: `k${key}`, value: String(at) } })) }));
  }
  const stream = new WatchStream(store, 1024);
  stream.create(watchOf({ ...EVERYTHING, startRevision: 2 }), store.revision);
  const responses = take(stream, store.revision);
  assert.deepEqual(responses.map(({ events }) => events.length), [1050, 1050]);
  assert.deepEqual(responses.map(({ header }) => header?.revision), [16, 31]);
});

test('a watch that asks for fragments gets a large revision in parts', () => {
  const store = newStore();
  apply(store, txn({ success: ['a', 'b', 'c'].map((key) => ({ requestPut: { key, value: 'x'.repeat(500) } })) }));
  const stream = new WatchStream(store, 1300);
  stream.create(watchOf({ ...EVERYTHING, startRevision: 2, fragment: true }), 2);
  assert.deepEqual(take(stream, 2).map(({ events, fragment }) => [events.length, fragment]), [[2, true], [1, false]]);
  // What was there before counts as well.
  apply(store, txn({ success: ['a', 'b', 'c'].map((key) => ({ requestPut: { key, value: 'y' } })) }));
  stream.create(watchOf({ ...EVERYTHING, startRevision: 3, fragment: true, prevKv: true, watchId: 5 }), 3);
  assert.deepEqual(take(stream, 3).filter(({ watchId }) => watchId === 5).map(({ events, fragment }) => [events.length, fragment]), [[2, true], [1, false]]);
});

test('an answer in parts is whole though a compaction comes between them', () => {
  const disk = new Map<number, Uint8Array>();
  const store: Store = new Store(({ modRevision }) => disk.get(modRevision) ?? assert.fail(`revision ${modRevision} was compacted`));
  const stream = new WatchStream(store, 300);
  apply(store, txn({ success: ['a', 'b', 'c'].map((key) => ({ requestPut: { key, value: 'x' } })) }));
  stream.create(watchOf({ ...EVERYTHING, startRevision: 2, fragment: true }), 2);
  const parts = stream.takeResponses(2);
  const told = [parts.next().value];
  for (const key of ['a', 'b', 'c']) apply(store, put({ key, value: 'y' }));
  apply(store, compactTo(store.revision));
  store.releaseValues(0, store.revision);
  told.push(...parts);
  assert.deepEqual(told.flatMap((part) => part?.events ?? []).map(({ kv }) => `${kv?.key.toString()}=${kv?.value.toString()}`), ['a=x', 'b=x', 'c=x']);
});

test('a watch number in use, an empty range and a negative revision are refused', () => {
  const stream = new WatchStream(newStore(), 1024);
  assert.equal(stream.create(watchOf({ key: 'a', watchId: 5 }), 1).watchId, 5);
  const reasons = [{ key: 'a', watchId: 5 }, { key: 'b', rangeEnd: 'a' }, { key: 'a', startRevision: -1 }].map((request) => stream.create(watchOf(request), 1));
  assert.deepEqual(reasons.map(({ watchId, created, canceled, cancelReason }) => [watchId, created, canceled, cancelReason]), [
    [-1, true, true, 'mvcc: duplicate watch ID provided on the WatchStream'],
    [-1, true, true, 'mvcc: watcher range is empty'],
    [-1, true, true, 'etcdserver: mvcc: required revision has been compacted'],
  ]);
});

test('a cancelled watch gets nothing more, and can be cancelled once', () => {
  const store = newStore();
  const stream = new WatchStream(store, 1024);
  stream.create(watchOf({ key: 'a' }), 1);
  assert.equal(stream.cancel(0, 1)?.canceled, true);
  assert.equal(stream.cancel(0, 1), undefined);
  apply(store, put({ key: 'a', value: '1' }));
  assert.deepEqual(take(stream, 2), []);
});

test('progress is told when nothing is outstanding; a notification is left out after events', () => {
  const store = newStore();
  const stream = new WatchStream(store, 1024);
  stream.create(watchOf({ key: 'a', progressNotify: true }), 1);
  apply(store, put({ key: 'a', value: '1' }));
  assert.equal(stream.progress(2), undefined);
  take(stream, 2);
  assert.deepEqual([...stream.takeNotifications(2)], []);
  assert.deepEqual([...stream.takeNotifications(2)].map(({ watchId, header }) => [watchId, header?.revision]), [[0, 2]]);
  assert.equal(stream.progress(2)?.header?.revision, 2);
});
