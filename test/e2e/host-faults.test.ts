// Faults of hosts and of the processes on them, on a real cluster: what they do, and that nothing of them is left.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { faketimeLibrary } from '#lib/service/shifted-clock.ts';
import { TestCluster, until, type Result } from './cluster.ts';

const isRoot = process.getuid?.() === 0;

suite('faults of hosts', { skip: isRoot ? false : 'needs root' }, () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await TestCluster.start('self', ['--workers', '1']);
  });
  after(() => cluster.down());

  const kubreak = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await cluster.kubreak(args);
    assert.equal(code, 0, `kubreak ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  const faults = async (): Promise<{ id: string; kind: string; state: string }[]> => (JSON.parse(await kubreak('faults', '-o', 'json')) as { faults: { id: string; kind: string; state: string }[] }).faults;
  const pidOf = async (component: string, on?: string): Promise<number | null> => {
    const { processes } = JSON.parse(await kubreak('status', '-o', 'json')) as { processes: { component: string; host: string; pid: number | null }[] };
    return processes.find((each) => each.component === component && (on === undefined || each.host === on))?.pid ?? null;
  };
  const data = (host: string, path: string): string => join(cluster.folder, 'hosts', host, 'data', path);
  const refused = ({ code, stderr }: Result, reason: RegExp): void => {
    assert.notEqual(code, 0);
    assert.match(stderr, reason);
  };

  test('what is stopped for a time comes back by itself, what is started has no record any more', async () => {
    assert.match(await kubreak('stop', 'scheduler', '--for', '2s'), /^f\d+ stop scheduler \(until .*\): scheduler@m-k8s stopped/);
    assert.equal(await pidOf('scheduler'), null);
    await until('the scheduler runs again', async () => (await pidOf('scheduler')) !== null && (await faults()).length === 0);
    await kubreak('stop', 'kubelet@w1-k8s');
    assert.deepEqual((await faults()).map(({ kind, state }) => [kind, state]), [['stop', 'in force']]);
    await kubreak('start', 'kubelet@w1-k8s');
    assert.deepEqual(await faults(), []);
    await until('metrics-server runs', async () => (await pidOf('metrics-server')) !== null);
    assert.match(await kubreak('kill', 'metrics-server'), /^metrics-server@m-k8s killed \(pid \d+\)\n$/);
    assert.deepEqual(await faults(), [], 'a kill is over at once');
  });

  test('a limit is that of the control group of the host, and goes', async () => {
    const group = `kubreak-${createHash('sha256').update(cluster.folder).digest('hex').slice(0, 8)}/w1-k8s`;
    const isV2 = existsSync('/sys/fs/cgroup/cgroup.controllers');
    const limits = (): string[] => (isV2 ? [`${group}/cpu.max`, `${group}/memory.max`] : [`cpu/${group}/cpu.cfs_quota_us`, `memory/${group}/memory.limit_in_bytes`]).map((path) => readFileSync(`/sys/fs/cgroup/${path}`, 'utf8').trim());
    const unlimited = limits();
    await kubreak('cpu', 'w1-k8s', '--limit', '500m');
    await kubreak('memory', 'w1-k8s', '--limit', '2Gi');
    assert.deepEqual(limits(), [isV2 ? '50000 100000' : '50000', String(2 * 1024 ** 3)]);
    refused(await cluster.kubreak(['cpu', 'w1-k8s', '--limit', '1']), /that is broken already: cpu w1-k8s --limit 500m; first: kubreak heal f\d+/);
    await kubreak('heal');
    assert.deepEqual(limits(), unlimited);
  });

  test('a full disk of the runtime makes no containers, and does when there is room again', async () => {
    await kubreak('disk', 'container-runtime@w1-k8s', '--full');
    await cluster.kubectlOk('run', 'waits', '--image=nginx', '--restart=Never', '--overrides={"spec":{"nodeName":"w1-k8s"}}');
    await until('the pod is told why', async () => (await cluster.kubectlOk('get', 'events', '--field-selector', 'involvedObject.name=waits', '-o', 'jsonpath={.items[*].message}')).includes('no space left on device'));
    await kubreak('heal');
    await cluster.kubectlOk('wait', '--for=condition=Ready', 'pod/waits', '--timeout=60s');
  });

  test("a slow disk of etcd makes writes slow, one whose sync fails ends it", async () => {
    const write = async (name: string): Promise<number> => {
      const startedMs = performance.now();
      await cluster.kubectlOk('create', 'configmap', name);
      return performance.now() - startedMs;
    };
    await write('before');
    await kubreak('disk', 'etcd', '--slow', '1s');
    assert.ok((await write('slow')) > 1_000);
    await kubreak('heal');
    const pid = await pidOf('etcd');
    await kubreak('disk', 'etcd@m-k8s', '--fail-fsync');
    await until('etcd has ended', async () => (await pidOf('etcd')) !== pid);
    await kubreak('heal');
    await until('writes go on', async () => (await cluster.kubectl(['create', 'configmap', 'after'])).code === 0);
    await cluster.kubectlOk('get', 'configmap', 'slow');
  });

  test('a clock that nothing can shift is refused, with what to install', async () => {
    const folder = dirname(faketimeLibrary() ?? '');
    await cluster.onOk('w1-k8s', 'mount', '-t', 'tmpfs', 'hidden', folder);
    refused(await cluster.kubreak(['clock', 'w1-k8s', '--skew', '+2h']), /apt-get install libfaketime/);
    await cluster.onOk('w1-k8s', 'umount', folder);
  });

  test('the clock of a host is shifted while its processes run', async () => {
    const skewSeconds = async (): Promise<number> => Number(await cluster.onOk('w1-k8s', 'date', '+%s')) - Date.now() / 1000;
    const renewed = async (): Promise<number> => Date.parse((await cluster.json<{ spec: { renewTime: string } }>('get', 'lease', 'w1-k8s', '-n', 'kube-node-lease')).spec.renewTime) - Date.now();
    await kubreak('clock', 'w1-k8s', '--skew', '+2h');
    assert.ok(Math.abs((await skewSeconds()) - 7200) < 5);
    assert.ok(Math.abs(Number(await cluster.kubectlOk('exec', 'waits', '--', 'date', '+%s')) - Date.now() / 1000 - 7200) < 10, 'what is run in a pod sees it, too');
    await until('the kubelet writes the wrong time into its lease', async () => (await renewed()) > 7_000_000);
    const before = await pidOf('kube-proxy', 'w1-k8s');
    await kubreak('kill', 'kube-proxy@w1-k8s');
    await until('kube-proxy runs again', async () => ![before, null].includes(await pidOf('kube-proxy', 'w1-k8s')));
    await kubreak('kill', 'kube-proxy@w1-k8s'); // in its back-off, which ends hours from now if that is told by the clock on the wall
    await kubreak('heal');
    await until('it runs again', async () => (await pidOf('kube-proxy', 'w1-k8s')) !== null);
    assert.ok(Math.abs(await skewSeconds()) < 5);
    await until('the kubelet writes the right time again', async () => (await renewed()) < 1_000);
  });

  test('a host without power stays off until it is switched on; nothing of a fault is left after down', async () => {
    await kubreak('poweroff', 'w1-k8s');
    refused(await cluster.on('w1-k8s', 'true'), /w1-k8s is down/);
    assert.deepEqual((await faults()).map(({ kind, state }) => [kind, state]), [['poweroff', 'in force']]);
    await kubreak('poweron', 'w1-k8s');
    assert.deepEqual(await faults(), []);
    await kubreak('disk', 'kubelet@w1-k8s', '--full');
    await kubreak('stop', 'kube-proxy@w1-k8s', '--for', '1h');
    await cluster.down(false);
    for (const path of ['/var/lib/kubelet/.kubreak-disk-fault', '/var/lib/containerd/.kubreak-disk-fault', '/etc/kubreak/clock/offset']) assert.ok(!existsSync(data('w1-k8s', path)), path);
    assert.ok(!existsSync(join(cluster.folder, 'faults')));
  });
});
