// Users as people have them: etcdctl with passwords, certificates whose name is a user, signed tokens; after restarts, too.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runEtcdctl, spawnEtcd, temporaryFolder, writeCertificates, type EtcdProcess, type Outcome } from './testing.ts';

const folder = temporaryFolder();
const file = (name: string): string => join(folder.path, name);
const plainFlags = [`--data-dir=${file('plain')}`, '--bcrypt-cost=4'];
let etcd: EtcdProcess;
before(async () => {
  await writeCertificates(folder.path);
  etcd = await spawnEtcd(plainFlags);
});
after(async () => {
  await etcd.end('SIGTERM');
  folder.remove();
});

const etcdctl = (url: string, words: readonly string[], input?: string): Promise<Outcome> => runEtcdctl([`--endpoints=${url}`, '--command-timeout=5s', ...words], input);
async function ctl(command: string, input?: string): Promise<string> {
  const { code, output, errors } = await etcdctl(etcd.urls[0], command.split(' '), input);
  assert.equal(code, 0, `${command}: ${errors}`);
  return output;
}
const refusal = async (command: string): Promise<string> => (await etcdctl(etcd.urls[0], command.split(' '))).errors.split('\n').at(-1) ?? '';

test('etcdctl user, role and auth', async () => {
  assert.equal(await ctl('user add root:rootpw'), 'User root created');
  assert.equal(await ctl('user add alice --interactive=false', 'alicepw\n'), 'User alice created');
  assert.equal(await ctl('role add reader'), 'Role reader created');
  assert.equal(await ctl('role grant-permission reader read /a/ --prefix=true'), 'Role reader updated');
  assert.equal(await ctl('role grant-permission reader readwrite /b'), 'Role reader updated');
  assert.equal(await ctl('role get reader'), 'Role reader\nKV Read:\n\t[/a/, /a0) (prefix /a/)\n\t/b\nKV Write:\n\t/b');
  assert.equal(await ctl('user grant-role alice reader'), 'Role reader is granted to user alice');
  assert.equal(await ctl('user get alice'), 'User: alice\nRoles: reader');
  assert.equal(await ctl('user list'), 'alice\nroot');
  await ctl('put /a/1 one');
  await ctl('user grant-role root root');
  assert.equal(await ctl('auth enable'), 'Authentication Enabled');
  assert.match(await refusal('get /a/1'), /etcdserver: user name is empty/);
});

test('users may do what their roles permit, over restarts', async () => {
  for (const round of [1, 2]) {
    assert.equal(await ctl('--user=alice:alicepw get /a/ --prefix --print-value-only'), 'one');
    assert.equal(await ctl(`--user=alice:alicepw put /b ${round}`), 'OK');
    assert.match(await refusal('--user=alice:alicepw get /a --prefix'), /etcdserver: permission denied/);
    assert.match(await refusal('--user=alice:wrong get /a/1'), /authentication failed, invalid user ID or password/);
    assert.match((await etcdctl(etcd.urls[0], ['--user=alice:alicepw', 'watch', '/c'])).errors, /rpc error: code = PermissionDenied desc = etcdserver: permission denied/);
    await etcd.end(round === 1 ? 'SIGKILL' : 'SIGTERM');
    etcd = await spawnEtcd(plainFlags);
  }
  await ctl('--user=root:rootpw user revoke-role alice reader');
  assert.match(await refusal('--user=alice:alicepw get /b'), /etcdserver: permission denied/);
  await ctl('--user=root:rootpw user delete alice');
  assert.equal(await ctl('--user=root:rootpw auth disable'), 'Authentication Disabled');
  assert.equal(await ctl('get /b --print-value-only'), '2');
});

test('the name in a client\'s certificate is a user, when --client-cert-auth says so', async () => {
  const tls = [`--cert-file=${file('server.crt')}`, `--key-file=${file('server.key')}`, `--trusted-ca-file=${file('ca.crt')}`];
  for (const isUser of [true, false]) {
    const secure = await spawnEtcd([`--data-dir=${file(`tls-${isUser}`)}`, ...tls, ...(isUser ? ['--client-cert-auth'] : []), '--bcrypt-cost=4'], 'https');
    const as = (...words: string[]): Promise<Outcome> => etcdctl(secure.urls[0], [`--cacert=${file('ca.crt')}`, `--cert=${file('client.crt')}`, `--key=${file('client.key')}`, ...words]);
    await as('user', 'add', 'root:rootpw');
    await as('user', 'grant-role', 'root', 'root');
    await as('user', 'add', 'kube-etcd-healthcheck-client', '--no-password');
    await as('role', 'add', 'r');
    await as('role', 'grant-permission', 'r', 'readwrite', '/k');
    await as('user', 'grant-role', 'kube-etcd-healthcheck-client', 'r');
    assert.equal((await as('auth', 'enable')).code, 0);
    const { code, errors } = await as('put', '/k', 'v');
    if (isUser) {
      assert.equal(code, 0, errors);
      assert.match((await as('put', '/other', 'v')).errors, /etcdserver: permission denied/);
      assert.equal((await as('--user=root:rootpw', 'put', '/other', 'v')).code, 0);
    } else assert.match(errors, /etcdserver: user name is empty/);
    await secure.end('SIGTERM');
  }
});

test('signed tokens hold over restarts, until users or roles change', async () => {
  const flags = [`--data-dir=${file('jwt')}`, '--bcrypt-cost=4', `--auth-token=jwt,priv-key=${file('server.key')},pub-key=${file('server.crt')},sign-method=ES256,ttl=10m`];
  let signing = await spawnEtcd(flags);
  const post = async (path: string, body: unknown, token?: string): Promise<{ status: number; json: Record<string, unknown> }> => {
    const response = await fetch(new URL(path, signing.urls[0]), { method: 'POST', body: JSON.stringify(body), ...(token === undefined ? {} : { headers: { authorization: token } }) });
    return { status: response.status, json: await response.json() as Record<string, unknown> };
  };
  await post('/v3/auth/user/add', { name: 'root', password: 'pw' });
  await post('/v3/auth/user/grant', { user: 'root', role: 'root' });
  assert.equal((await post('/v3/auth/enable', {})).status, 200);
  const token = String((await post('/v3/auth/authenticate', { name: 'root', password: 'pw' })).json['token']);
  assert.equal(token.split('.').length, 3);
  await signing.end('SIGTERM');
  signing = await spawnEtcd(flags);
  assert.equal((await post('/v3/kv/put', { key: 'aw==', value: 'dg==' }, token)).status, 200);
  assert.equal((await post('/v3/kv/put', { key: 'aw==', value: 'dg==' }, `Bearer ${token}`)).status, 200);
  assert.deepEqual((await post('/v3/kv/range', { key: 'aw==' }, `${token.slice(0, -4)}AAAA`)).json, { code: 16, message: 'etcdserver: invalid auth token' });
  await post('/v3/auth/role/add', { name: 'new' }, token);
  assert.deepEqual((await post('/v3/kv/put', { key: 'aw==' }, token)).json, { code: 3, message: 'etcdserver: revision of auth store is old' });
  await signing.end('SIGTERM');
});
