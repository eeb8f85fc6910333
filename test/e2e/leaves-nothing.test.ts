// What a cluster leaves on a machine when it ends, in whatever way: nothing. The machine is a network and a mount namespace
// of the test's own, so that other clusters may come and go meanwhile.
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { freePort } from '#lib/testing/free-ports.ts';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';
import { KUBREAK, TestCluster, until } from './cluster.ts';

let machine: ChildProcess;
/** Words before a command that is to run there. */
let entering: readonly string[];

/** Everything of the machine that a cluster makes use of and must give back. */
function snapshot(): Record<string, string[]> {
  const [program = '', ...words] = entering;
  const lines = (command: string) => execFileSync(program, [...words, 'sh', '-c', command], { encoding: 'utf8' }).split('\n').filter((line) => line !== '').sort();
  return {
    interfaces: lines('ip -o link | cut -d: -f2'),
    'named network namespaces': lines('ls /run/netns 2>/dev/null || :'),
    mounts: lines("awk '{print $5}' /proc/self/mountinfo"),
    routes: lines('ip -4 route'),
    'nftables': lines('nft list tables'),
  };
}
const cgroupsOf = (cluster: TestCluster): string[] => {
  const name = `kubreak-${createHash('sha256').update(cluster.folder).digest('hex').slice(0, 8)}`;
  return execFileSync('sh', ['-c', `find /sys/fs/cgroup -maxdepth 3 -name ${name} -type d`], { encoding: 'utf8' }).split('\n').filter((line) => line !== '');
};
const pidsOf = async (cluster: TestCluster): Promise<number[]> => (JSON.parse((await cluster.kubreak(['status', '-o', 'json'])).stdout) as { processes: { pid: number | null }[] }).processes.flatMap(({ pid }) => pid ?? []);
const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);

describe('what a cluster leaves behind', { timeout: 300_000 }, () => {
  before(async () => {
    // Mounts of others may end meanwhile, and so have to go first.
    const setUp = `awk '{print $5}' /proc/self/mountinfo | grep -E '^(/var/lib/docker|/run|${tmpdir()})/' | sort -r | xargs -r umount -l
mount -t tmpfs tmpfs /run && mount --make-rshared / && ip link set lo up && echo ready && exec sleep infinity`;
    // As usual on a machine, mounts are shared: one that is not kept to a cluster's own namespaces shows. /run is where network namespaces get names.
    machine = spawn('unshare', ['--net', '--mount', '--propagation', 'private', 'sh', '-c', setUp], { stdio: ['ignore', 'pipe', 'inherit'] });
    assert.ok(machine.stdout && machine.pid !== undefined);
    await once(machine.stdout, 'data');
    entering = ['nsenter', '--target', String(machine.pid), '--net', '--mount', '--'];
  });
  after(() => machine.kill());

  test('nothing on the machine when it is stopped', async () => {
    const before = snapshot();
    const cluster = await TestCluster.start('self', [], entering);
    await cluster.kubectlOk('run', 'nginx', '--image=nginx');
    await cluster.kubectlOk('wait', '--for=condition=Ready', 'pod/nginx', '--timeout=60s');
    const pids = await pidsOf(cluster);
    assert.ok(pids.length > 20);
    assert.notDeepEqual(cgroupsOf(cluster), [], 'the cluster made no control groups');
    await cluster.down();
    assert.deepEqual(pids.filter(isAlive), []);
    assert.deepEqual(cgroupsOf(cluster), []);
    assert.deepEqual(snapshot(), before);
    assert.equal(existsSync(cluster.folder), false, 'down --purge leaves no folder');
  });

  test('nothing but control groups when the supervisor itself is killed; the next command sweeps those', async () => {
    const before = snapshot();
    const cluster = await TestCluster.start('self', ['--workers', '1'], entering);
    const pids = await pidsOf(cluster);
    const { supervisorPid } = JSON.parse(readFileSync(join(cluster.folder, 'running.json'), 'utf8')) as { supervisorPid: number };
    process.kill(supervisorPid, 'SIGKILL');
    await until('every process has ended', async () => !pids.some(isAlive), 20_000);
    assert.equal((await cluster.kubreak(['status'])).code, 3);
    await cluster.down(false);
    assert.deepEqual(cgroupsOf(cluster), []);
    assert.deepEqual(snapshot(), before);
    await cluster.up();
    assert.equal((await cluster.kubectl(['get', 'nodes'])).code, 0);
    await cluster.down();
  });

  test('Ctrl-C in the foreground stops everything', async () => {
    const before = snapshot();
    const folder = join(scratchFolder('kubreak-e2e'), '.kubreak');
    const port = await freePort();
    const [program = '', ...words] = entering;
    const child = spawn(program, [...words, process.execPath, KUBREAK, '--dir', folder, 'up', '--workers', '1', '--port', String(port)], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    let printed = '';
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    await until('the cluster says that it is up', async () => printed.includes('Ctrl-C stops it'), 180_000);
    assert.match(printed, /kubeconfig: .*admin\.conf/);
    process.kill(-(child.pid ?? 0), 'SIGINT');
    assert.equal(await ended, 0);
    assert.deepEqual(snapshot(), before);
  });
});
