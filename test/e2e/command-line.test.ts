// What the command line says when it cannot do what it is asked.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';
import { runCommand, TestCluster, until } from './cluster.ts';

const KUBREAK = fileURLToPath(new URL('../../dist/kubreak.js', import.meta.url));
const kubreak = (...args: string[]) => runCommand(process.execPath, [KUBREAK, ...args]);
const emptyFolder = () => join(scratchFolder('kubreak-cli'), '.kubreak');

test('without a cluster the commands that need one say how to start it, with exit code 3', async () => {
  for (const command of [['status'], ['kill', 'etcd'], ['exec', 'm-k8s', '--', 'true'], ['logs', 'etcd'], ['reboot', 'w1-k8s']]) {
    const { code, stderr } = await kubreak('--dir', emptyFolder(), ...command);
    assert.equal(code, 3, command.join(' '));
    assert.match(stderr, /^kubreak: no cluster is running in .*; start one with: kubreak up\n$/);
  }
});

test('--dir may stand after the command word, and the nearest holds', async () => {
  const folder = emptyFolder();
  for (const args of [['status', '--dir', folder], ['exec', '--dir', folder, 'm-k8s', '--', 'true'], ['node', 'add', 'w4-k8s', '--dir', folder], ['node', '--dir', folder, 'remove', 'w4-k8s'],
    ['--dir', emptyFolder(), 'kill', 'etcd', '--dir', folder]]) {
    const { code, stderr } = await kubreak(...args);
    assert.equal(code, 3, args.join(' '));
    assert.ok(stderr.includes(`no cluster is running in ${folder};`), stderr);
  }
});

test('down without a cluster is no error', async () => {
  assert.equal((await kubreak('--dir', emptyFolder(), 'down')).code, 0);
});

test('unknown commands and options end with exit code 2 and a hint', async () => {
  for (const args of [['explode'], ['up', '--no-such-option'], ['kill']]) {
    const { code, stderr } = await kubreak(...args);
    assert.equal(code, 2, args.join(' '));
    assert.match(stderr, /error: .*/);
    assert.doesNotMatch(stderr, /^\s+at /m);
  }
  assert.equal((await kubreak('--dir', emptyFolder(), 'up', '--port', '99999')).code, 2);
});

test('--help of every command tells what it does and exits with 0', async () => {
  for (const command of ['up', 'down', 'status', 'node', 'kubeconfig', 'exec', 'logs', 'kill', 'stop', 'start', 'pause', 'resume', 'reboot']) {
    const { code, stdout } = await kubreak(command, '--help');
    assert.equal(code, 0, command);
    assert.match(stdout, new RegExp(`Usage: kubreak ${command}`));
  }
});

test('a folder that cannot hold the disks of hosts is refused', async () => {
  const { code, stderr } = await kubreak('--dir', `${emptyFolder()},x`, 'up');
  assert.equal(code, 1);
  assert.match(stderr, /may not contain a comma/);
});

test('a taken port is named, and nothing is left half-started', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const folder = emptyFolder();
  const { code, stderr } = await kubreak('--dir', folder, 'up', '--port', String(port));
  assert.equal(code, 1);
  assert.equal(stderr, `kubreak: listen tcp 127.0.0.1:${port}: bind: address already in use; choose another with --port\n`);
  assert.equal((await kubreak('--dir', folder, 'status')).code, 3);
  await new Promise((resolve) => server.close(resolve));
});

test('with --host-routes the machine reaches hosts, pods and services; without the supervisor nothing of it is left', { skip: process.getuid?.() === 0 ? false : 'needs root' }, async () => {
  const folder = emptyFolder();
  const script = `set -e
ip link set lo up
"$@" up --detach --port 16999 --workers 0 --host-routes >/dev/null
trap '"$@" down --purge >/dev/null 2>&1' EXIT
ip=$(kubectl --kubeconfig "$0/admin.conf" -n kube-system get pods -l k8s-app=kube-dns -o 'jsonpath={.items[0].status.podIP}')
curl -s -m 5 -o /dev/null -w 'pod %{http_code}\n' http://$ip:8080/health
curl -sk -m 5 -o /dev/null -w 'service %{http_code}\n' https://10.96.0.1/readyz
curl -sk -m 5 -o /dev/null -w 'host %{http_code}\n' https://192.168.1.10:6443/readyz
kill -9 $(sed 's/.*supervisorPid":\\([0-9]*\\).*/\\1/' "$0/running.json")
n=0; while ip route | grep -q . && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
echo "routes left: $(ip route)"
ip link add other type dummy 2>/dev/null || ip link add other type bridge
ip addr add 172.16.3.1/24 dev other; ip link set other up
"$@" up --port 16999 --host-routes 2>&1 >/dev/null || :`;
  const { stdout, stderr } = await runCommand('unshare', ['--net', '--mount', 'sh', '-c', script, folder, process.execPath, KUBREAK, '--dir', folder]);
  assert.equal(stdout, `pod 200
service 200
host 200
routes left: 
kubreak: --host-routes is not possible here: the machine has routes to 172.16.3.0/24 (other), where the cluster has its addresses (192.168.1.0/24, 172.16.0.0/16, 10.96.0.0/12)
`, stderr);
});

describe('with a running cluster', { timeout: 300_000 }, () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await TestCluster.start();
  });
  after(async () => {
    await cluster.down();
  });

  test('a second cluster in the same folder is refused', async () => {
    const { code, stderr } = await cluster.kubreak(['up', '--port', '1']);
    assert.equal(code, 1);
    assert.match(stderr, /a cluster is already running in .* \(process \d+\); stop it with: kubreak down/);
  });

  test('unknown components and hosts are named together with those that exist', async () => {
    const component = await cluster.kubreak(['kill', 'no-such-thing']);
    assert.equal(component.code, 2);
    assert.match(component.stderr, /no component is called "no-such-thing"; there are etcd, apiserver/);
    const host = await cluster.kubreak(['exec', 'w9-k8s', '--', 'true']);
    assert.equal(host.code, 2);
    assert.match(host.stderr, /no host is called "w9-k8s"; there are m-k8s, w1-k8s/);
    assert.equal((await cluster.kubreak(['kill', 'etcd@w1-k8s'])).code, 1);
  });

  test('a node joins, serves and is removed without a trace', async () => {
    const added = await cluster.kubreak(['node', 'add', 'w4-k8s', '--cpu', '1', '--memory', '2Gi']);
    assert.equal(added.stdout, 'w4-k8s is Ready (192.168.1.104)\n', added.stderr);
    const { status } = await cluster.json<{ status: { capacity: Record<string, string> } }>('get', 'node', 'w4-k8s');
    assert.deepEqual([status.capacity['cpu'], status.capacity['memory']], ['1', '2Gi']);
    assert.match(await cluster.onOk('w1-k8s', 'getent', 'hosts', 'w4-k8s'), /^192\.168\.1\.104 /);
    assert.equal((await cluster.kubreak(['node', 'add', 'w4-k8s'])).stderr, 'kubreak: there is a host called w4-k8s already\n');
    assert.equal((await cluster.kubreak(['node', 'remove', 'm-k8s'])).stderr, 'kubreak: m-k8s runs the control plane and cannot be removed\n');
    assert.equal((await cluster.kubreak(['node', 'add', 'Not_A_Name'])).code, 2);
    const removed = await cluster.kubreak(['node', 'remove', 'w4-k8s']);
    assert.equal(removed.stdout, 'w4-k8s removed\n', removed.stderr);
    assert.doesNotMatch(await cluster.kubectlOk('get', 'nodes'), /w4-k8s/);
    assert.equal((await cluster.on('w1-k8s', 'getent', 'hosts', 'w4-k8s')).code, 2);
    assert.ok(!existsSync(join(cluster.folder, 'hosts', 'w4-k8s')));
    await until('the block of the node is free', async () => !(await cluster.kubectlOk('get', 'blockaffinities')).includes('w4-k8s'));
  });

  test("the cluster becomes a context of one's own kubeconfig, beside what is there", async () => {
    const file = cluster.writeFile('own.conf', 'apiVersion: v1\nkind: Config\nclusters:\n- {name: office, cluster: {server: "https://office.example"}}\ncurrent-context: ""\n');
    const env = { KUBECONFIG: file };
    assert.equal((await cluster.kubreak(['kubeconfig'], { env })).stdout, `context "kubreak" is in ${file} and is the current one\n`);
    assert.equal((await cluster.kubectl(['get', 'namespace', 'default', '-o', 'name'], { env })).stdout, 'namespace/default\n');
    assert.match((await cluster.kubectl(['config', 'get-clusters'], { env })).stdout, /office/);
    assert.equal(statSync(file).mode & 0o777, 0o644, 'as it was');
    const fresh = `${file}.new`;
    await cluster.kubreak(['kubeconfig'], { env: { KUBECONFIG: fresh } });
    assert.equal(statSync(fresh).mode & 0o777, 0o600);
    assert.equal((await cluster.kubreak(['kubeconfig', '--remove'], { env })).stdout, `context "kubreak" removed from ${file}\n`);
    assert.doesNotMatch(readFileSync(file, 'utf8'), /kubreak/);
  });

  test('exec hands on the exit code and the output of the command', async () => {
    assert.equal((await cluster.on('w3-k8s', 'sh', '-c', 'exit 7')).code, 7);
    assert.equal(await cluster.onOk('w3-k8s', 'hostname'), 'w3-k8s\n');
  });

  test('status lists every process with its pid on this machine, health and memory', async () => {
    interface Process { component: string; host: string; pid: number; health: string; restarts: number; pssBytes: number }
    const list = async () => (JSON.parse((await cluster.kubreak(['status', '-o', 'json'])).stdout) as { processes: Process[] }).processes;
    // metrics-server starts some seconds after its host, and is not missed before
    assert.ok((await list()).every(({ pid }) => pid > 0));
    const processes = await until('metrics-server runs', async () => {
      const all = await list();
      return all.some(({ component }) => component === 'metrics-server') && all;
    });
    assert.deepEqual([...new Set(processes.map(({ component }) => component))], ['etcd', 'apiserver', 'controller-manager', 'scheduler', 'kubelet', 'container-runtime', 'metrics-server', 'kube-proxy', 'calico-node', 'coredns', 'calico-kube-controllers']);
    for (const { pid, pssBytes, component } of processes) {
      assert.ok(pssBytes > 1_000_000, `${component}: ${pssBytes}`);
      assert.doesNotThrow(() => process.kill(pid, 0));
    }
  });

  test('building the project again does not disturb a running cluster', async () => {
    const { code, stderr } = await runCommand('npm', ['run', '--silent', 'build']);
    assert.equal(code, 0, stderr);
    await cluster.kubectlOk('run', 'after-build', '--image=nginx');
    await cluster.kubectlOk('wait', '--for=condition=Ready', 'pod/after-build', '--timeout=60s');
    const { status } = await cluster.json<{ status: { containerStatuses: { restartCount: number }[] } }>('get', 'pod', 'after-build');
    assert.equal(status.containerStatuses[0]?.restartCount, 0);
  });

  test('a paused process is shown as paused and goes on when resumed', async () => {
    assert.equal((await cluster.kubreak(['pause', 'scheduler'])).code, 0);
    const health = async () => (JSON.parse((await cluster.kubreak(['status', '-o', 'json'])).stdout) as { processes: { component: string; health: string }[] }).processes.find(({ component }) => component === 'scheduler')?.health;
    assert.equal(await health(), 'paused');
    assert.equal((await cluster.kubreak(['resume', 'scheduler'])).code, 0);
    assert.equal(await health(), 'healthy');
  });

  test('data survives down and up, and what was stopped runs again', async () => {
    await cluster.kubectlOk('create', 'configmap', 'keepsake', '--from-literal=a=b');
    for (const component of ['scheduler', 'etcd']) assert.equal((await cluster.kubreak(['stop', component])).code, 0);
    await cluster.down(false);
    assert.equal((await cluster.kubreak(['status'])).code, 3);
    await cluster.up();
    assert.equal(await cluster.kubectlOk('get', 'configmap', 'keepsake', '-o', 'jsonpath={.data.a}'), 'b');
    await until('the scheduler runs', async () => /^scheduler +m-k8s +\d+ +healthy/m.test((await cluster.kubreak(['status'])).stdout));
  });
});
