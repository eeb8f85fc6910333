// A worker that runs Debian's containerd and runc in place of the container runtime of this project, with the same pods.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { freePort } from '#lib/testing/free-ports.ts';
import { until } from '../e2e/cluster.ts';
import type { ComposeCluster } from './cluster.ts';

const HOST = 'w3-k8s';
const WEB = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {kubernetes.io/hostname: ${HOST}}
      terminationGracePeriodSeconds: 1
      containers: [{name: web, image: nginx, readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: host-port}
spec:
  nodeName: ${HOST}
  containers: [{name: web, image: "nginx:1.28", ports: [{containerPort: 80, hostPort: 8088}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: elsewhere}
spec:
  nodeName: w1-k8s
  containers: [{name: web, image: nginx}]
`;
/** One container each: how it has to end. */
const UNFORTUNATE: Readonly<Record<string, { container: string; restartPolicy?: string; shows: RegExp }>> = {
  crash: { container: 'image: "busybox:1.36", command: [sh, -c, "echo last words; exit 3"]', shows: /exitCode":3,.*CrashLoopBackOff/ },
  // containerd listens for what the kernel kills only when the program has been started: on a busy machine too late for one that eats at once.
  oom: { container: 'image: "busybox:1.36", command: [sh, -c, "sleep 3; head -c 100m /dev/zero | tail"], resources: {limits: {memory: 20Mi}}', restartPolicy: 'Never', shows: /"reason":"OOMKilled"/ },
  disk: { container: 'image: "busybox:1.36", command: [sh, -c, "head -c 20m /dev/zero >/file; sleep 1000"], resources: {limits: {ephemeral-storage: 5Mi}}', shows: /"reason":"Evicted"/ },
  nosuch: { container: 'image: "busybox:1.36", command: [nosuch]', restartPolicy: 'Never', shows: /exec: \\"nosuch\\": executable file not found in \$PATH.*"reason":"StartError"/ },
  never: { container: 'image: "busybox:1.35", imagePullPolicy: Never', shows: /"reason":"ErrImageNeverPull"/ },
  unknown: { container: 'image: "nginx:9.9.9"', shows: /"reason":"(?:ErrImagePull|ImagePullBackOff)"/ },
};

/** Defines the tests, on a cluster that they end. */
export function defineContainerdTests(name: string, start: () => Promise<ComposeCluster>): void {
  describe(name, { timeout: 560_000 }, () => {
    let cluster: ComposeCluster;
    const runtimeIs = (version: RegExp): Promise<boolean> => until(`${HOST} is Ready with ${String(version)}`, async () => {
      const node = await cluster.kubectlOk('get', 'node', HOST, '-o', 'jsonpath={.status.nodeInfo.containerRuntimeVersion} {.status.conditions[?(@.type=="Ready")].status}');
      return version.test(node) && node.endsWith(' True');
    }, 120_000);
    const addressOf = (pod: string): Promise<string> => cluster.kubectlOk('get', 'pod', pod, '-o', 'jsonpath={.status.podIP}');
    const webPods = async (): Promise<string[]> => (await cluster.kubectlOk('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].metadata.name}')).split(' ');
    const restarts = (): Promise<string> => cluster.kubectlOk('get', 'pods', '-A', '--field-selector', `spec.nodeName=${HOST}`, '--sort-by=.metadata.name', '-o', 'jsonpath={.items[*].status.containerStatuses[*].restartCount}');
    const serves = async (host: string, address: string): Promise<boolean> => (await cluster.on(host, 'curl', '-s', '-m', '2', address)).stdout.includes('Welcome to nginx!');
    const allServe = (): Promise<boolean> => until(`pods on ${HOST} serve`, async () => {
      assert.match(await cluster.kubectlOk('get', 'deployment', 'web', '--no-headers'), / 2\/2 /);
      return (await Promise.all((await webPods()).map(async (pod) => serves('w1-k8s', await addressOf(pod))))).every((ok) => ok);
    });

    before(async () => {
      cluster = await start();
      await cluster.setRuntimeOfW3('containerd');
      await runtimeIs(/^containerd:\/\/1\./);
      await cluster.kubectlOk('apply', '-f', cluster.writeFile('web.yaml', WEB));
      await cluster.kubectlOk('rollout', 'status', 'deployment/web', '--timeout=60s');
      await cluster.kubectlOk('wait', 'pod', 'host-port', 'elsewhere', '--for=condition=Ready', '--timeout=60s');
      // They take their time; looked at later.
      const unfortunate = Object.entries(UNFORTUNATE).map(([pod, { container, restartPolicy = 'Always' }]) => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${pod}}\nspec: {nodeName: ${HOST}, terminationGracePeriodSeconds: 1, restartPolicy: ${restartPolicy}, containers: [{name: c, ${container}}]}\n`);
      await cluster.kubectlOk('apply', '-f', cluster.writeFile('unfortunate.yaml', unfortunate.join('---\n')));
    });
    after(async () => {
      await cluster?.down();
    });

    test('its pods are reached by their address, by the service, and by the port of the host', async () => {
      const service = await cluster.kubectlOk('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}');
      const addresses = [...(await Promise.all((await webPods()).map(addressOf))), service, '192.168.1.103:8088'];
      await Promise.all(['m-k8s', 'w1-k8s', HOST].flatMap((host) => addresses.map((address) => until(`${host} reaches ${address}`, () => serves(host, address), 30_000))));
    });

    test('its pods have names, and reach pods of the other runtime and are reached by them', async () => {
      const [web = ''] = await webPods();
      assert.match(await cluster.kubectlOk('exec', web, '--', 'curl', '-s', '-m', '3', await addressOf('elsewhere')), /Welcome to nginx!/);
      assert.match(await cluster.kubectlOk('exec', 'elsewhere', '--', 'curl', '-s', '-m', '3', await addressOf(web)), /Welcome to nginx!/);
      await until('the name of the service leads to it', async () => (await cluster.kubectl(['exec', web, '--', 'curl', '-s', '-m', '3', 'http://web'])).stdout.includes('Welcome to nginx!'), 30_000);
    });

    test('logs, exec, port-forward', async () => {
      const [web = ''] = await webPods();
      assert.match(await cluster.kubectlOk('logs', web, '--tail=1'), /GET \/ HTTP/);
      assert.equal((await cluster.kubectl(['exec', web, '--', 'sh', '-c', 'hostname; exit 7'])).stdout.trim(), web);
      assert.equal((await cluster.kubectl(['exec', web, '--', 'sh', '-c', 'exit 7'])).code, 7);
      const port = await freePort();
      const forward = cluster.kubectlStarted('port-forward', web, `${port}:80`);
      try {
        await until('the forwarded port answers', async () => (await fetch(`http://127.0.0.1:${port}`)).ok, 10_000);
      } finally {
        forward.kill();
      }
    });

    test('a program that is killed is started again', async () => {
      const [, web = ''] = await webPods();
      await cluster.kubectlOk('exec', web, '--', 'sh', '-c', 'kill -QUIT 1');
      await until('a restart is counted', async () => (await cluster.kubectlOk('get', 'pod', web, '-o', 'jsonpath={.status.containerStatuses[0].restartCount}')) === '1');
      await allServe();
    });

    test('crashes, limits, evictions, and images that are not there', async () => {
      for (const [pod, { shows }] of Object.entries(UNFORTUNATE)) {
        await until(`${pod} shows ${String(shows)}`, async () => {
          const status = JSON.stringify(((await cluster.json<{ status: object }>('get', 'pod', pod)).status));
          assert.match(status, shows);
          return true;
        }, 120_000);
      }
      assert.equal(await cluster.kubectlOk('logs', 'crash'), 'last words\n');
      await cluster.kubectlOk('delete', 'pod', ...Object.keys(UNFORTUNATE), '--now');
    });

    test('containerd is killed: pods go on, and it finds them again', async () => {
      const before = await restarts();
      await cluster.onOk(HOST, 'pkill', '-KILL', '-x', 'containerd');
      for (const pod of await webPods()) assert.ok(await serves('w1-k8s', await addressOf(pod)));
      await until('containerd is back', async () => (await cluster.on(HOST, 'systemctl', 'is-active', 'containerd')).stdout === 'active\n');
      await until('commands run in pods', async () => (await cluster.kubectl(['exec', 'host-port', '--', 'true'])).code === 0);
      assert.equal(await restarts(), before);
      assert.match((await cluster.kubreak(['status'])).stdout, new RegExp(`^container-runtime +${HOST} +\\d+ +healthy`, 'm'));
    });

    test('kube-proxy is stopped, stays down, and is started again', async () => {
      const kubreak = async (...args: string[]): Promise<void> => {
        const { code, stderr } = await cluster.kubreak(args);
        assert.equal(code, 0, stderr);
      };
      const describePods = (): Promise<string> => cluster.kubectlOk('get', 'pods', '-n', 'kube-system', '-l', 'k8s-app=kube-proxy', '--field-selector', `spec.nodeName=${HOST}`, '-o', 'jsonpath={.items[*].status.containerStatuses[*].state} {.items[*].status.containerStatuses[*].lastState}');
      await kubreak('stop', `kube-proxy@${HOST}`);
      // The state says so for less than a second, until the kubelet waits for its next attempt.
      await until('the kubelet is refused', async () => /^\{"waiting":.*container \\"kube-proxy\\" is held down on this host/.test(await describePods()));
      await kubreak('start', `kube-proxy@${HOST}`);
      await until('it runs', async () => (await describePods()).startsWith('{"running"'));
    });

    test('the host reboots: pods come back with other addresses, and the old ones are free', async () => {
      const before = await Promise.all((await webPods()).map(addressOf));
      const { code, stderr } = await cluster.kubreak(['reboot', HOST]);
      assert.equal(code, 0, stderr);
      await until('pods have other addresses', async () => (await Promise.all((await webPods()).map(addressOf))).every((address) => address !== '' && !before.includes(address)), 120_000);
      await cluster.kubectlOk('rollout', 'status', 'deployment/web', '--timeout=60s');
      await allServe();
      await until('each pod has one address', async () => {
        const held = (await cluster.onOk(HOST, 'sh', '-c', 'ls /var/lib/cni/networks/k8s-pod-network')).split('\n').filter((file) => /^\d+\.\d+\.\d+\.\d+$/.test(file));
        const { items } = await cluster.json<{ items: { status: { podIP: string } }[] }>('get', 'pods', '-A', '--field-selector', `spec.nodeName=${HOST}`);
        assert.deepEqual(held.sort(), items.map(({ status }) => status.podIP).filter((address) => address.startsWith('172.16.')).sort());
        return true;
      });
    });

    test('the variable decides: back to the runtime of this project, and nothing but that host is touched', async () => {
      const started = (): Promise<string> => cluster.docker('inspect', '-f', '{{.Name}} {{.State.StartedAt}}', 'm-k8s', 'apiserver', 'w1-k8s');
      const before = await started();
      await cluster.setRuntimeOfW3('');
      await runtimeIs(/-kubreak /);
      await cluster.whole();
      await allServe();
      assert.equal(await started(), before);
    });
  });
}
