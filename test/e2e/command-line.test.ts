// What the command line says when it cannot do what it is asked.
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommand, TestCluster } from './cluster.ts';

const KUBREAK = fileURLToPath(new URL('../../dist/kubreak.js', import.meta.url));
const kubreak = (...args: string[]) => runCommand(process.execPath, [KUBREAK, ...args]);
const emptyFolder = () => join(mkdtempSync(join(tmpdir(), 'kubreak-cli-')), '.kubreak');

test('without a cluster the commands that need one say how to start it, with exit code 3', async () => {
  for (const command of [['status'], ['kill', 'etcd'], ['exec', 'm-k8s', '--', 'true'], ['logs', 'etcd'], ['reboot', 'w1-k8s']]) {
    const { code, stderr } = await kubreak('--dir', emptyFolder(), ...command);
    assert.equal(code, 3, command.join(' '));
    assert.match(stderr, /^kubreak: no cluster is running in .*; start one with: kubreak up\n$/);
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
  for (const command of ['up', 'down', 'status', 'exec', 'logs', 'kill', 'stop', 'start', 'pause', 'resume', 'reboot']) {
    const { code, stdout } = await kubreak(command, '--help');
    assert.equal(code, 0, command);
    assert.match(stdout, new RegExp(`Usage: kubreak ${command}`));
  }
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

  test('exec hands on the exit code and the output of the command', async () => {
    assert.equal((await cluster.on('w3-k8s', 'sh', '-c', 'exit 7')).code, 7);
    assert.equal(await cluster.onOk('w3-k8s', 'hostname'), 'w3-k8s\n');
  });

  test('status lists every process with its pid on this machine, health and memory', async () => {
    const { stdout } = await cluster.kubreak(['status', '-o', 'json']);
    const { processes } = JSON.parse(stdout) as { processes: { component: string; host: string; pid: number; health: string; restarts: number; pssBytes: number }[] };
    assert.deepEqual([...new Set(processes.map(({ component }) => component))], ['etcd', 'apiserver', 'controller-manager', 'scheduler', 'kubelet', 'container-runtime', 'kube-proxy', 'calico-node', 'coredns', 'calico-kube-controllers']);
    for (const { pid, pssBytes } of processes) {
      assert.ok(pssBytes > 1_000_000);
      assert.doesNotThrow(() => process.kill(pid, 0));
    }
  });

  test('a paused process is shown as paused and goes on when resumed', async () => {
    assert.equal((await cluster.kubreak(['pause', 'scheduler'])).code, 0);
    const health = async () => (JSON.parse((await cluster.kubreak(['status', '-o', 'json'])).stdout) as { processes: { component: string; health: string }[] }).processes.find(({ component }) => component === 'scheduler')?.health;
    assert.equal(await health(), 'paused');
    assert.equal((await cluster.kubreak(['resume', 'scheduler'])).code, 0);
    assert.equal(await health(), 'healthy');
  });

  test('data survives down and up', async () => {
    await cluster.kubectlOk('create', 'configmap', 'keepsake', '--from-literal=a=b');
    await cluster.down(false);
    assert.equal((await cluster.kubreak(['status'])).code, 3);
    await cluster.up();
    assert.equal(await cluster.kubectlOk('get', 'configmap', 'keepsake', '-o', 'jsonpath={.data.a}'), 'b');
  });
});
