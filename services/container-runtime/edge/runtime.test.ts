// The runtime over its real socket, on a host of namespaces (testing/playground.ts). Needs root.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isNotFound } from '#lib/cri/client.ts';
import type { ContainerEventResponse } from '#lib/cri/messages.ts';
import { canRun, eventually, Playground } from './testing/playground.ts';

const SHELL = 'busybox:1.36';

describe('the runtime', { skip: !canRun && 'needs root and nginx', timeout: 180_000 }, () => {
  const host = new Playground();
  const sh = (script: string): { command: string[] } => ({ command: ['sh', '-c', script] });
  before(() => host.boot());
  after(() => host.destroy());

  test('the network is not ready until its configuration is there', async () => {
    const { status } = await host.connection.runtime.status({ verbose: true });
    const network = status?.conditions.find(({ type }) => type === 'NetworkReady');
    assert.equal(network?.status, false);
    assert.equal(network?.reason, 'NetworkPluginNotReady');
    assert.equal(network?.message, 'Network plugin returns error: cni plugin not initialized');
    await assert.rejects(host.runSandbox('early'), /cni plugin not initialized/);
    host.writeNetworkConfig();
    const later = await host.connection.runtime.status({});
    assert.ok(later.status?.conditions.every((condition) => condition.status));
  });

  test('an nginx pod answers at its own address with the version of its tag', async () => {
    const { id, ip } = await host.runSandbox('web');
    assert.equal(ip, '10.250.3.65');
    const container = await host.runContainer(id, 'nginx:1.16.0');
    const answer = await eventually('nginx to answer', () => host.run('curl', '-si', '--max-time', '2', `http://${ip}/`).catch(() => undefined));
    assert.match(answer, /<h1>Welcome to nginx!<\/h1>/);
    const hasHeaderModule = existsSync('/usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so');
    assert.match(answer, hasHeaderModule ? /^Server: nginx\/1\.16\.0\r$/m : /^Server: nginx\/[\d.]+\r$/m);
    await eventually('the access log', () => / stdout F .*"GET \/ HTTP\/1\.1" 200/.test(host.log('web')));
    const { image } = await host.status(container);
    assert.equal(image?.image, 'docker.io/library/nginx:1.16.0');
  });

  test("a container sees its own processes and host name, and nothing of the machine's private folders", async () => {
    const { id } = await host.runSandbox('private');
    const container = await host.runContainer(id, SHELL, { command: ['sleep', '1000'] });
    const { output } = await host.exec(container, 'sh', '-c', 'hostname; cat /proc/1/comm; ls -A /home /srv /mnt /media /opt; ls /; ls /etc/ssh 2>&1');
    const [hostname, first, ...rest] = output.split('\n');
    assert.equal(hostname, 'private');
    assert.equal(first, 'sleep');
    const top = rest.filter((line) => /^[a-z]+$/.test(line));
    for (const name of readdirSync('/')) {
      const isStandard = ['bin', 'boot', 'dev', 'etc', 'home', 'lib', 'lib32', 'lib64', 'libx32', 'media', 'mnt', 'opt', 'proc', 'root', 'run', 'sbin', 'srv', 'sys', 'tmp', 'usr', 'var'].includes(name);
      if (!isStandard) assert.ok(!top.includes(name), `/${name} shows in the container`);
    }
  });

  test('exit code, log and events of a container that ends by itself', async () => {
    const events: ContainerEventResponse[] = [];
    const watching = new AbortController();
    const watched = (async () => { for await (const event of host.connection.runtime.containerEvents(watching.signal)) events.push(event); })();
    // The stream is open once an event arrives; sandboxes are told too.
    const { id } = await host.runSandbox('short');
    const container = await host.runContainer(id, SHELL, { ...sh('echo out; echo err >&2; printf unfinished; exit 7'), envs: [{ key: 'A', value: Buffer.from('b') }] });
    const status = await host.exited(container);
    assert.equal(status.exitCode, 7);
    assert.equal(status.reason, 'Error');
    assert.ok(status.finishedAt >= status.startedAt && status.startedAt >= status.createdAt);
    const lines = host.log('short').trim().split('\n').map((line) => line.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /, '')).sort();
    assert.deepEqual(lines, ['stderr F err', 'stdout F out', 'stdout F unfinished']);
    await host.connection.runtime.removeContainer({ containerId: container });
    await eventually('all events', () => events.some(({ containerEventType }) => containerEventType === 'CONTAINER_DELETED_EVENT'));
    watching.abort();
    await watched;
    const seen = events.filter(({ containerId }) => containerId === container);
    assert.deepEqual(seen.map(({ containerEventType }) => containerEventType), [
      'CONTAINER_CREATED_EVENT', 'CONTAINER_STARTED_EVENT', 'CONTAINER_STOPPED_EVENT', 'CONTAINER_DELETED_EVENT',
    ]);
    assert.equal(seen[2]?.containersStatuses[0]?.exitCode, 7);
    assert.equal(seen[2]?.podSandboxStatus?.metadata?.name, 'short');
    assert.ok(isNotFound(await host.status(container).catch((error: unknown) => error)));
  });

  test('kill 1 from inside ends an nginx container, an exec session beside it ends with 137', async () => {
    const { id } = await host.runSandbox('killed');
    const container = await host.runContainer(id, 'nginx');
    const session = host.exec(container, 'sleep', '1000');
    await eventually('the session to run', async () => (await host.exec(container, 'sh', '-c', 'ps -e')).output.includes('sleep'));
    await host.exec(container, 'sh', '-c', 'kill 1');
    assert.equal((await session).exitCode, 137);
    assert.equal((await host.exited(container)).exitCode, 0);
  });

  test('stopping signals first and kills after the grace period', async () => {
    const { id } = await host.runSandbox('stopping');
    const polite = await host.runContainer(id, SHELL, { ...sh('trap "echo bye; exit 3" TERM; while :; do sleep 0.05; done'), metadata: { name: 'polite', attempt: 0 }, logPath: 'polite/0.log' });
    const deaf = await host.runContainer(id, SHELL, { ...sh('trap "" TERM; while :; do sleep 0.05; done'), metadata: { name: 'deaf', attempt: 0 }, logPath: 'deaf/0.log' });
    await eventually('the shells to have begun', async () => (await host.exec(polite, 'ps', '-e')).output.includes('sleep') && (await host.exec(deaf, 'ps', '-e')).output.includes('sleep'));
    await host.connection.runtime.stopContainer({ containerId: polite, timeout: 10 });
    assert.equal((await host.status(polite)).exitCode, 3);
    assert.match(host.log('stopping', 'polite'), /bye/);
    await host.connection.runtime.stopContainer({ containerId: deaf, timeout: 1 });
    assert.equal((await host.status(deaf)).exitCode, 137);
    await host.connection.runtime.stopContainer({ containerId: deaf, timeout: 1 });
  });

  test('containers outlive a kill -9 of the runtime, and what ended meanwhile has its exit code and its whole log', async () => {
    const { id, ip } = await host.runSandbox('survivor');
    const lasting = await host.runContainer(id, 'nginx', { metadata: { name: 'lasting', attempt: 0 }, logPath: 'lasting/0.log' });
    const chatty = await host.runContainer(id, SHELL, { ...sh('read go < /go; seq 1 3000; exit 9'), metadata: { name: 'chatty', attempt: 0 }, logPath: 'chatty/0.log', mounts: [await gate()] });
    await host.killRuntime();
    assert.match(await host.run('curl', '-s', '--max-time', '2', `http://${ip}/`), /Welcome to nginx!/);
    await host.run('sh', '-c', `echo go > ${host.folder}/go`);
    await eventually('the exit code on disk', () => host.run('sh', '-c', `cat /run/containerd/exits/${chatty}`).catch(() => undefined));
    await host.startRuntime();
    assert.equal((await host.status(lasting)).state, 'CONTAINER_RUNNING');
    const ended = await host.exited(chatty);
    assert.equal(ended.exitCode, 9);
    assert.deepEqual(host.log('survivor', 'chatty').trim().split('\n').map((line) => line.split(' ')[3]), Array.from({ length: 3000 }, (_, index) => String(index + 1)));
    await host.run('curl', '-s', '--max-time', '2', `http://${ip}/after`);
    await eventually('the log to go on', () => host.log('survivor', 'lasting').includes('/after'));
    await host.connection.runtime.stopContainer({ containerId: lasting, timeout: 5 });
    assert.equal((await host.status(lasting)).exitCode, 0);
  });

  /** A FIFO in the container on which it waits for the test. */
  async function gate(): Promise<{ hostPath: string; containerPath: string }> {
    const hostPath = join(host.folder, 'go');
    await host.run('mkfifo', hostPath);
    return { hostPath, containerPath: '/go' };
  }

  test('a log goes on in a new file after its rotation', async () => {
    const { id } = await host.runSandbox('rotated');
    const container = await host.runContainer(id, SHELL, sh('i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done'));
    await eventually('lines', () => host.log('rotated').includes('line 3'));
    renameSync(join(host.logs, 'rotated/main/0.log'), join(host.logs, 'rotated/main/0.log.old'));
    await host.connection.runtime.reopenContainerLog({ containerId: container });
    await eventually('lines in the new file', () => host.log('rotated').includes(' stdout F line '));
    await host.connection.runtime.stopContainer({ containerId: container, timeout: 0 });
  });

  test('a program that does not exist is a start error, and the container says so', async () => {
    const { id } = await host.runSandbox('broken');
    const container = await host.createContainer(id, SHELL, { command: ['nosuch'] });
    await assert.rejects(host.connection.runtime.startContainer({ containerId: container }), /error during container init: exec: "nosuch": executable file not found in \$PATH/);
    const status = await host.status(container);
    assert.equal(status.state, 'CONTAINER_EXITED');
    assert.equal(status.exitCode, 128);
    assert.equal(status.reason, 'StartError');
  });

  test('an exec that takes too long is killed and says so', async () => {
    const { id } = await host.runSandbox('slow');
    const container = await host.runContainer(id, SHELL, sh('sleep 1000'));
    await assert.rejects(host.connection.runtime.execSync({ containerId: container, cmd: ['sleep', '998'], timeout: 1 }), /timeout 1s exceeded: context deadline exceeded/);
    await eventually('the process to be gone', async () => !(await host.exec(container, 'ps', '-ef')).output.includes('998'));
    await assert.rejects(host.exec(container, 'nosuch'), /exec: "nosuch": executable file not found in \$PATH/);
  });

  test('volumes, user, read-only root, working directory and environment are as the config says', async () => {
    mkdirSync(join(host.folder, 'volume'), { recursive: true });
    writeFileSync(join(host.folder, 'volume/file'), 'content\n');
    const { id } = await host.runSandbox('shaped');
    const container = await host.runContainer(id, SHELL, {
      ...sh('id; pwd; echo $GREETING; cat /var/run/data/file; echo x > /var/run/data/new || echo refused; touch /x || echo readonly; grep NoNewPrivs /proc/self/status'),
      workingDir: '/var/made/here', envs: [{ key: 'GREETING', value: Buffer.from('hello  world') }],
      mounts: [{ hostPath: join(host.folder, 'volume'), containerPath: '/var/run/data', readonly: true }],
      linux: { securityContext: { runAsUser: { value: 1234 }, runAsGroup: { value: 99 }, supplementalGroups: [7], readonlyRootfs: true, noNewPrivs: true } },
    });
    await host.exited(container);
    const log = host.log('shaped');
    for (const expected of [/uid=1234 gid=99.* groups=99.*,7/, / \/var\/made\/here$/m, /F hello world$/m, /F content$/m, /F refused$/m, /F readonly$/m, /NoNewPrivs:\s+1/]) assert.match(log, expected);
  });

  test('containers of a pod that shares its PID namespace see each other, and each ends with all its processes', async () => {
    const linux = { securityContext: { namespaceOptions: { pid: 'POD' as const } } };
    const { id } = await host.runSandbox('shared', { linux: { cgroupParent: '/kubepods/podshared', ...linux } });
    const first = await host.runContainer(id, SHELL, { ...sh('sleep 3333 & exec sleep 4444'), metadata: { name: 'first', attempt: 0 }, linux });
    const second = await host.runContainer(id, SHELL, { command: ['sleep', '5555'], metadata: { name: 'second', attempt: 0 }, linux });
    await host.killRuntime();
    await host.startRuntime();
    await eventually('all to run', async () => {
      const { output } = await host.exec(second, 'ps', '-ef');
      return ['3333', '4444', '5555'].every((text) => output.includes(text));
    });
    assert.match((await host.exec(first, 'ps', '-ef')).output, /sleep 5555/);
    await host.connection.runtime.stopContainer({ containerId: first, timeout: 0 });
    await eventually('the rest of it to end', async () => !(await host.exec(second, 'ps', '-ef')).output.includes('3333'));
    assert.equal((await host.status(second)).state, 'CONTAINER_RUNNING');
  });

  test('a container over its memory limit is killed, OOMKilled with 137', { timeout: 30_000 }, async (context) => {
    const { info } = await host.connection.runtime.status({ verbose: true });
    if (!String(info['limits']).includes('memory')) return context.skip('this machine allows no memory limits');
    const { id } = await host.runSandbox('greedy');
    // At most 64 MB, whatever happens: the limit is 20 MB.
    const container = await host.runContainer(id, SHELL, { command: ['head', '-c', '64m', '/dev/zero'], linux: { resources: { memoryLimitInBytes: 20 * 1024 * 1024 } } });
    await host.exited(container);
    const eater = await host.runContainer(id, SHELL, {
      metadata: { name: 'eater', attempt: 0 }, logPath: 'eater/0.log', command: ['perl', '-e', 'my $x = "a" x (64 * 1024 * 1024); print length($x);'], linux: { resources: { memoryLimitInBytes: 20 * 1024 * 1024 } },
    });
    const status = await host.exited(eater);
    assert.equal(status.reason, 'OOMKilled');
    assert.equal(status.exitCode, 137);
  });

  test('use of CPU, memory and network is measured, and limits can be changed while it runs', async (context) => {
    const { info } = await host.connection.runtime.status({ verbose: true });
    const { id } = await host.runSandbox('measured');
    const container = await host.runContainer(id, SHELL, { ...sh('while :; do :; done'), linux: { resources: { cpuQuota: 20_000, cpuPeriod: 100_000 } } });
    const stats = await eventually('some use of the CPU', async () => {
      const answer = await host.connection.runtime.containerStats({ containerId: container });
      return (answer.stats?.cpu?.usageCoreNanoSeconds?.value ?? 0) > 0 && (answer.stats?.memory?.usageBytes?.value ?? 0) > 0 && answer.stats;
    });
    assert.equal(stats.attributes?.metadata?.name, 'main');
    const pod = await host.connection.runtime.podSandboxStats({ podSandboxId: id });
    assert.equal(pod.stats?.linux?.containers.length, 1);
    assert.equal(pod.stats.linux.network?.defaultInterface?.name, 'eth0');
    await host.connection.runtime.updateContainerResources({ containerId: container, linux: { memoryLimitInBytes: 33_554_432 } });
    const { resources } = await host.status(container);
    assert.deepEqual([resources?.linux?.memoryLimitInBytes, resources?.linux?.cpuQuota], [33_554_432, 20_000]);
    if (!String(info['limits']).includes('"cgroupVersion":1') || !String(info['limits']).includes('memory')) return context.skip('the file below is that of cgroup v1');
    assert.equal(readFileSync(`/sys/fs/cgroup/memory${host.cgroupParent}/kubepods/podmeasured/${container}/memory.limit_in_bytes`, 'utf8').trim(), '33554432');
    await host.connection.runtime.stopContainer({ containerId: container, timeout: 0 });
  });

  test('removing a sandbox leaves the control group to the next one of the same pod', async (context) => {
    const { info } = await host.connection.runtime.status({ verbose: true });
    if (!String(info['limits']).includes('"cgroupVersion":1') || !String(info['limits']).includes('pids')) return context.skip('the folder below is that of cgroup v1');
    const group = `/sys/fs/cgroup/pids${host.cgroupParent}/kubepods/podkept`;
    const first = await host.runSandbox('kept');
    await host.connection.runtime.stopPodSandbox({ podSandboxId: first.id });
    mkdirSync(group, { recursive: true }); // as the kubelet does, with limits, before the first container
    const second = await host.runSandbox('kept', { metadata: { name: 'kept', uid: 'uid-kept', namespace: 'default', attempt: 1 } });
    await host.connection.runtime.removePodSandbox({ podSandboxId: first.id });
    assert.ok(existsSync(group));
    await host.connection.runtime.removePodSandbox({ podSandboxId: second.id });
    assert.ok(!existsSync(group));
  });

  test('an image that is nowhere fails as containerd fails', async () => {
    const pull = (image: string): Promise<unknown> => host.connection.images.pullImage({ image: { image } });
    await assert.rejects(pull('nginx:1.17.23'), (error) => isNotFound(error) && error.message
      === 'failed to pull and unpack image "docker.io/library/nginx:1.17.23": failed to resolve reference "docker.io/library/nginx:1.17.23": docker.io/library/nginx:1.17.23: not found');
    assert.equal((await host.connection.images.imageStatus({ image: { image: 'nginx:1.17.23' } })).image, undefined);
    const { image } = await host.connection.images.imageStatus({ image: { image: 'nginx:1.16.0' } });
    assert.equal(image?.spec?.annotations['kubreak.io/stand-in'], 'true');
  });

  test('a stopped sandbox has no network, and the next one of the same pod has a new address', async () => {
    const first = await host.runSandbox('again');
    await host.connection.runtime.stopPodSandbox({ podSandboxId: first.id });
    const { status } = await host.connection.runtime.podSandboxStatus({ podSandboxId: first.id });
    assert.equal(status?.state, 'SANDBOX_NOTREADY');
    assert.equal(status.network?.ip, '');
    const second = await host.runSandbox('again', { metadata: { name: 'again', uid: 'uid-again', namespace: 'default', attempt: 1 } });
    assert.notEqual(second.ip, first.ip);
    await host.connection.runtime.removePodSandbox({ podSandboxId: first.id });
    await host.connection.runtime.removePodSandbox({ podSandboxId: first.id });
    assert.equal((await host.connection.runtime.podSandboxStatus({ podSandboxId: second.id })).status?.network?.ip, second.ip);
  });

  test('a host port leads to the pod', async () => {
    const { id } = await host.runSandbox('ported', { portMappings: [{ protocol: 'TCP', containerPort: 80, hostPort: 8088 }] });
    await host.runContainer(id, 'nginx');
    await eventually('nginx behind the host port', () => host.run('curl', '-s', '--max-time', '1', 'http://10.250.0.1:8088/').catch(() => undefined));
    await host.connection.runtime.removePodSandbox({ podSandboxId: id });
    await assert.rejects(host.run('curl', '-s', '--max-time', '1', 'http://10.250.0.1:8088/'));
  });

  test('after a boot of the host all that ran has ended, addresses are new, and nothing is left over', async () => {
    const { id, ip } = await host.runSandbox('booted');
    const container = await host.runContainer(id, 'nginx');
    await host.shutDown();
    await host.boot();
    const status = await host.status(container);
    assert.deepEqual([status.state, status.exitCode, status.reason], ['CONTAINER_EXITED', 255, 'Unknown']);
    assert.equal((await host.connection.runtime.podSandboxStatus({ podSandboxId: id })).status?.state, 'SANDBOX_NOTREADY');
    const next = await host.runSandbox('booted', { metadata: { name: 'booted', uid: 'uid-booted', namespace: 'default', attempt: 1 } });
    assert.notEqual(next.ip, ip);
    await host.runContainer(next.id, 'nginx', { metadata: { name: 'main', attempt: 1 } });
  });

  for (const delayMs of [5, 25, 45, 65]) {
    test(`a kill -9 of the runtime ${delayMs} ms into the making of a pod leaves nothing half-made`, async () => {
      const name = `crash-${delayMs}`;
      const making = (async () => {
        const { id } = await host.runSandbox(name);
        await host.runContainer(id, SHELL, { command: ['sleep', '4242'] });
      })().catch(() => undefined);
      await sleep(delayMs);
      await host.killRuntime();
      await making;
      await host.startRuntime();
      const { items } = await host.connection.runtime.listPodSandbox({ filter: { labelSelector: { 'io.kubernetes.pod.name': name } } });
      for (const { id, state } of items) {
        assert.equal(state, 'SANDBOX_READY');
        const { status } = await host.connection.runtime.podSandboxStatus({ podSandboxId: id });
        assert.notEqual(status?.network?.ip, '');
      }
      for (const { id } of items) await host.connection.runtime.removePodSandbox({ podSandboxId: id });
      assert.equal((await host.run('sh', '-c', "ps -eo args | grep -c '^sleep 4242'; true")).trim(), '0');
      const again = await host.runSandbox(name, { metadata: { name, uid: 'again', namespace: 'default', attempt: 1 } });
      await host.runContainer(again.id, SHELL, { command: ['true'] });
    });
  }

  test('removing all sandboxes leaves no process, mount, namespace or group behind', async () => {
    const { items } = await host.connection.runtime.listPodSandbox({});
    for (const { id } of items) await host.connection.runtime.removePodSandbox({ podSandboxId: id });
    assert.equal((await host.run('sh', '-c', 'ip netns; ls /run/containerd/containers /run/containerd/sandboxes /run/containerd/exits | grep -v :; grep -c containerd /proc/self/mountinfo; true')).trim(), '0');
    assert.equal((await host.run('sh', '-c', 'ip -o link | grep -c cali; true')).trim(), '0');
    const processes = (await host.run('ps', '-eo', 'comm')).split('\n').map((line) => line.trim()).filter((name) => name !== '');
    assert.deepEqual([...new Set(processes)].filter((name) => !['COMMAND', 'sh', 'sleep', 'containerd', 'ps'].includes(name)), []);
    assert.deepEqual(readdirSync(join(host.folder, 'root/containers')), []);
    for (const controller of ['memory', 'cpu', 'pids', '']) {
      const folder = `/sys/fs/cgroup/${controller}${host.cgroupParent}/kubepods`;
      if (existsSync(folder)) assert.deepEqual(readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()), []);
    }
  });
});
