import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ClusterAccess, CommandResult } from '../access/cluster-access.ts';
import { UserError } from '../user-error.ts';
import { restoreOnHost } from './etcd.ts';

const folder = mkdtempSync(join(tmpdir(), 'etcd-command-'));
after(() => rmSync(folder, { recursive: true }));
const snapshot = join(folder, 'backup.db');
writeFileSync(snapshot, Buffer.from(Array.from({ length: 200_000 }, (_, at) => at % 251)));

const HOSTS = [
  { name: 'm-k8s', address: '192.168.1.10', role: 'control-plane' }, { name: 'm2-k8s', address: '192.168.1.11', role: 'control-plane' }, { name: 'w1-k8s', address: '192.168.1.101', role: 'worker' },
] as unknown as ClusterAccess['hosts'];

/** Takes down what was run; etcd ends as it is told to. */
function clusterWith(etcd: Partial<CommandResult> = {}): { cluster: ClusterAccess; ran: string[]; uploaded: Buffer[] } {
  const ran: string[] = [];
  const uploaded: Buffer[] = [];
  const onHost: ClusterAccess['onHost'] = async (host, words, { input } = {}) => {
    ran.push(`${host}: ${words.join(' ')}`);
    if (input instanceof Readable) uploaded.push(...(await text(input)).split('\n').map((line) => Buffer.from(line, 'base64')));
    return { code: 0, stdout: '', stderr: '', ...(words[0] === 'node' ? etcd : {}) };
  };
  return { cluster: { hosts: HOSTS, onHost } as unknown as ClusterAccess, ran, uploaded };
}

test('a member of a running cluster is made on its host, from a file of this machine', async () => {
  const { cluster, ran, uploaded } = clusterWith();
  assert.equal(await restoreOnHost(cluster, snapshot, { host: 'm2-k8s', initialClusterToken: 'again', bumpRevision: '1000', markCompacted: true }), '/var/lib/etcd of m2-k8s');
  assert.deepEqual(Buffer.concat(uploaded), Buffer.from(Array.from({ length: 200_000 }, (_, at) => at % 251)));
  assert.equal(ran[1], 'm2-k8s: node /opt/kubreak/dist/etcd.js --emulator-restore-snapshot=/var/lib/.etcd-snapshot.db --name=m2-k8s '
    + '--initial-cluster=m-k8s=https://192.168.1.10:2380,m2-k8s=https://192.168.1.11:2380 --initial-cluster-token=again --initial-advertise-peer-urls=https://192.168.1.11:2380 '
    + '--data-dir=/var/lib/etcd --emulator-bump-revision=1000');
  assert.equal(ran[2], 'm2-k8s: rm -f /var/lib/.etcd-snapshot.db');
});

test('what etcd refuses is told, and the file does not stay there', async () => {
  const { cluster, ran } = clusterWith({ code: 1, stderr: 'etcd: data-dir "/var/lib/etcd" not empty or could not be read\n' });
  await assert.rejects(restoreOnHost(cluster, snapshot, { host: 'm-k8s', initialClusterToken: 'a' }), new UserError('m-k8s: data-dir "/var/lib/etcd" not empty or could not be read'));
  assert.match(ran.at(-1) ?? '', /rm -f/);
});

test('only masters have an etcd, and only a file that is there can be restored', async () => {
  const { cluster, ran } = clusterWith();
  const options = { initialClusterToken: 'a' };
  await assert.rejects(restoreOnHost(cluster, snapshot, { ...options, host: 'w1-k8s' }), /w1-k8s has no etcd; the masters are m-k8s, m2-k8s/);
  await assert.rejects(restoreOnHost(cluster, snapshot, { ...options, host: 'w9-k8s' }), /no host is called "w9-k8s"/);
  await assert.rejects(restoreOnHost(cluster, join(folder, 'none.db'), { ...options, host: 'm-k8s' }), /there is no such file/);
  await assert.rejects(restoreOnHost(cluster, snapshot, { ...options, host: 'm-k8s', bumpRevision: '5' }), /--bump-revision and --mark-compacted go together/);
  assert.deepEqual(ran, []);
});
