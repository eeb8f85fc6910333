// etcd's errors, by code and text, as clients match on them: every one that a cluster of one member can be brought to give.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { authService, clusterService, healthService, kvService, leaseService, maintenanceService, type EtcdMethod } from '#lib/etcd-api/services.ts';
import { spawnEtcd, temporaryFolder, until, type EtcdProcess } from './testing.ts';

const folder = temporaryFolder();
let etcd: EtcdProcess;
let client: Client;
before(async () => {
  etcd = await spawnEtcd([`--data-dir=${folder.path}/data`, '--max-txn-ops=3', '--max-request-bytes=4096', '--quota-backend-bytes=20000', '--bcrypt-cost=4']);
  client = new Client(new URL(etcd.urls[0]).host, credentials.createInsecure());
});
after(async () => {
  client.close();
  await etcd.end('SIGTERM');
  folder.remove();
});

type Method<Q, R> = EtcdMethod<unknown, Q, R, never>;
function call<Q, R>({ path, requestSerialize, responseDeserialize }: Method<Q, R>, request: Q, token?: string): Promise<R> {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('token', token);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, { deadline: Date.now() + 10_000 },
      (error: ServiceError | null, response?: R) => (error === null ? resolve(response as R) : reject(error)));
  });
}
async function refusal<Q, R>(method: Method<Q, R>, request: Q, token?: string): Promise<string> {
  return call(method, request, token).then(
    (response) => assert.fail(`${method.path} answered ${JSON.stringify(response, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}`),
    ({ code, details }: ServiceError) => `${status[code]} ${details}`);
}

const putA = { requestPut: { key: 'a', value: '1' } };

test('keys, transactions and revisions', async () => {
  await call(kvService.Put, { key: 'a', value: '1' });
  await call(kvService.Put, { key: 'a', value: '2' });
  await call(kvService.Compact, { revision: 3 });
  const table: [string, string][] = [
    [await refusal(kvService.Range, {}), 'INVALID_ARGUMENT etcdserver: key is not provided'],
    [await refusal(kvService.Put, { value: 'x' }), 'INVALID_ARGUMENT etcdserver: key is not provided'],
    [await refusal(kvService.DeleteRange, {}), 'INVALID_ARGUMENT etcdserver: key is not provided'],
    [await refusal(kvService.Txn, { compare: [{}] }), 'INVALID_ARGUMENT etcdserver: key is not provided'],
    [await refusal(kvService.Txn, { success: [{}] }), 'INVALID_ARGUMENT etcdserver: key not found'],
    [await refusal(kvService.Put, { key: 'missing', ignoreValue: true }), 'INVALID_ARGUMENT etcdserver: key not found'],
    [await refusal(kvService.Put, { key: 'a', value: 'x', ignoreValue: true }), 'INVALID_ARGUMENT etcdserver: value is provided'],
    [await refusal(kvService.Put, { key: 'a', lease: 1n, ignoreLease: true }), 'INVALID_ARGUMENT etcdserver: lease is provided'],
    [await refusal(kvService.Txn, { success: ['a', 'b', 'c', 'd'].map((key) => ({ requestPut: { key } })) }), 'INVALID_ARGUMENT etcdserver: too many operations in txn request'],
    [await refusal(kvService.Txn, { success: [putA, putA] }), 'INVALID_ARGUMENT etcdserver: duplicate key given in txn request'],
    [await refusal(kvService.Range, { key: 'a', sortOrder: 'UNRECOGNIZED' }), 'INVALID_ARGUMENT etcdserver: invalid sort option'],
    [await refusal(kvService.Range, { key: 'a', revision: 2 }), 'OUT_OF_RANGE etcdserver: mvcc: required revision has been compacted'],
    [await refusal(kvService.Compact, { revision: 3 }), 'OUT_OF_RANGE etcdserver: mvcc: required revision has been compacted'],
    [await refusal(kvService.Range, { key: 'a', revision: 99 }), 'OUT_OF_RANGE etcdserver: mvcc: required revision is a future revision'],
    [await refusal(kvService.Compact, { revision: 99 }), 'OUT_OF_RANGE etcdserver: mvcc: required revision is a future revision'],
    [await refusal(maintenanceService.HashKV, { revision: 2 }), 'OUT_OF_RANGE etcdserver: mvcc: required revision has been compacted'],
    [await refusal(kvService.Put, { key: 'a', value: Buffer.alloc(5000) }), 'INVALID_ARGUMENT etcdserver: request is too large'],
  ];
  for (const [actual, expected] of table) assert.equal(actual, expected);
});

test('leases', async () => {
  await call(leaseService.LeaseGrant, { ID: 7n, TTL: 100 });
  const table: [string, string][] = [
    [await refusal(leaseService.LeaseGrant, { ID: 7n, TTL: 100 }), 'FAILED_PRECONDITION etcdserver: lease already exists'],
    [await refusal(leaseService.LeaseGrant, { ID: 8n, TTL: 9_000_000_001 }), 'OUT_OF_RANGE etcdserver: too large lease TTL'],
    [await refusal(leaseService.LeaseRevoke, { ID: 8n }), 'NOT_FOUND etcdserver: requested lease not found'],
    [await refusal(kvService.Put, { key: 'a', lease: 8n }), 'NOT_FOUND etcdserver: requested lease not found'],
  ];
  for (const [actual, expected] of table) assert.equal(actual, expected);
});

test('members', async () => {
  const { members: [self] } = await call(clusterService.MemberList, {});
  const table: [string, string][] = [
    [await refusal(clusterService.MemberAdd, { peerURLs: self?.peerURLs ?? [] }), 'FAILED_PRECONDITION etcdserver: Peer URLs already exists'],
    [await refusal(clusterService.MemberAdd, { peerURLs: ['nonsense'] }), 'INVALID_ARGUMENT etcdserver: given member URLs are invalid'],
    [await refusal(clusterService.MemberRemove, { ID: 5n }), 'NOT_FOUND etcdserver: member not found'],
    [await refusal(clusterService.MemberPromote, { ID: self?.ID ?? 0n }), 'FAILED_PRECONDITION etcdserver: can only promote a learner member'],
    [await refusal(maintenanceService.MoveLeader, { targetID: 5n }), 'FAILED_PRECONDITION etcdserver: bad leader transferee'],
  ];
  for (const [actual, expected] of table) assert.equal(actual, expected);
});

test('alarms refuse writes until they are lifted, and outlive a restart', async () => {
  for (let at = 0; at < 6; at += 1) await call(kvService.Put, { key: `fill${at}`, value: Buffer.alloc(3000) }).catch(() => undefined);
  assert.equal(await refusal(kvService.Put, { key: 'more', value: Buffer.alloc(3000) }), 'RESOURCE_EXHAUSTED etcdserver: mvcc: database space exceeded');
  assert.equal(await refusal(kvService.Put, { key: 's', value: '1' }), 'RESOURCE_EXHAUSTED etcdserver: mvcc: database space exceeded');
  await call(kvService.DeleteRange, { key: 'fill', rangeEnd: 'fim' }); // room is made in spite of it
  const { header } = await call(kvService.Txn, { success: [{ requestDeleteRange: { key: 'nothing' } }] });
  await call(kvService.Compact, { revision: header?.revision ?? 0 });
  assert.equal(await refusal(leaseService.LeaseGrant, { TTL: 10 }), 'RESOURCE_EXHAUSTED etcdserver: mvcc: database space exceeded');

  await etcd.end('SIGKILL');
  client.close();
  etcd = await spawnEtcd([`--data-dir=${folder.path}/data`, '--max-request-bytes=4096', '--quota-backend-bytes=20000', '--bcrypt-cost=4']);
  client = new Client(new URL(etcd.urls[0]).host, credentials.createInsecure());
  assert.equal(await refusal(kvService.Put, { key: 's', value: '1' }), 'RESOURCE_EXHAUSTED etcdserver: mvcc: database space exceeded');
  const { errors, leader } = await call(maintenanceService.Status, {});
  assert.deepEqual(errors, [`memberID:${leader} alarm:NOSPACE `]);
  assert.equal(await (await fetch(new URL('/health', etcd.urls[0]))).text(), '{"health":"false","reason":"ALARM NOSPACE"}');
  const { alarms } = await call(maintenanceService.Alarm, { action: 'GET' });
  assert.deepEqual(alarms, [{ memberID: leader, alarm: 'NOSPACE' }]);
  await call(maintenanceService.Alarm, { action: 'DEACTIVATE', memberID: leader, alarm: 'NOSPACE' });
  await call(kvService.Put, { key: 's', value: '1' });

  await call(maintenanceService.Alarm, { action: 'ACTIVATE', memberID: leader, alarm: 'CORRUPT' });
  assert.equal(await refusal(kvService.Put, { key: 's', value: '1' }), 'DATA_LOSS etcdserver: corrupt cluster');
  assert.equal(await refusal(kvService.Compact, { revision: 2 }), 'DATA_LOSS etcdserver: corrupt cluster');
  await call(maintenanceService.Alarm, { action: 'DEACTIVATE', memberID: leader, alarm: 'CORRUPT' });
});

test('a downgrade takes the cluster version down, and cancelling it up again', async () => {
  const early: [string, string][] = [
    [await refusal(maintenanceService.Downgrade, { action: 'VALIDATE', version: 'three' }), 'INVALID_ARGUMENT etcdserver: wrong downgrade target version format'],
    [await refusal(maintenanceService.Downgrade, { action: 'ENABLE', version: '3' }), 'INVALID_ARGUMENT etcdserver: wrong downgrade target version format'],
    [await refusal(maintenanceService.Downgrade, { action: 'VALIDATE', version: '3.4.0' }), 'INVALID_ARGUMENT etcdserver: invalid downgrade target version'],
    [await refusal(maintenanceService.Downgrade, { action: 'ENABLE', version: '3.6' }), 'INVALID_ARGUMENT etcdserver: invalid downgrade target version'],
  ];
  for (const [actual, expected] of early) assert.equal(actual, expected);
  assert.equal((await call(maintenanceService.Downgrade, { action: 'VALIDATE', version: '3.5' })).version, '3.6');
  assert.equal((await call(maintenanceService.Downgrade, { action: 'CANCEL' })).version, '3.6'); // nothing to cancel is no error
  const status = async (): Promise<[string, unknown]> => {
    const { storageVersion, downgradeInfo } = await call(maintenanceService.Status, {});
    return [storageVersion, downgradeInfo];
  };
  assert.deepEqual(await status(), ['3.6.0', { enabled: false, targetVersion: '' }]);

  assert.equal((await call(maintenanceService.Downgrade, { action: 'ENABLE', version: '3.5.1' })).version, '3.6');
  await until('the leader has set the version', async () => (await status())[0] === '3.5.0');
  assert.deepEqual(await status(), ['3.5.0', { enabled: true, targetVersion: '3.5.0' }]);
  assert.equal(await refusal(maintenanceService.Downgrade, { action: 'VALIDATE', version: '3.4' }), 'FAILED_PRECONDITION etcdserver: cluster has a downgrade job in progress');
  assert.equal(await (await fetch(new URL('/version', etcd.urls[0]))).text(), '{"etcdserver":"3.6.8","etcdcluster":"3.5.0","storage":"3.5.0"}');
  const metrics = await (await fetch(new URL('/metrics', etcd.urls[1]))).text();
  assert.match(metrics, /etcd_cluster_version\{cluster_version="3\.5"\} 1/);

  await etcd.end('SIGKILL');
  client.close();
  etcd = await spawnEtcd([`--data-dir=${folder.path}/data`, '--bcrypt-cost=4']);
  client = new Client(new URL(etcd.urls[0]).host, credentials.createInsecure());
  assert.deepEqual(await status(), ['3.5.0', { enabled: true, targetVersion: '3.5.0' }]);
  assert.equal((await call(maintenanceService.Downgrade, { action: 'CANCEL' })).version, '3.5');
  await until('the leader has set the version', async () => (await status())[0] === '3.6.0');
  assert.deepEqual(await status(), ['3.6.0', { enabled: false, targetVersion: '' }]);
});

test('users and roles', async () => {
  const early: [string, string][] = [
    [await refusal(authService.AuthEnable, {}), 'FAILED_PRECONDITION etcdserver: root user does not exist'],
    [await refusal(authService.Authenticate, { name: 'root', password: 'x' }), 'FAILED_PRECONDITION etcdserver: authentication is not enabled'],
    [await refusal(authService.UserAdd, { name: '', password: 'x' }), 'INVALID_ARGUMENT etcdserver: user name is empty'],
    [await refusal(authService.UserAdd, { name: 'x', password: 'x'.repeat(73) }), 'UNKNOWN bcrypt: password length exceeds 72 bytes'],
    [await refusal(authService.UserGet, { name: 'nobody' }), 'FAILED_PRECONDITION etcdserver: user name not found'],
    [await refusal(authService.RoleAdd, { name: '' }), 'INVALID_ARGUMENT etcdserver: role name is empty'],
    [await refusal(authService.RoleGet, { role: 'none' }), 'FAILED_PRECONDITION etcdserver: role name not found'],
  ];
  for (const [actual, expected] of early) assert.equal(actual, expected);
  for (const name of ['root', 'alice']) await call(authService.UserAdd, { name, password: `${name}-password` });
  await call(authService.UserAdd, { name: 'nopw', options: { noPassword: true } });
  await call(authService.RoleAdd, { name: 'r' });
  const later: [string, string][] = [
    [await refusal(authService.AuthEnable, {}), 'FAILED_PRECONDITION etcdserver: root user does not have root role'],
    [await refusal(authService.UserAdd, { name: 'alice', password: 'x' }), 'FAILED_PRECONDITION etcdserver: user name already exists'],
    [await refusal(authService.RoleAdd, { name: 'r' }), 'FAILED_PRECONDITION etcdserver: role name already exists'],
    [await refusal(authService.UserRevokeRole, { name: 'alice', role: 'r' }), 'FAILED_PRECONDITION etcdserver: role is not granted to the user'],
    [await refusal(authService.RoleGrantPermission, { name: 'r' }), 'INVALID_ARGUMENT etcdserver: permission not given'],
    [await refusal(authService.RoleGrantPermission, { name: 'r', perm: { key: 'b', rangeEnd: 'a' } }), 'INVALID_ARGUMENT etcdserver: invalid auth management'],
    [await refusal(authService.RoleRevokePermission, { role: 'r', key: 'b' }), 'FAILED_PRECONDITION etcdserver: permission is not granted to the role'],
  ];
  for (const [actual, expected] of later) assert.equal(actual, expected);
});

test('who may do what once authentication is on', async () => {
  await call(authService.UserGrantRole, { user: 'root', role: 'root' });
  await call(authService.RoleGrantPermission, { name: 'r', perm: { permType: 'READ', key: 'a', rangeEnd: 'b' } });
  await call(authService.UserGrantRole, { user: 'alice', role: 'r' });
  await call(authService.AuthEnable, {});
  const { token: root } = await call(authService.Authenticate, { name: 'root', password: 'root-password' });
  const { token: alice } = await call(authService.Authenticate, { name: 'alice', password: 'alice-password' });
  const table: [string, string][] = [
    [await refusal(kvService.Range, { key: 'a' }), 'INVALID_ARGUMENT etcdserver: user name is empty'],
    [await refusal(kvService.Range, { key: 'a' }, 'nonsense'), 'UNAUTHENTICATED etcdserver: invalid auth token'],
    [await refusal(kvService.Range, { key: 'a' }, 'nonsense.1'), 'UNAUTHENTICATED etcdserver: invalid auth token'],
    [await refusal(authService.Authenticate, { name: 'alice', password: 'wrong' }), 'INVALID_ARGUMENT etcdserver: authentication failed, invalid user ID or password'],
    [await refusal(authService.Authenticate, { name: 'nobody', password: 'x' }), 'INVALID_ARGUMENT etcdserver: authentication failed, invalid user ID or password'],
    [await refusal(authService.Authenticate, { name: 'nopw', password: 'x' }), 'UNKNOWN auth: authentication failed, password was given for no password user'],
    [await refusal(kvService.Range, { key: 'z' }, alice), 'PERMISSION_DENIED etcdserver: permission denied'],
    [await refusal(kvService.Put, { key: 'a' }, alice), 'PERMISSION_DENIED etcdserver: permission denied'],
    [await refusal(kvService.Txn, { success: [{ requestTxn: { failure: [putA] } }] }, alice), 'PERMISSION_DENIED etcdserver: permission denied'],
    [await refusal(kvService.Txn, { compare: [{ key: 'z' }] }, alice), 'PERMISSION_DENIED etcdserver: permission denied'],
    [await refusal(kvService.Compact, { revision: 2 }, alice), 'PERMISSION_DENIED etcdserver: permission denied'],
    [await refusal(maintenanceService.Defragment, {}, alice), 'PERMISSION_DENIED etcdserver: permission denied'],
    [await refusal(maintenanceService.Status, {}), 'INVALID_ARGUMENT etcdserver: user name is empty'],
    [await refusal(authService.UserList, {}, alice), 'PERMISSION_DENIED etcdserver: permission denied'],
    [await refusal(authService.UserDelete, { name: 'root' }, root), 'INVALID_ARGUMENT etcdserver: invalid auth management'],
    [await refusal(authService.UserRevokeRole, { name: 'root', role: 'root' }, root), 'INVALID_ARGUMENT etcdserver: invalid auth management'],
  ];
  for (const [actual, expected] of table) assert.equal(actual, expected);
  assert.equal((await call(kvService.Range, { key: 'a' }, alice)).count, 1);
  await call(leaseService.LeaseGrant, { ID: 70n, TTL: 2 }, root);
  await call(kvService.Put, { key: 'leased', lease: 70n }, root);
  assert.equal(await refusal(leaseService.LeaseRevoke, { ID: 70n }, alice), 'PERMISSION_DENIED etcdserver: permission denied');
  assert.equal(await refusal(leaseService.LeaseLeases, {}, alice), 'PERMISSION_DENIED etcdserver: permission denied');
  assert.equal(await refusal(leaseService.LeaseTimeToLive, { ID: 70n, keys: true }, alice), 'PERMISSION_DENIED etcdserver: permission denied');
  assert.equal(await refusal(leaseService.LeaseGrant, { TTL: 10 }), 'INVALID_ARGUMENT etcdserver: user name is empty');
  await until('the lease expires though nobody asks for it', async () => (await call(kvService.Range, { key: 'leased' }, root)).count === 0);
  await call(authService.UserChangePassword, { name: 'alice', password: 'new' }, root);
  assert.equal(await refusal(kvService.Range, { key: 'a' }, alice), 'UNAUTHENTICATED etcdserver: invalid auth token');
  await call(authService.AuthDisable, {}, root);
  assert.equal((await call(kvService.Range, { key: 'a' })).count, 1);
});

test('grpc.health.v1 knows the whole, and no parts', async () => {
  assert.deepEqual(await call(healthService.Check, {}), { status: 'SERVING' });
  assert.equal(await refusal(healthService.Check, { service: 'etcdserverpb.KV' }), 'NOT_FOUND unknown service');
});
