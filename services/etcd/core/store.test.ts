import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkTxn } from './check-request.ts';
import { Store, type Write } from './store.ts';
import { apply, compactTo, deleteRange, EVERYTHING, newStore, pairs, put, range, read, restored, stored, txn, type StoredEntry } from './testing.ts';

test('an empty store is at revision 1, and each write takes the next one', () => {
  const store = newStore();
  assert.equal(store.revision, 1);
  assert.equal(apply(store, put({ key: 'a', value: '1' })).header?.revision, 2);
  assert.equal(apply(store, deleteRange({ key: 'missing' })).header?.revision, 2);
  assert.equal(apply(store, deleteRange({ key: 'a' })).header?.revision, 3);
});

test('a key counts its versions from its creation, and starts anew after its deletion', () => {
  const store = newStore();
  apply(store, put({ key: 'a', value: '1' }));
  apply(store, put({ key: 'a', value: '2' }));
  assert.deepEqual(read(store, { key: 'a' }).kvs, [{ key: Buffer.from('a'), createRevision: 2, modRevision: 3, version: 2, value: Buffer.from('2'), lease: 0n }]);
  apply(store, deleteRange({ key: 'a' }));
  apply(store, put({ key: 'a', value: '3' }));
  assert.deepEqual(read(store, { key: 'a' }).kvs.map(({ createRevision, version }) => [createRevision, version]), [[5, 1]]);
});

test('a read at an old revision sees the store as it was', () => {
  const store = newStore();
  apply(store, put({ key: 'a', value: '1' }));
  apply(store, put({ key: 'b', value: '1' }));
  apply(store, put({ key: 'a', value: '2' }));
  apply(store, deleteRange({ key: 'b' }));
  assert.deepEqual(pairs(read(store, { ...EVERYTHING, revision: 3 })), ['a=1', 'b=1']);
  assert.deepEqual(pairs(read(store, EVERYTHING)), ['a=2']);
  assert.throws(() => read(store, { ...EVERYTHING, revision: 6 }), /FutureRevision/);
});

test('a range ends before its end, or nowhere; a limit tells that there is more and how many there are', () => {
  const store = newStore();
  for (const key of ['a', 'a/b', 'a0', 'b', '\xff']) apply(store, put({ key: Buffer.from(key, 'latin1'), value: 'v' }));
  assert.deepEqual(pairs(read(store, { key: 'a', rangeEnd: 'b' })), ['a=v', 'a/b=v', 'a0=v']);
  assert.deepEqual(pairs(read(store, { key: 'a0', rangeEnd: '\0' })), ['a0=v', 'b=v', '\xff=v']);
  assert.deepEqual(pairs(read(store, { key: 'b', rangeEnd: 'a' })), []);
  const limited = read(store, { key: 'a', rangeEnd: '\0', limit: 2 });
  assert.deepEqual([pairs(limited), limited.more, limited.count], [['a=v', 'a/b=v'], true, 5]);
  const counted = read(store, { key: 'a', rangeEnd: '\0', countOnly: true });
  assert.deepEqual([counted.kvs, counted.more, counted.count], [[], false, 5]);
  assert.deepEqual(pairs(read(store, { key: 'a', rangeEnd: 'b', keysOnly: true })), ['a=', 'a/b=', 'a0=']);
});

test('a range is sorted by any target in either order, and filtered by revisions', () => {
  const store = newStore();
  apply(store, put({ key: 'a', value: 'z' }));
  apply(store, put({ key: 'b', value: 'y' }));
  apply(store, put({ key: 'c', value: 'x' }));
  apply(store, put({ key: 'a', value: 'z' }));
  const keys = (request: Parameters<typeof read>[1]): string => read(store, { ...EVERYTHING, ...request }).kvs.map(({ key }) => key.toString()).join('');
  assert.equal(keys({ sortOrder: 'DESCEND' }), 'cba');
  assert.equal(keys({ sortTarget: 'MOD', sortOrder: 'ASCEND' }), 'bca');
  assert.equal(keys({ sortTarget: 'MOD' }), 'bca');
  assert.equal(keys({ sortTarget: 'CREATE', sortOrder: 'DESCEND' }), 'cba');
  assert.equal(keys({ sortTarget: 'VERSION', sortOrder: 'DESCEND' }), 'abc');
  assert.equal(keys({ sortTarget: 'VALUE', sortOrder: 'ASCEND' }), 'cba');
  assert.equal(keys({ sortTarget: 'VALUE', sortOrder: 'ASCEND', limit: 1 }), 'c');
  assert.equal(keys({ minModRevision: 4 }), 'ac');
  assert.equal(keys({ maxCreateRevision: 3 }), 'ab');
});

test('a put keeps value or lease when asked, gives back the pair it replaces, and needs one to keep', () => {
  const store = newStore();
  apply(store, { type: 'leaseGrant', request: { ID: 7n, TTL: 60 } });
  assert.throws(() => apply(store, put({ key: 'a', ignoreValue: true })), /KeyNotFound/);
  assert.throws(() => apply(store, put({ key: 'a', value: '1', lease: 8n })), /LeaseNotFound/);
  apply(store, put({ key: 'a', value: '1', lease: 7n }));
  assert.equal(apply(store, put({ key: 'a', value: '2', ignoreLease: true, prevKv: true })).prevKv?.value.toString(), '1');
  assert.equal(read(store, { key: 'a' }).kvs[0]?.lease, 7n);
  apply(store, put({ key: 'a', ignoreValue: true }));
  assert.deepEqual(read(store, { key: 'a' }).kvs.map(({ value, lease }) => [value.toString(), lease]), [['2', 0n]]);
  assert.equal(store.leases.get(7n)?.keys.size, 0);
});

test('a transaction takes one revision, and its operations see one another', () => {
  const store = newStore();
  apply(store, put({ key: 'a', value: '1' }));
  const response = apply(store, txn({
    compare: [{ target: 'MOD', result: 'EQUAL', key: 'a', modRevision: 2 }],
    success: [{ requestPut: { key: 'b', value: '2' } }, { requestRange: EVERYTHING }, { requestDeleteRange: { key: 'a', prevKv: true } }, { requestRange: EVERYTHING }],
    failure: [{ requestRange: EVERYTHING }],
  }));
  assert.equal(response.succeeded, true);
  assert.equal(response.header?.revision, 3);
  assert.equal(store.revision, 3);
  assert.deepEqual(response.responses.flatMap(({ responseRange }) => (responseRange ? [pairs(responseRange)] : [])), [['a=1', 'b=2'], ['b=2']]);
  assert.deepEqual(response.responses[2]?.responseDeleteRange?.prevKvs.map(({ value }) => value.toString()), ['1']);
});

test('a transaction without writes does not advance the revision, and a refused one changes nothing', () => {
  const store = newStore();
  apply(store, put({ key: 'a', value: '1' }));
  const failing = txn({ compare: [{ target: 'VERSION', result: 'GREATER', key: 'a', version: 5 }], success: [{ requestPut: { key: 'b', value: '1' } }] });
  assert.deepEqual([apply(store, failing).succeeded, store.revision], [false, 2]);
  assert.throws(() => apply(store, txn({ success: [{ requestPut: { key: 'b', value: '1' } }, { requestPut: { key: 'c', value: '1', lease: 9n } }] })), /LeaseNotFound/);
  assert.throws(() => apply(store, txn({ success: [{ requestPut: { key: 'b', value: '1' } }, { requestRange: { key: 'b', revision: 9 } }] })), /FutureRevision/);
  assert.deepEqual([pairs(read(store, EVERYTHING)), store.revision], [['a=1'], 2]);
});

test('comparisons hold for every key of a range; a missing key is all zeroes and has no value', () => {
  const store = newStore();
  apply(store, put({ key: 'a', value: '1' }));
  apply(store, put({ key: 'b', value: '2' }));
  const holds = (compare: Parameters<typeof txn>[0]['compare']): boolean => apply(store, txn({ compare: compare ?? [] })).succeeded;
  assert.equal(holds([{ target: 'VERSION', result: 'EQUAL', key: 'a', rangeEnd: 'c', version: 1 }]), true);
  assert.equal(holds([{ target: 'MOD', result: 'LESS', key: 'a', rangeEnd: 'c', modRevision: 3 }]), false);
  assert.equal(holds([{ target: 'MOD', result: 'EQUAL', key: 'missing', modRevision: 0 }]), true);
  assert.equal(holds([{ target: 'VALUE', result: 'EQUAL', key: 'missing', value: '' }]), false);
  assert.equal(holds([{ target: 'VALUE', result: 'NOT_EQUAL', key: 'a', value: '2' }]), true);
  assert.equal(holds([{ target: 'CREATE', result: 'GREATER', key: 'b', createRevision: 2 }, { target: 'LEASE', result: 'EQUAL', key: 'b', lease: 0n }]), true);
});

test('nested transactions decide on the state before the first write', () => {
  const store = newStore();
  const isNew = [{ target: 'VERSION', result: 'EQUAL', key: 'a', version: 0 }] as const;
  const response = apply(store, txn({
    success: [{ requestPut: { key: 'a', value: 'outer' } }, { requestTxn: { compare: isNew, success: [{ requestPut: { key: 'b', value: 'inner' } }] } }],
  }));
  assert.equal(response.responses[1]?.responseTxn?.succeeded, true);
  assert.deepEqual(pairs(read(store, EVERYTHING)), ['a=outer', 'b=inner']);
  assert.equal(store.revision, 2);
});

test('a transaction that would put a key twice, or put and delete it, is refused; its alternatives may share keys', () => {
  const check = (request: Parameters<typeof txn>[0]) => (): void => checkTxn(txn(request).request, 128);
  const putA = { requestPut: { key: 'a', value: '1' } };
  assert.throws(check({ success: [putA, putA] }), /DuplicateKey/);
  assert.throws(check({ success: [putA, { requestDeleteRange: { key: '\0', rangeEnd: 'b' } }] }), /DuplicateKey/);
  assert.doesNotThrow(check({ success: [putA, { requestDeleteRange: { key: '\0', rangeEnd: '\0' } }] })); // as etcd
  assert.throws(check({ success: [{ requestTxn: { success: [putA] } }, putA] }), /DuplicateKey/);
  assert.doesNotThrow(check({ success: [{ requestTxn: { success: [putA], failure: [putA] } }], failure: [putA] }));
  assert.throws(check({ success: [{}] }), /KeyNotFound/);
  assert.throws(check({ success: [{ requestPut: { key: '' } }] }), /EmptyKey/);
  assert.throws(check({ success: Array.from({ length: 129 }, (_, at) => ({ requestPut: { key: `k${at}`, value: '' } })) }), /TooManyOps/);
});

test('a large compaction is done in steps, and a start goes on with it', () => {
  const read = (): never => assert.fail('every value is in memory');
  const entries = new Map<string, StoredEntry>();
  const save = (writes: readonly Write[]): void => writes.forEach((write) => {
    if (write.type === 'put-entry') entries.set(`${write.entry.key}@${write.entry.modRevision}`, stored(write.entry));
    if (write.type === 'delete-entry') entries.delete(`${write.entry.key}@${write.entry.modRevision}`);
  });
  const store = new Store(read, undefined, 2);
  for (let at = 0; at < 6; at += 1) for (const command of [put({ key: `k${at}`, value: '1' }), at === 0 ? put({ key: 'k0', value: '2' }) : deleteRange({ key: `k${at}` })]) save(store.apply(command).writes);
  const { writes } = store.apply(compactTo(13));
  save(writes);
  assert.deepEqual(writes.map(({ type }) => type), ['compacted', 'delete-entry']);
  assert.deepEqual(pairs(store.range(range(EVERYTHING), 13)), ['k0=2']);
  assert.equal(store.hasObsolete, true);
  const restarted = new Store(read, { ...restored(entries.values()), leases: [], compactRevision: 13, revision: 13 }, 2);
  while (restarted.hasObsolete) save(restarted.removeCompacted());
  assert.deepEqual([...entries.keys()], ['k0@3', 'k5@13']); // a deletion at the revision itself stays
  assert.deepEqual(pairs(restarted.range(range(EVERYTHING), 13)), ['k0=2']);
});

test('what a compaction has left is removed before the next one, however much it is', () => {
  const store = new Store(() => assert.fail('every value is in memory'), undefined, 0);
  const command = put({ key: 'k', value: '' });
  const many = 130_000; // more than a call takes arguments
  for (let at = 0; at < many; at += 1) store.apply(put({ key: `k${at}`, value: '' }));
  for (let at = 0; at < many; at += 1) store.apply(put({ key: `k${at}`, value: '' }));
  store.apply(compactTo(store.revision));
  store.apply(command);
  const { writes } = store.apply(compactTo(store.revision));
  assert.equal(writes.findIndex(({ type }) => type === 'compacted'), many);
});

test('a compaction keeps what is live, forgets older changes, and is told to the disk', () => {
  const store = newStore();
  apply(store, put({ key: 'a', value: '1' }));
  apply(store, put({ key: 'a', value: '2' }));
  apply(store, put({ key: 'b', value: '1' }));
  apply(store, deleteRange({ key: 'b' }));
  apply(store, put({ key: 'c', value: '1' }));
  const { writes } = store.apply(compactTo(6));
  assert.deepEqual(writes.map((write) => (write.type === 'delete-entry' ? `${write.entry.key}@${write.entry.modRevision}` : write.type)), ['compacted', 'a@2', 'b@4', 'b@5']);
  assert.deepEqual(pairs(read(store, EVERYTHING)), ['a=2', 'c=1']);
  assert.throws(() => read(store, { ...EVERYTHING, revision: 5 }), /Compacted/);
  assert.deepEqual(pairs(read(store, { ...EVERYTHING, revision: 6 })), ['a=2', 'c=1']);
  assert.throws(() => apply(store, compactTo(6)), /Compacted/);
  assert.throws(() => apply(store, compactTo(7)), /FutureRevision/);
  assert.deepEqual([store.keyCount, store.liveKeyCount], [2, 2]);
  apply(store, deleteRange({ key: 'c' }));
  assert.deepEqual([store.keyCount, store.liveKeyCount], [2, 1]);
  apply(store, put({ key: 'c', value: '2' }));
  apply(store, put({ key: 'c', value: '3' }));
  assert.deepEqual([store.keyCount, store.liveKeyCount], [2, 2]);
});

test('revoking a lease deletes its keys in one revision', () => {
  const store = newStore();
  assert.equal(apply(store, { type: 'leaseGrant', request: { ID: 7n, TTL: 1 } }).TTL, 2);
  assert.throws(() => apply(store, { type: 'leaseGrant', request: { ID: 7n, TTL: 60 } }), /LeaseExists/);
  assert.throws(() => apply(store, { type: 'leaseGrant', request: { ID: 8n, TTL: 9_000_000_001 } }), /LeaseTTLTooLarge/);
  for (const key of ['b', 'a', 'c']) apply(store, put({ key, value: '1', lease: 7n }));
  apply(store, put({ key: 'c', value: '2' })); // detached
  const { events } = store.apply({ type: 'leaseRevoke', request: { ID: 7n } });
  assert.deepEqual(events.map(({ key, deleted, modRevision, subRevision }) => [key, deleted, modRevision, subRevision]), [['a', true, 6, 0], ['b', true, 6, 1]]);
  assert.deepEqual(pairs(read(store, EVERYTHING)), ['c=2']);
  assert.throws(() => apply(store, { type: 'leaseRevoke', request: { ID: 7n } }), /LeaseNotFound/);
});

test('what a compaction removes stays in memory until it is on disk', () => {
  const store = newStore();
  const [{ writes: [written] }] = [store.apply(put({ key: 'a', value: '1'.repeat(100) })), store.apply(put({ key: 'a', value: '2'.repeat(100) }))];
  store.apply(compactTo(3));
  assert.ok(written?.type === 'put-entry');
  store.releaseValues(0, 1);
  assert.equal(stored(written.entry).value.length, 100);
  store.releaseValues(0, 2);
  assert.throws(() => stored(written.entry), /not in memory/);
  assert.deepEqual(pairs(read(store, { key: 'a' })), [`a=${'2'.repeat(100)}`]);
});

test('of a revision that puts a key and deletes it a compaction keeps the deletion only, for watches too', () => {
  const store = newStore();
  const disk = new Map<string, StoredEntry>();
  const save = ({ writes }: { readonly writes: readonly Write[] }): void => writes.forEach((write) => {
    if (write.type === 'put-entry') disk.set(`${write.entry.key}/${write.entry.subRevision}`, stored(write.entry));
    if (write.type === 'delete-entry') disk.delete(`${write.entry.key}/${write.entry.subRevision}`);
  });
  save(store.apply(txn({ success: [{ requestPut: { key: 'a', value: '1' } }, { requestPut: { key: 'b', value: '1' } }, { requestDeleteRange: { key: 'a' } }] })));
  const after = new Store(() => assert.fail('every value is in memory'), { ...restored(disk.values()), leases: [], compactRevision: 2, revision: 2 });
  save(store.apply(compactTo(2)));
  for (const each of [store, after]) {
    const seen: string[] = [];
    each.forEachChange(2, 2, ({ key, deleted }) => seen.push(`${key} ${deleted ? 'deleted' : 'put'}`));
    assert.deepEqual(seen, ['b put', 'a deleted']);
  }
  assert.deepEqual([...disk.keys()], ['b/1', 'a/2']);
});

test('values beyond the memory limit are read back from the disk', () => {
  const disk = new Map<number, Uint8Array>();
  const store: Store = new Store(({ modRevision }) => disk.get(modRevision) ?? assert.fail(`revision ${modRevision} is not on disk`));
  for (let at = 0; at < 20; at += 1) {
    const { events } = store.apply(put({ key: `k${at % 10}`, value: `value-${at}`.padEnd(100) }));
    for (const event of events) disk.set(event.modRevision, stored(event).value);
  }
  store.releaseValues(500, 15);
  assert.deepEqual(pairs(read(store, { key: 'k3' })).map((text) => text.trim()), ['k3=value-13']);
  assert.deepEqual(pairs(read(store, { key: 'k3', revision: 10 })).map((text) => text.trim()), ['k3=value-3']);
  const { kvs } = store.range(range({ ...EVERYTHING, sortTarget: 'VALUE', sortOrder: 'DESCEND', limit: 1 }), store.revision);
  assert.equal(kvs[0]?.key.toString(), 'k9');
});
