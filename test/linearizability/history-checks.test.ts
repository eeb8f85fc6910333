// The checks of watches, leases, locks and reads, each on a history as it has to be and on ones with an error.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLeases, checkLocks } from './check-leases.ts';
import { checkAcknowledged, checkLocalReads } from './check-reads.ts';
import { checkWatch, referenceFrom } from './check-watches.ts';
import type { LeaseRecord, LocalRead, Reference, StoreEvent, WatchMessage, WatchRecord } from './history.ts';
import type { KeyState, Operation } from './kv-model.ts';
import { resolveUnknown } from './resolve-unknown.ts';

const kv = (value: string, modRevision: number, version = 1, createRevision = modRevision): KeyState => ({ value, version, createRevision, modRevision });
const put = (key: string, state: KeyState, prevKv?: KeyState): StoreEvent => ({ type: 'PUT', key, revision: state.modRevision, kv: state, ...(prevKv === undefined ? {} : { prevKv }) });
const deletion = (key: string, revision: number, prevKv?: KeyState): StoreEvent => ({ type: 'DELETE', key, revision, ...(prevKv === undefined ? {} : { prevKv }) });

const events = [put('/a', kv('1', 2)), put('/b', kv('2', 3)), put('/a', kv('3', 4, 2, 2), kv('1', 2)), put('/b', kv('4', 4, 2, 3), kv('2', 3)), deletion('/a', 5, kv('3', 4, 2, 2))];
const [a2, b3, a4, b4, a5] = events as [StoreEvent, StoreEvent, StoreEvent, StoreEvent, StoreEvent];
const reference: Reference = { firstRevision: 1, lastRevision: 5, events };

const created = (headerRevision: number): WatchMessage => ({ ms: 0, kind: 'created', headerRevision, fragment: false, events: [] });
const told = (...all: StoreEvent[]): WatchMessage => ({ ms: 0, kind: 'events', headerRevision: all.at(-1)?.revision ?? 0, fragment: false, events: all });
const progress = (headerRevision: number): WatchMessage => ({ ms: 0, kind: 'progress', headerRevision, fragment: false, events: [] });
const watchOf = (startRevision: number, ...messages: WatchMessage[]): WatchRecord => ({ name: 'w', prefix: '/', withPrevKv: true, noDeletes: false, streams: [{ member: 0, startRevision, messages }] });
const problemsOf = (startRevision: number, ...messages: WatchMessage[]): string => checkWatch(watchOf(startRevision, ...messages), reference).join('\n');

test('a watch that was told everything in order, with progress between, is in order', () => {
  assert.equal(problemsOf(1, created(1), told(a2), progress(2), told(b3), told(a4, b4), told(a5), progress(5)), '');
  assert.equal(problemsOf(1, created(5), told(...events)), '');
  assert.equal(problemsOf(0, created(3), told(a4, b4), told(a5)), '', 'from now on');
  assert.equal(problemsOf(4, created(5), told(a4, b4, a5)), '');
});

test('an event that a watch was not told, was told twice, late or in part is found', () => {
  assert.match(problemsOf(1, created(1), told(a2), told(a4, b4), told(a5)), /told PUT \/a=3 at 4, where PUT \/b=2 at 3 was to come/);
  assert.match(problemsOf(1, created(1), told(a2), told(a2), told(b3)), /revision 2 came after 2/);
  assert.match(problemsOf(1, created(1), told(b3), told(a2)), /where PUT \/a=1 at 2 was to come/);
  assert.match(problemsOf(1, created(1), told(a2), told(b3), told(a4), told(b4)), /revision 4 was told in part/);
  assert.match(problemsOf(1, created(1), told(a2), told(b3), told(a4, b4)), /was never told of DELETE \/a at 5/);
});

test('progress that comes too early, and a wrong previous value are found', () => {
  assert.match(problemsOf(1, created(1), told(a2), progress(3), told(b3), told(a4, b4), told(a5)), /progress up to 3 was told before PUT \/b=2 at 3/);
  assert.match(problemsOf(1, created(1), told(a2), told(b3), told({ ...a4, prevKv: kv('9', 2) }, b4), told(a5)), /with .*"9".* as the value before/);
});

test('a watch that resumes has to go on where it was', () => {
  const resumed = (from: number, ...messages: WatchMessage[]): WatchRecord => ({ ...watchOf(1, created(1), told(a2)), streams: [...watchOf(1, created(1), told(a2)).streams, { member: 1, startRevision: from, messages }] });
  assert.deepEqual(checkWatch(resumed(3, created(4), told(b3, a4, b4), told(a5)), reference), []);
  assert.match(checkWatch(resumed(3, created(4), told(a4, b4), told(a5)), reference).join(), /where PUT \/b=2 at 3 was to come/);
});

test('members that tell different histories, and versions that do not count up are found', () => {
  const others = (...messages: WatchMessage[]): string => referenceFrom([watchOf(1, created(1), told(...events)), watchOf(1, created(1), ...messages)], 1, 5).problems.join();
  assert.equal(others(told(...events)), '');
  assert.match(others(told(a2, put('/b', kv('x', 3)), a4, b4, a5)), /members disagree/);
  assert.match(others(told(a2, b3, a4, b4)), /members disagree: .* nothing where another was told DELETE \/a at 5/);
  assert.match(referenceFrom([watchOf(1, created(1), told(a2, put('/a', kv('3', 4, 3, 2))))], 1, 5).problems.join(), /does not follow/);
});

const read = (revision: number, kvs: KeyState | undefined, ticks: [number, number], incarnation = 1): LocalRead => ({ client: 0, member: 0, incarnation, callTick: ticks[0], returnTick: ticks[1], keys: ['/a'], revision, kvs: [kvs] });
const write = (value: string, revision: number, call: number): Operation => ({ client: 1, member: 0, call, return: call + 1, request: { conditions: [], success: [{ type: 'put', key: '/a', value }], failure: [] }, outcome: { revision, succeeded: true, before: [undefined] } });
const operations = [write('1', 2, 1), write('3', 4, 20)];

test('a read from any member may be old, but not torn, from the future, or older than the one before', () => {
  const check = (...reads: LocalRead[]): string => checkLocalReads(reads, operations, reference).join();
  assert.equal(check(read(2, kv('1', 2), [30, 31])), '');
  assert.match(check(read(4, kv('1', 2), [30, 31])), /but was read as .*"1"/);
  assert.match(check(read(4, kv('3', 4, 2, 2), [10, 11])), /that was written later/);
  assert.match(check(read(4, kv('3', 4, 2, 2), [30, 31]), read(3, kv('1', 2), [32, 33])), /it had seen 4 before/);
  assert.equal(check(read(4, kv('3', 4, 2, 2), [30, 31]), read(3, kv('1', 2), [32, 33], 2)), '', 'the member was started again');
  assert.equal(check({ ...read(5, kv('1', 2), [30, 31]), atRevision: 3 }), '');
});

test('an acknowledged write that the history does not have is found', () => {
  assert.deepEqual(checkAcknowledged(operations, reference), []);
  assert.match(checkAcknowledged([write('9', 3, 1)], reference).join(), /lost: .*\/a became 9 at revision 3/);
});

test('writes without an answer are found by their values, deletions may stay open', () => {
  const unknown = (change: Operation['request']['success'][number]): Operation => ({ client: 1, member: 0, call: 1, return: Infinity, isOptional: true, request: { conditions: [], success: [change], failure: [] } });
  const resolve = (change: Operation['request']['success'][number]): unknown => resolveUnknown([unknown(change)], events).map(({ isOptional, revisions }) => [isOptional, revisions]);
  assert.deepEqual(resolve({ type: 'put', key: '/b', value: '2' }), [[false, [3]]]);
  assert.deepEqual(resolve({ type: 'put', key: '/b', value: 'never' }), []);
  assert.deepEqual(resolve({ type: 'delete', key: '/a' }), [[true, [5]]]);
  assert.deepEqual(resolve({ type: 'delete', key: '/b' }), []);
  const both = { ...unknown({ type: 'put', key: '/c', value: 'c' }) };
  const withDeletion = { ...both, request: { ...both.request, success: [...both.request.success, { type: 'delete' as const, key: '/a' }] } };
  assert.deepEqual(resolveUnknown([withDeletion, unknown({ type: 'delete', key: '/a' })], [...events.slice(0, 4), put('/c', kv('c', 5)), a5]).map(({ revisions }) => revisions), [[5]], 'it was the transaction that deleted');
});

test('a key that goes before its lease ends, or long after it, is found', () => {
  const leased: Reference = { firstRevision: 1, lastRevision: 9, events: [put('/l', kv('x', 8)), deletion('/l', 9, kv('x', 8))] };
  const check = (goneMs: number, renewals: LeaseRecord['renewals'], faults: Parameters<typeof checkLeases>[2] = [], rest: Partial<LeaseRecord> = {}): string => {
    const watch = watchOf(1, { ...told(deletion('/l', 9)), ms: goneMs });
    return checkLeases([{ id: 'l', key: '/l', ttlMs: 2_000, renewals, attachedRevision: 8, ...rest }], [watch], faults, leased, 60_000).join();
  };
  const grant = { callMs: 0, returnMs: 10, acknowledged: true };
  const renewal = { callMs: 1_000, returnMs: 1_010, acknowledged: true };
  assert.equal(check(2_500, [grant]), '');
  assert.match(check(1_900, [grant]), /gone at 1900 ms, though it was renewed to live until 2000 ms/);
  assert.match(check(2_500, [grant, renewal]), /live until 3000 ms/);
  assert.equal(check(2_500, [grant, { ...renewal, acknowledged: false }]), '', 'nobody said that this one counted');
  assert.equal(check(500, [grant], [], { revokeCallMs: 400 }), '');
  assert.match(check(9_000, [grant]), /was there until 9000 ms/);
  assert.equal(check(9_000, [grant], [{ what: 'kill', startMs: 1_000, endMs: 4_000 }]), '', 'a new leader gives it its whole time again');
});

test('two holders of a lock at a time, and a write by an earlier holder after a later one are found', () => {
  const hold = (holder: string, fence: number, fromMs: number, untilMs: number): Parameters<typeof checkLocks>[0][number] => ({ holder, fence, fromMs, untilMs });
  const writes = (...fences: number[]): Reference => ({ firstRevision: 1, lastRevision: 99, events: fences.map((fence, at) => put('/locked', kv(String(fence), 10 + at))) });
  assert.deepEqual(checkLocks([hold('x', 3, 0, 10), hold('y', 5, 10, 20)], writes(3, 3, 5), '/locked'), []);
  assert.match(checkLocks([hold('x', 3, 0, 10), hold('y', 5, 9, 20)], writes(), '/locked').join(), /two holders/);
  assert.match(checkLocks([], writes(3, 5, 3), '/locked').join(), /fence 3 wrote at revision 12, after that with fence 5/);
});
