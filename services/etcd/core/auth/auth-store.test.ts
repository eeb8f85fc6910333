import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BucketRecord } from '../bucket-record.ts';
import { Store, type Write } from '../store.ts';
import { apply, deleteRange, newStore, put, read, txn } from '../testing.ts';
import { PermittedKeys } from './permitted-keys.ts';

const key = (text: string): Buffer => Buffer.from(text, 'latin1');
const range = (begin: string, end = ''): { key: Buffer; rangeEnd: Buffer } => ({ key: key(begin), rangeEnd: key(end) });

test('ranges that touch count as one; a range must be covered as a whole', () => {
  const keys = new PermittedKeys([range('c', 'e'), range('a', 'c'), range('p'), range('x', '\0')]);
  const covers = (begin: string, end?: string): boolean => keys.covers(key(begin), key(end ?? ''));
  assert.deepEqual([covers('a'), covers('b', 'd'), covers('a', 'e'), covers('d', 'f'), covers('e')], [true, true, true, false, false]);
  assert.deepEqual([covers('p'), covers('p', 'p\0'), covers('p', 'p\0\0'), covers('pp')], [true, true, false, false]);
  assert.deepEqual([covers('x'), covers('zzz', '\0'), covers('w', '\0'), covers('\0', '\0')], [true, true, false, false]);
  assert.equal(new PermittedKeys([range('\0', '\0')]).covers(key('\0'), key('\0')), true);
});

/** Root, and alice who may read a..b and write b. */
function storeWithUsers(): Store {
  const store = newStore();
  for (const name of ['root', 'alice']) apply(store, { type: 'authUserAdd', request: { name, password: '', options: undefined, hashedPassword: Buffer.from('hash').toString('base64') } });
  apply(store, { type: 'authRoleAdd', request: { name: 'r' } });
  apply(store, { type: 'authRoleGrantPermission', request: { name: 'r', perm: { permType: 'READ', ...range('a', 'b') } } });
  apply(store, { type: 'authRoleGrantPermission', request: { name: 'r', perm: { permType: 'READWRITE', ...range('b') } } });
  apply(store, { type: 'authUserGrantRole', request: { user: 'alice', role: 'r' } });
  apply(store, { type: 'authUserGrantRole', request: { user: 'root', role: 'root' } });
  return store;
}
const as = (store: Store, username: string): { username: string; authRevision: number } => ({ username, authRevision: store.auth.revision });

test('commands are refused before they change anything, also deep inside a transaction', () => {
  const store = storeWithUsers();
  apply(store, put({ key: 'a', value: '1' }));
  apply(store, { type: 'authEnable', request: {} });
  const by = as(store, 'alice');
  assert.throws(() => apply(store, put({ key: 'a', value: '2' })), /UserEmpty/);
  assert.throws(() => apply(store, { ...put({ key: 'a', value: '2' }), by }), /PermissionDenied/);
  assert.throws(() => apply(store, { ...put({ key: 'b', value: '2' }), by: { ...by, authRevision: by.authRevision - 1 } }), /AuthOldRevision/);
  assert.throws(() => apply(store, { ...deleteRange({ key: 'a', rangeEnd: 'c' }), by }), /PermissionDenied/);
  assert.throws(() => apply(store, { ...txn({ success: [{ requestPut: { key: 'b' } }, { requestTxn: { failure: [{ requestDeleteRange: { key: 'a' } }] } }] }), by }), /PermissionDenied/);
  assert.equal(store.revision, 2);
  apply(store, { ...txn({ compare: [{ key: 'a', target: 'VERSION', version: 1 }], success: [{ requestPut: { key: 'b', prevKv: true } }] }), by });
  assert.equal(store.revision, 3);
  assert.equal(read(store, { key: 'b' }).count, 1);
});

test('a lease can be tied to a key, or ended, by who may write all its keys', () => {
  const store = storeWithUsers();
  apply(store, { type: 'leaseGrant', request: { ID: 7n, TTL: 60 } });
  apply(store, put({ key: 'z', lease: 7n }));
  apply(store, { type: 'authEnable', request: {} });
  const by = as(store, 'alice');
  assert.throws(() => apply(store, { ...put({ key: 'b', lease: 7n }), by }), /PermissionDenied/);
  assert.throws(() => apply(store, { type: 'leaseRevoke', request: { ID: 7n }, by }), /PermissionDenied/);
  assert.throws(() => apply(store, { type: 'leaseRevoke', request: { ID: 7n } }), /UserEmpty/);
  apply(store, { type: 'leaseRevoke', request: { ID: 7n }, by: store.auth.root() });
});

test('every change of users and roles makes what was found out about requesters old', () => {
  const store = storeWithUsers();
  assert.equal(store.auth.revision, 8); // it starts at 1
  apply(store, { type: 'authEnable', request: {} });
  assert.equal(store.auth.revision, 8);
  const by = as(store, 'alice');
  apply(store, { type: 'authRoleAdd', request: { name: 'other' }, by: store.auth.root() });
  assert.throws(() => apply(store, { ...put({ key: 'b' }), by }), /AuthOldRevision/);
  apply(store, { type: 'authUserRevokeRole', request: { name: 'alice', role: 'r' }, by: store.auth.root() });
  assert.throws(() => apply(store, { ...put({ key: 'b' }), by: as(store, 'alice') }), /PermissionDenied/);
});

test('tokens end with their time, with their user\'s password, and when authentication is turned off', () => {
  const store = storeWithUsers();
  apply(store, { type: 'authEnable', request: {} });
  const login = (prefix: string, index: number): string => {
    const { result } = store.apply({ type: 'authenticate', request: { name: 'alice', simpleToken: prefix } }, index);
    return 'response' in result ? result.response.token : assert.fail(result.refused);
  };
  assert.equal(login('one', 5), 'one.5');
  const { tokens } = store.auth;
  assert.equal(tokens.use('one.5', 1_000, 100), 'alice');
  assert.equal(tokens.use('one.5', 1_090, 100), 'alice'); // it lasts from its last use
  assert.equal(tokens.use('one.5', 1_180, 100), 'alice');
  assert.equal(tokens.use('one.5', 1_300, 100), undefined);
  login('two', 6);
  apply(store, { type: 'authUserChangePassword', request: { name: 'alice', password: '', hashedPassword: 'aGFzaA==' }, by: store.auth.root() });
  assert.equal(tokens.use('two.6', 0, 100), undefined);
  login('three', 7);
  apply(store, { type: 'authDisable', request: {}, by: store.auth.root() });
  assert.equal(tokens.size, 0);
});

test('users, roles and alarms are there again after a restart', () => {
  const records = new Map<string, BucketRecord>();
  const disk = (writes: readonly Write[]): void => {
    for (const write of writes) {
      if (write.type === 'put-record') records.set(`${write.record.bucket}/${write.record.key.toString('hex')}`, write.record);
      else if (write.type === 'delete-record') records.delete(`${write.bucket}/${write.key.toString('hex')}`);
    }
  };
  const store = newStore();
  const run = (command: Parameters<Store['apply']>[0]): void => disk(store.apply(command).writes);
  run({ type: 'authUserAdd', request: { name: 'root', password: '', options: { noPassword: true }, hashedPassword: '' } });
  run({ type: 'authUserGrantRole', request: { user: 'root', role: 'root' } });
  run({ type: 'authRoleAdd', request: { name: 'gone' } });
  run({ type: 'authRoleDelete', request: { role: 'gone' } });
  run({ type: 'authEnable', request: {} });
  run({ type: 'alarm', request: { action: 'ACTIVATE', memberID: 2n ** 64n - 1n, alarm: 'NOSPACE' } });
  const again = new Store(() => assert.fail('no values'), { entries: [], leases: [], compactRevision: 0, revision: 1, records: [...records.values()] });
  assert.deepEqual([again.auth.isEnabled, again.auth.revision], [true, store.auth.revision]);
  assert.deepEqual(apply(again, { type: 'authRoleList', request: {}, by: as(again, 'root') }).roles, []);
  assert.throws(() => apply(again, { ...put({ key: 'a' }), by: as(again, 'root') }), /NoSpace/);
  apply(again, { type: 'alarm', request: { action: 'DEACTIVATE', memberID: 2n ** 64n - 1n, alarm: 'NOSPACE' } });
  apply(again, { ...put({ key: 'a' }), by: as(again, 'root') });
});
