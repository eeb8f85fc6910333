// A kubelet with static pods on the real container runtime, in namespaces of its own: no API server is needed.
import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { programOf } from '#lib/testing/program.ts';
import { eventually } from './control-plane.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const run = promisify(execFile);

/** Mounts what a host has of its own, then waits for commands that are run inside. */
const HOST_SCRIPT = `set -e
mount -t tmpfs tmpfs /run
for folder in /var/lib/containerd /var/lib/kubelet /var/log; do mkdir -p $folder "$DATA$folder"; mount --bind "$DATA$folder" $folder; done
mkdir -p /etc/cni/net.d && mount -t tmpfs tmpfs /etc/cni/net.d
ip link set lo up
ip link add eth0 type veth peer name peer && ip addr add 192.168.1.101/24 dev eth0 && ip link set eth0 up && ip link set peer up
ip route add default via 192.168.1.1
echo '{"name":"k8s-pod-network","cniVersion":"0.3.1","plugins":[{"type":"calico","ipam":{"type":"calico-ipam","blocks":["172.16.103.128/26"]}}]}' > /etc/cni/net.d/10-calico.conflist
echo inside; exec sleep infinity`;

describe('kubelet on the container runtime', { timeout: 180_000 }, () => {
  const data = mkdtempSync(join(tmpdir(), 'kubreak-kubelet-'));
  const manifests = join(data, 'manifests');
  let host: ChildProcess;
  let init = '';
  const programs: ChildProcess[] = [];
  let kubelet: ChildProcess;

  const inside = (...command: string[]): string[] => ['--target', init, '--mount', '--net', '--pid', ...command];
  const start = (service: string, ...args: string[]): ChildProcess => {
    const child = spawn('nsenter', inside(...programOf(new URL(`../../services/${service}/main.ts`, import.meta.url)), ...args), { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(join(data, `${service}.log`), { flags: 'a' });
    child.stdout?.pipe(log);
    child.stderr?.pipe(log);
    programs.push(child);
    return child;
  };
  const startKubelet = (): ChildProcess => start('kubelet', `--config=${data}/config.yaml`, '--hostname-override=w1-k8s', '--node-ip=192.168.1.101', '--container-runtime-endpoint=unix:///run/containerd/containerd.sock');
  const get = async (path: string): Promise<string> => (await run('nsenter', inside('curl', '-sk', '--max-time', '5', `https://127.0.0.1:10250${path}`))).stdout;
  const podsNow = async (): Promise<Pod[]> => (JSON.parse(await get('/pods')) as { items: Pod[] }).items;
  const readyPod = (restarts: number) => eventually(async () => (await podsNow()).find(({ status }) => status?.containerStatuses?.[0]?.ready === true && status.containerStatuses[0].restartCount === restarts), 'the pod is ready', 60_000);

  before(async () => {
    mkdirSync(manifests);
    writeFileSync(`${data}/config.yaml`, `kind: KubeletConfiguration\nstaticPodPath: ${manifests}\ncgroupRoot: /kubreak-test-${process.pid}\nauthorization: {mode: AlwaysAllow}\nauthentication: {anonymous: {enabled: true}}\n`);
    host = spawn('unshare', ['-nmpf', '--mount-proc', '--kill-child', 'sh', '-c', HOST_SCRIPT], { env: { ...process.env, DATA: data }, stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      host.stdout?.once('data', () => resolve());
      host.once('exit', (code) => reject(new Error(`the host ended with ${String(code)}`)));
    });
    init = readFileSync(`/proc/${host.pid ?? 0}/task/${host.pid ?? 0}/children`, 'utf8').trim();
    start('container-runtime', `--emulator-catalogue=${root}/images`, `--emulator-bundle-dir=${root}`);
    kubelet = startKubelet();
  });
  after(async () => {
    host.kill('SIGKILL');
    await Promise.all([host, ...programs].map((child) => (child.exitCode ?? child.signalCode) === null && new Promise((resolve) => child.once('exit', resolve))));
    rmSync(data, { recursive: true, force: true });
    for (const controller of ['memory', 'cpu', 'cpuacct', 'pids', '']) {
      await run('find', [`/sys/fs/cgroup/${controller}/kubreak-test-${process.pid}`, '-depth', '-type', 'd', '-delete']).catch(() => undefined); // not every machine has each hierarchy
    }
  });

  test('a manifest becomes a running, ready pod whose log can be read', async () => {
    writeFileSync(join(manifests, 'web.yaml'), 'apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - {name: nginx, image: nginx, readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}}\n');
    const pod = await readyPod(0);
    assert.equal(pod.metadata.name, 'web-w1-k8s');
    assert.equal(pod.status?.phase, 'Running');
    assert.match(pod.status?.podIP ?? '', /^172\.16\.103\./);
    assert.match(await get('/containerLogs/default/web-w1-k8s/nginx'), /GET \/ HTTP/);
    assert.equal(await get('/containerLogs/default/web-w1-k8s/nope'), 'container "nope" not found in pod "web-w1-k8s"\n');
    assert.match(await get('/stats/summary'), /"name":\s*"nginx"/);
  });

  test('containers outlive a kubelet that is killed, and one that dies meanwhile is restarted by the next kubelet', async () => {
    const [before] = await podsNow();
    kubelet.kill('SIGKILL');
    // nsenter is the kubelet's parent: end the kubelet itself.
    await run('nsenter', inside('sh', '-c', 'kill -9 $(cat /proc/[0-9]*/stat | awk \'$2 == "(kubelet)" {print $1}\')')).catch(() => undefined);
    kubelet = startKubelet();
    const after = await readyPod(0);
    assert.equal(after.status?.containerStatuses?.[0]?.containerID, before?.status?.containerStatuses?.[0]?.containerID);
    await run('nsenter', inside('curl', '-sk', '-X', 'POST', 'https://127.0.0.1:10250/run/default/web-w1-k8s/nginx?cmd=kill%201'));
    assert.equal((await readyPod(1)).status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 0);
  });

  test('a manifest that goes takes its pod with it', async () => {
    rmSync(join(manifests, 'web.yaml'));
    await eventually(async () => ((await podsNow()).length === 0 ? true : undefined), 'no pod is left', 60_000);
  });
});
