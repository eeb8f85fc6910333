// Backup and restore with etcd's own tools: etcdctl saves a snapshot of ours and judges it, ours is restored from it, and
// ours goes on from the data directory that etcdctl's restore makes.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { connectToEtcd, type EtcdClient } from '#lib/etcd-api/client.ts';
import { programOf } from '#lib/testing/program.ts';
import { spawnEtcd, type EtcdProcess } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'etcd-snapshot-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);
const MEMBERS = ['--initial-advertise-peer-urls=http://127.0.0.1:12380', '--initial-cluster=default=http://127.0.0.1:12380'];

const run = promisify(execFile);
const etcdctl = async (...words: string[]): Promise<string> => (await run('etcdctl', words, { env: { ...process.env, ETCDCTL_API: '3' } })).stdout;
const [program = '', ...words] = programOf(new URL('./main.ts', import.meta.url));
const restore = (...flags: string[]): Promise<unknown> => run(program, [...words, ...MEMBERS, ...flags]);

async function withEtcd<R>(flags: readonly string[], work: (etcd: EtcdClient, server: EtcdProcess) => Promise<R>): Promise<R> {
  const server = await spawnEtcd(['--listen-peer-urls=http://127.0.0.1:0', ...MEMBERS, ...flags]);
  const etcd = connectToEtcd({ endpoints: [server.urls[0]] });
  try {
    return await work(etcd, server);
  } finally {
    etcd.close();
    await server.end('SIGTERM');
  }
}

/** What must be the same after a restore. */
async function contents(etcd: EtcdClient): Promise<unknown> {
  const [all, old, leases] = [await etcd.range({ key: '\0', rangeEnd: '\0' }), await etcd.range({ key: 'k1', revision: 4 }), await etcd.leaseTimeToLive({ ID: 77n, keys: true })];
  return { kvs: all.kvs, revision: all.header?.revision, old: old.kvs, keys: leases.keys.map(String), granted: leases.grantedTTL };
}

test('a snapshot has what etcdctl expects, and restores with its history, leases and users, in ours and through etcdctl', async () => {
  const before = await withEtcd([`--data-dir=${at('data')}`], async (etcd, { urls: [url] }) => {
    await etcd.leaseGrant({ ID: 77n, TTL: 5000 });
    for (const value of ['1', '2', '3']) await etcd.put({ key: 'k1', value });
    await etcd.put({ key: 'k2', value: Buffer.alloc(300_000, 7), lease: 77n });
    await etcd.put({ key: 'k3', value: 'gone' });
    await etcd.deleteRange({ key: 'k3' });
    await etcd.compact({ revision: 3 });
    await etcdctl(`--endpoints=${url}`, 'user', 'add', 'alice:secret');
    await etcdctl(`--endpoints=${url}`, 'snapshot', 'save', at('snapshot.db'));
    return contents(etcd);
  });
  const status = JSON.parse(await etcdctl('snapshot', 'status', at('snapshot.db'), '-w', 'json')) as { hash: number; revision: number; totalKey: number; totalSize: number };
  assert.equal(status.revision, 7);
  assert.ok(status.hash > 0 && status.totalKey > 0 && status.totalSize > 300_000);

  await restore(`--emulator-restore-snapshot=${at('snapshot.db')}`, `--data-dir=${at('restored')}`);
  await etcdctl('snapshot', 'restore', at('snapshot.db'), `--data-dir=${at('by-etcdctl')}`, ...MEMBERS);
  for (const dataDir of ['restored', 'by-etcdctl', 'by-etcdctl']) { // the last one a second time, from what it has made its own
    await withEtcd([`--data-dir=${at(dataDir)}`], async (etcd, { urls: [url] }) => {
      const { revision, ...rest } = await contents(etcd) as { revision: number };
      assert.deepEqual({ revision: Math.min(revision, 7), ...rest }, before, dataDir);
      await assert.rejects(etcd.range({ key: 'k1', revision: 2 }), { reason: 'Compacted' });
      assert.equal((await etcdctl(`--endpoints=${url}`, 'user', 'list')).trim(), 'alice');
      const { members } = await etcd.memberList();
      assert.deepEqual(members.map(({ peerURLs }) => peerURLs), [['http://127.0.0.1:12380']]);
      await etcd.deleteRange({ key: 'nothing' }); // it takes writes
    });
  }
});

test('what is damaged, has no hash or would overwrite something is not restored', async () => {
  const good = readFileSync(at('snapshot.db'));
  const refused = async (bytes: Buffer, message: RegExp, ...flags: string[]): Promise<void> => {
    writeFileSync(at('bad.db'), bytes);
    await assert.rejects(restore(`--emulator-restore-snapshot=${at('bad.db')}`, `--data-dir=${at(`refused-${Math.random()}`)}`, ...flags), message);
  };
  const damaged = Buffer.from(good);
  damaged[20_000] = (damaged[20_000] ?? 0) ^ 1;
  await refused(damaged, /expected sha256 \[.*\], got \[/);
  await refused(good.subarray(0, good.length - 32), /snapshot missing hash but --skip-hash-check=false/);
  await refused(Buffer.from('no database'), /not a bbolt database|unexpected end of file/, '--emulator-skip-hash-check');
  await assert.rejects(restore(`--emulator-restore-snapshot=${at('snapshot.db')}`, `--data-dir=${at('restored')}`), /data-dir ".*" not empty or could not be read/);
  writeFileSync(at('bare.db'), good.subarray(0, good.length - 32));
  await restore(`--emulator-restore-snapshot=${at('bare.db')}`, `--data-dir=${at('bare')}`, '--emulator-skip-hash-check');
});

test('a restore with a bumped revision keeps the newest of each key and tells watchers of before that they are too old', async () => {
  await restore(`--emulator-restore-snapshot=${at('snapshot.db')}`, `--data-dir=${at('bumped')}`, '--emulator-bump-revision=1000');
  for (const round of [1, 2]) { // the second time from what it has written by itself
    await withEtcd([`--data-dir=${at('bumped')}`], async (etcd) => {
      const { kvs, header } = await etcd.range({ key: '\0', rangeEnd: '\0' });
      assert.ok(Number(header?.revision) >= 1007, `round ${round}: ${header?.revision}`);
      assert.deepEqual(kvs.map(({ key, modRevision }) => [Buffer.from(key).toString(), Number(modRevision)]), [['k1', 4], ['k2', 5]]);
      await assert.rejects(etcd.range({ key: 'k1', revision: 6 }), { reason: 'Compacted' });
      const pieces = [];
      for await (const piece of etcd.snapshot()) pieces.push(piece);
      assert.ok(Buffer.concat(pieces).length > 300_000);
    });
  }
});
