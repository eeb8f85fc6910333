// What people type: Debian's etcdctl 3.4 against the real process, over mutual TLS.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:https';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runEtcdctl, spawnEtcd, temporaryFolder, until, writeCertificates, type EtcdProcess, type Outcome } from './testing.ts';

const folder = temporaryFolder();
const file = (name: string): string => join(folder.path, name);
let etcd: EtcdProcess;

const serverFlags = (): string[] => [
  '--name=m-k8s', `--data-dir=${file('data')}`, '--advertise-client-urls=https://192.168.1.10:2379', '--initial-advertise-peer-urls=https://192.168.1.10:2380',
  '--initial-cluster=m-k8s=https://192.168.1.10:2380', '--client-cert-auth=true', `--cert-file=${file('server.crt')}`, `--key-file=${file('server.key')}`,
  `--trusted-ca-file=${file('ca.crt')}`, '--snapshot-count=10000', '--watch-progress-notify-interval=5s',
  '--feature-gates=InitialCorruptCheck=true', '--listen-peer-urls=https://127.0.0.1:0', '--peer-client-cert-auth=true', `--peer-cert-file=${file('server.crt')}`,
  `--peer-key-file=${file('server.key')}`, `--peer-trusted-ca-file=${file('ca.crt')}`,
];
const clientFlags = (name = 'client'): string[] =>
  [`--endpoints=${etcd.urls[0]}`, `--cacert=${file('ca.crt')}`, `--cert=${file(`${name}.crt`)}`, `--key=${file(`${name}.key`)}`, '--command-timeout=5s'];

const etcdctl = (words: readonly string[], { input, as }: { input?: string; as?: string } = {}): Promise<Outcome> => runEtcdctl([...clientFlags(as), ...words], input);

/** The output of a command that succeeds. */
async function ctl(command: string, input?: string): Promise<string> {
  const { code, output, errors } = await etcdctl(command.split(' ').map((word) => word.replaceAll('_', ' ')), input === undefined ? {} : { input });
  assert.equal(code, 0, `${command}: ${errors}`);
  return output;
}

/** What etcdctl says when it fails; it writes the reason last. */
async function refusal(command: string): Promise<string> {
  const { code, errors } = await etcdctl(command.split(' '));
  assert.notEqual(code, 0, command);
  return errors.split('\n').at(-1) ?? '';
}

before(async () => {
  await writeCertificates(folder.path);
  etcd = await spawnEtcd(serverFlags(), 'https');
});
after(async () => {
  assert.equal(await etcd.end('SIGTERM'), 0);
  folder.remove();
});

test('put, get and del, with their flags', async () => {
  assert.equal(await ctl('put /a/1 one'), 'OK');
  assert.equal(await ctl('put /a/2 two'), 'OK');
  assert.equal(await ctl('put /a/1 uno --prev-kv'), 'OK\n/a/1\none');
  assert.equal(await ctl('get /a/1'), '/a/1\nuno');
  assert.equal(await ctl('get /a/1 --print-value-only'), 'uno');
  assert.equal(await ctl('get /a --prefix --keys-only'), '/a/1\n\n/a/2');
  assert.equal(await ctl('get /a/1 /a/3'), '/a/1\nuno\n/a/2\ntwo');
  assert.equal(await ctl('get /a/2 --from-key'), '/a/2\ntwo');
  assert.equal(await ctl('get /a --prefix --limit=1'), '/a/1\nuno');
  assert.equal(await ctl('get /a --prefix --order=DESCEND --sort-by=KEY --keys-only'), '/a/2\n\n/a/1');
  assert.equal(await ctl('get /a --prefix --order=ASCEND --sort-by=MODIFY --keys-only'), '/a/2\n\n/a/1');
  const { header, kvs } = JSON.parse(await ctl('get /a/1 -w json')) as { header: { revision: number }; kvs: { version: number; mod_revision: number; create_revision: number }[] };
  assert.equal(kvs[0]?.version, 2);
  assert.equal(kvs[0].mod_revision, header.revision);
  assert.equal(await ctl(`get /a/1 --print-value-only --rev=${header.revision - 1}`), 'one');
  assert.equal(await ctl('put /a/1 --ignore-value --', ''), 'OK');
  assert.equal(await ctl('del /a --prefix --prev-kv'), '2\n/a/1\nuno\n/a/2\ntwo');
  assert.equal(await ctl('get /a --prefix'), '');
  assert.match(await refusal('get /a --rev=999999'), /etcdserver: mvcc: required revision is a future revision/);
});

test('txn compares and takes one branch', async () => {
  await ctl('put color red');
  assert.equal(await ctl('txn', 'value("color") = "red"\n\nput color blue\nget color\n\nput color green\n\n'), 'SUCCESS\n\nOK\n\ncolor\nblue');
  assert.equal(await ctl('txn', 'version("color") > "10"\nmod("color") > "0"\n\nget color\n\ndel color\n\n'), 'FAILURE\n\n1');
});

test('watch shows what was and what comes, and ends with what is compacted', async () => {
  await ctl('put w 1');
  const { header } = JSON.parse(await ctl('get w -w json')) as { header: { revision: number } };
  const watching = spawn('etcdctl', [...clientFlags(), 'watch', 'w', `--rev=${header.revision}`, '--prev-kv'], { env: { ...process.env, ETCDCTL_API: '3' } });
  let seen = '';
  watching.stdout.on('data', (text) => { seen += String(text); });
  await until('the first event is there', () => seen.includes('PUT\nw\n1\n'));
  await ctl('put w 2');
  await ctl('del w');
  await until('all events are there', () => seen.includes('DELETE'));
  assert.equal(seen, 'PUT\nw\n1\nPUT\nw\n1\nw\n2\nDELETE\nw\n2\nw\n\n');
  watching.kill();
  await once(watching, 'exit');
  const { header: { revision } } = JSON.parse(await ctl('get w -w json')) as { header: { revision: number } };
  assert.equal(await ctl(`compaction ${revision}`), `compacted revision ${revision}`);
  assert.match(await refusal(`compaction ${revision}`), /etcdserver: mvcc: required revision has been compacted/);
  const cancelled = await etcdctl(['watch', 'w', '--rev=2']);
  assert.match(cancelled.errors, /watch was canceled \(etcdserver: mvcc: required revision has been compacted\)/);
});

test('a lease is granted, seen, kept alive and revoked with its keys, and expires by itself', async () => {
  const granted = await ctl('lease grant 60');
  const id = /^lease (\w+) granted with TTL\(60s\)$/.exec(granted)?.[1] ?? assert.fail(granted);
  await ctl(`put leased v --lease=${id}`);
  assert.match(await ctl(`lease timetolive ${id} --keys`), new RegExp(`^lease ${id} granted with TTL\\(60s\\), remaining\\((59|60)s\\), attached keys\\(\\[leased\\]\\)$`));
  assert.equal(await ctl('lease list'), `found 1 leases\n${id}`);
  assert.equal(await ctl(`lease keep-alive --once ${id}`), `lease ${id} keepalived with TTL(60)`);
  assert.equal(await ctl(`lease revoke ${id}`), `lease ${id} revoked`);
  assert.equal(await ctl('get leased'), '');
  assert.match(await refusal(`lease revoke ${id}`), /etcdserver: requested lease not found/);
  assert.equal(await ctl(`lease timetolive ${id}`), `lease ${id} already expired`);
  const short = /^lease (\w+)/.exec(await ctl('lease grant 1'))?.[1] ?? '';
  await ctl(`put shortlived v --lease=${short}`);
  await until('the lease has expired', async () => (await ctl('get shortlived')) === '');
});

test('endpoint status and health, member list, alarms, defrag and hashes', async () => {
  assert.match(await ctl('endpoint health -w json'), /"health":true/);
  const [status] = JSON.parse(await ctl('endpoint status -w json')) as { Status: { version: string; dbSize: number; leader: number; header: { member_id: number }; raftIndex: number } }[];
  assert.equal(status?.Status.version, '3.6.8');
  assert.ok(status.Status.dbSize > 0 && status.Status.raftIndex > 0);
  assert.equal(status.Status.leader, status.Status.header.member_id);
  assert.match(await ctl('member list'), /^[0-9a-f]{1,16}, started, m-k8s, https:\/\/192\.168\.1\.10:2380, https:\/\/192\.168\.1\.10:2379, false$/);
  assert.equal(await ctl('alarm list'), '');
  assert.match(await ctl('defrag'), /^Finished defragmenting etcd member/);
  assert.match(await ctl('endpoint hashkv'), /, [1-9]\d*$/);
  assert.match(await refusal('member add new --peer-urls=https://192.168.1.10:2380'), /etcdserver: Peer URLs already exists/);
  assert.match(await refusal('member remove 1234'), /etcdserver: member not found/);
  const [id = ''] = (await ctl('member list')).split(',');
  assert.match(await refusal(`member remove ${id}`), /etcdserver: re-configuration failed due to not enough started members/);
});

test('requests that etcd refuses are refused in its words', async () => {
  assert.match(await refusal(`put big ${'x'.repeat(100_000)} --lease=1234`), /etcdserver: requested lease not found/);
  const { errors } = await etcdctl(['put', 'big'], { input: 'x'.repeat(1_572_865) });
  assert.match(errors, /etcdserver: request is too large/);
});

test('a client without a certificate, or with one of another authority, is refused', async () => {
  assert.notEqual((await etcdctl(['--dial-timeout=1s', '--command-timeout=1s', 'get', 'a'], { as: 'stranger' })).code, 0);
  await assert.rejects(fetchHttps('/health', {}));
  await assert.rejects(fetchHttps('/health', { cert: readFileSync(file('stranger.crt')), key: readFileSync(file('stranger.key')) }));
  assert.equal(await fetchHttps('/health', { cert: readFileSync(file('client.crt')), key: readFileSync(file('client.key')) }), '{"health":"true","reason":""}');
});

test('the client port shows the state of Raft', async () => {
  const { cmdline, 'raft.status': raft } = JSON.parse(await fetchHttps('/debug/vars', { cert: readFileSync(file('client.crt')), key: readFileSync(file('client.key')) })) as { cmdline: string[]; 'raft.status': { id: string; lead: string; raftState: string; commit: number; progress: Record<string, { state: string }> } };
  assert.ok(cmdline.length > 0 && raft.commit > 0 && raft.id === raft.lead);
  assert.deepEqual([raft.raftState, Object.keys(raft.progress)], ['StateLeader', [raft.id]]);
});

function fetchHttps(path: string, identity: { cert?: Buffer; key?: Buffer }): Promise<string> {
  return new Promise((resolve, reject) => {
    request(new URL(path, etcd.urls[0]), { ca: readFileSync(file('ca.crt')), ...identity, agent: false }, (response) => {
      let body = '';
      response.on('data', (text) => { body += String(text); }).on('end', () => resolve(body)).on('error', reject);
    }).on('error', reject).end();
  });
}

test('the metrics URL tells health, version and metrics', async () => {
  const get = async (path: string): Promise<string> => (await fetch(new URL(path, etcd.urls[1]))).text();
  assert.equal(await get('/health'), '{"health":"true","reason":""}');
  assert.equal(await get('/livez'), 'ok\n');
  assert.equal(await get('/readyz?verbose'), '[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n');
  assert.equal(await get('/version'), '{"etcdserver":"3.6.8","etcdcluster":"3.6.0","storage":"3.6.0"}');
  const metrics = await get('/metrics');
  for (const name of ['etcd_server_has_leader 1', 'etcd_mvcc_put_total', 'etcd_disk_wal_fsync_duration_seconds_count', 'grpc_server_handled_total{']) assert.ok(metrics.includes(name), name);
});

test('a taken port and a locked data directory end the process with a clear message', async () => {
  const { port } = new URL(etcd.urls[0]);
  const other = serverFlags().map((flag) => (flag.startsWith('--data-dir=') ? `--data-dir=${file('other')}` : flag));
  await assert.rejects(spawnEtcd([...other, `--listen-client-urls=https://127.0.0.1:${port}`], 'https'), new RegExp(`etcd: listen tcp 127\\.0\\.0\\.1:${port}: bind: address already in use`));
  await assert.rejects(spawnEtcd(serverFlags(), 'https'), /etcd: data directory .* is locked: another etcd process is using it/);
});
