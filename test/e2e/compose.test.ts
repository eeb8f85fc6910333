// The cluster of docker-compose.yml with a real Docker Engine: the experiments, and what docker compose does to its containers.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ComposeCluster } from '../compose/cluster.ts';
import { defineContainerdTests } from '../compose/containerd.ts';
import { runCommand, until } from './cluster.ts';
import { defineExperiments } from './experiments.ts';

/** One for each lever, among those that take seconds with fast failure detection; the first two stay in their own namespaces. */
const DRILLS = [
  'out-of-memory', 'crash-loop',
  'apiserver-killed', 'etcd-paused', 'kubelet-stopped', 'slow-network', 'dns-down', 'etcd-disk-slow', 'clock-past-certificates', 'api-server-refuses',
];
const DRILLS_TIMEOUT_MS = 420_000;

// One cluster in containers can run on a machine at a time: all their tests are in this file. Those with upstream's timings share one, for a
// start and an end take most of a minute.
let shared: ComposeCluster | undefined;
const sharedCluster = async (): Promise<ComposeCluster> => (shared ??= await ComposeCluster.start());
defineExperiments('the experiments in containers', sharedCluster, { isKept: true });
defineContainerdTests('a worker with the real containerd', sharedCluster);

describe('what docker compose does to a cluster', { timeout: 700_000 }, () => {
  let cluster: ComposeCluster;
  const kubreakOk = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await cluster.kubreak(args);
    assert.equal(code, 0, `kubreak ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  const apiAnswers = async (): Promise<boolean> => (await cluster.kubectl(['get', 'namespace', 'default', '--request-timeout=3s'])).code === 0;
  const nodeIs = (node: string, status: RegExp): Promise<boolean> => until(`${node} is ${String(status)}`, async () => status.test(await cluster.kubectlOk('get', 'node', node, '--no-headers')), 120_000);

  before(async () => {
    cluster = await ComposeCluster.start({ isFast: true });
    await cluster.whole();
    await cluster.kubectlOk('create', 'deployment', 'web', '--image=nginx', '--replicas=3');
    await cluster.kubectlOk('rollout', 'status', 'deployment/web', '--timeout=60s');
  });
  after(async () => {
    await cluster.down();
  });
  const webAddresses = async (): Promise<string[]> => (await cluster.kubectlOk('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].status.podIP}')).split(' ');
  const serves = async (ip: string, from = 'm-k8s'): Promise<boolean> => (await cluster.on(from, 'curl', '-s', '-m', '2', ip)).stdout.includes('Welcome to nginx!');
  /** Asked inside the pods of a host: without its network it has no address to ask from itself. */
  const podsGoOn = async (host: string): Promise<void> => {
    const script = 'for n in $(ip netns list | cut -d" " -f1); do ip netns exec $n curl -s -m 2 127.0.0.1; done';
    assert.match((await cluster.on(host, 'sh', '-c', script)).stdout, /Welcome to nginx!/, `no pod of ${host} serves`);
  };
  const allServe = async (): Promise<void> => {
    await until('all pods serve', async () => (await Promise.all((await webAddresses()).map((ip) => serves(ip)))).every((ok) => ok));
  };

  test('a killed etcd stays down, pods serve on, and `up -d` brings it back with its data', async () => {
    await cluster.composeOk(['kill', 'etcd']);
    for (let round = 0; round < 3; round += 1) assert.equal(await apiAnswers(), false);
    assert.equal(cluster.state('etcd'), 'exited');
    await podsGoOn('w1-k8s');
    await cluster.up();
    await until('the API server answers', apiAnswers, 30_000);
    assert.equal((await webAddresses()).length, 3);
    await cluster.whole();
  });
  test('a process that dies inside its container is started again by the kubelet, and logs show on both sides', async () => {
    await cluster.on('scheduler', 'pkill', '-KILL', '-f', '^kube-scheduler');
    await until('the mirror pod counts a restart', async () => /kube-scheduler-m-k8s +1\/1 +Running +[1-9]/.test(await cluster.kubectlOk('get', 'pods', '-n', 'kube-system', '--no-headers')));
    const own = await cluster.kubectlOk('logs', '-n', 'kube-system', 'kube-scheduler-m-k8s', '--tail=1');
    assert.ok((await cluster.composeOk(['logs', '--no-color', 'scheduler'])).includes(own.trim().slice(0, 60)));
  });

  test('a paused API server hangs, and goes on where it was', async () => {
    await cluster.composeOk(['pause', 'apiserver']);
    assert.match((await cluster.kubectl(['get', 'nodes', '--request-timeout=2s'])).stderr, /imeout|deadline/);
    await cluster.composeOk(['unpause', 'apiserver']);
    await until('the API server answers', apiAnswers, 30_000);
    await cluster.whole();
  });

  test('a worker that is cut off becomes NotReady, keeps its pods, and is Ready when it is connected again', async () => {
    await cluster.docker('network', 'disconnect', cluster.network, 'w1-k8s');
    await nodeIs('w1-k8s', /NotReady/);
    await podsGoOn('w1-k8s');
    await cluster.docker('network', 'connect', '--ip', '192.168.1.101', cluster.network, 'w1-k8s');
    await nodeIs('w1-k8s', / Ready/);
    await allServe();
    await cluster.whole();
  });

  test('a master that is cut off takes the API server with it, until it is connected again', async () => {
    await cluster.docker('network', 'disconnect', cluster.network, 'm-k8s');
    assert.equal(await apiAnswers(), false);
    await cluster.docker('network', 'connect', '--ip', '192.168.1.10', cluster.network, 'm-k8s');
    await until('the API server answers', apiAnswers);
    await cluster.whole();
    await allServe();
  });

  test('restarted and killed hosts come back, with the control plane in the network of the new m-k8s', async () => {
    await kubreakOk('api-fault', 'enable'); // written to m-k8s's disk, like all that is changed there; a drill needs it
    await cluster.composeOk(['restart', '-t', '1', 'm-k8s', 'w2-k8s']);
    await cluster.whole();
    await cluster.composeOk(['kill', 'm-k8s', 'w3-k8s', 'apiserver']);
    await cluster.up();
    await cluster.whole();
    await allServe();
  });

  test('what is for pods that no host has is refused, not sent out by way of the machine', async () => {
    assert.equal((await cluster.on('w1-k8s', 'curl', '-s', '-m', '5', '172.16.255.1')).code, 7);
  });

  test('a network fault loses its share on a container that is restarted, and heal takes the rest away', async () => {
    const hears = async (): Promise<boolean> => (await cluster.on('w1-k8s', 'ping', '-c', '1', '-W', '1', '192.168.1.10')).code === 0;
    const state = async (): Promise<string> => (await kubreakOk('faults')).split('\n').slice(1).join('\n');
    await kubreakOk('isolate', 'w1-k8s');
    assert.equal(await hears(), false);
    assert.match(await state(), /in force +isolate w1-k8s/);
    await cluster.composeOk(['restart', '-t', '1', 'w1-k8s']);
    assert.match(await state(), /in part +isolate w1-k8s/);
    await kubreakOk('heal');
    assert.equal(await kubreakOk('faults'), 'nothing is broken\n');
    await until('w1-k8s hears m-k8s', hears);
    assert.doesNotMatch((await cluster.on('m-k8s', 'nft', 'list', 'tables')).stdout, /kubreak/);
    await cluster.whole();
  });

  test('drills pass as on a local cluster', { timeout: DRILLS_TIMEOUT_MS }, async (context) => {
    const { code, stdout, stderr } = await cluster.kubreak(['drill', 'run', '--parallel', ...DRILLS], { timeoutMs: DRILLS_TIMEOUT_MS });
    for (const [outcome] of stdout.matchAll(/^\S+: passed after .*$/gm)) context.diagnostic(outcome);
    assert.equal(code, 0, `${stdout}${stderr}`);
  });

  test('`down` and `up` keep the data, and leave no control groups behind', async () => {
    await cluster.composeOk(['down', '-t', '1']);
    assert.equal((await runCommand('find', ['/sys/fs/cgroup', '-type', 'd', '-path', '*/docker/*/kubepods*'])).stdout, '');
    await cluster.up();
    await cluster.whole();
    await allServe();
  });
});
