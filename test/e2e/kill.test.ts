// kill -9 of every component in turn, under a workload that serves and a client that writes: nothing that was
// acknowledged is lost, pods go on serving, and everything converges with no command.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connectToApiserver, TransportError, type ApiClient } from '#lib/api-client/client.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { isAlreadyExists, StatusError } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { TestCluster, until } from './cluster.ts';
import { Traffic } from './traffic.ts';

interface ProcessReport {
  readonly component: string;
  readonly host: string;
  readonly pid: number | null;
  readonly health: string;
  readonly restarts: number;
}

let cluster: TestCluster;
let api: ApiClient;

/** Writes ConfigMaps one after the other and remembers which were acknowledged. */
class Writer {
  readonly acknowledged: string[] = [];
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  start(): void {
    this.#running = this.#write();
  }
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }
  async #write(): Promise<void> {
    for (let index = 0; !this.#stopping.signal.aborted; index += 1) {
      const name = `written-${index}`;
      try {
        await api.create(configMapKind, { metadata: { name, namespace: 'default' }, data: { index: String(index) } });
        this.acknowledged.push(name);
      } catch (error) {
        if (isAlreadyExists(error)) this.acknowledged.push(name);
        else if (!(error instanceof TransportError) && !(error instanceof StatusError)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const status = async (): Promise<ProcessReport[]> => {
  const { code, stdout, stderr } = await cluster.kubreak(['status', '-o', 'json']);
  assert.equal(code, 0, stderr);
  return (JSON.parse(stdout) as { processes: ProcessReport[] }).processes;
};
const allHealthy = async (): Promise<boolean> => (await status()).every(({ health }) => health === 'healthy');

const readyReplicas = async (deployment: string): Promise<number> =>
  (await cluster.json<{ status: { readyReplicas?: number } }>('get', 'deployment', deployment)).status.readyReplicas ?? 0;

describe('kill -9 of each process in turn', { timeout: 560_000 }, () => {
  let writer: Writer;
  let traffic: Traffic;
  let replicas = 1;

  before(async () => {
    cluster = await TestCluster.start();
    api = connectToApiserver(await loadKubeconfig(cluster.kubeconfig), 'kubreak-test');
    await cluster.kubectlOk('create', '-f', cluster.writeFile('web.yaml', `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 80}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: scaled}
spec:
  replicas: 1
  selector: {matchLabels: {app: scaled}}
  template:
    metadata: {labels: {app: scaled}}
    spec: {containers: [{name: pause, image: 'registry.k8s.io/pause:3.10'}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`));
    await until('the workload is ready', async () => (await readyReplicas('web')) === 3);
    const { items } = await cluster.json<{ items: { status: { podIP: string } }[] }>('get', 'pods', '-l', 'app=web');
    const { spec } = await cluster.json<{ spec: { clusterIP: string } }>('get', 'service', 'web');
    traffic = new Traffic(cluster, 'm-k8s', [...items.map((pod) => pod.status.podIP), spec.clusterIP]);
    await until('the service answers', async () => {
      const { total, failed } = traffic.take();
      return total >= 4 && failed.length === 0;
    });
    writer = new Writer();
    writer.start();
  });
  after(async () => {
    traffic.stop();
    await writer.stop();
    await api.close();
    await cluster.down();
  });

  for (const target of ['etcd', 'apiserver', 'controller-manager', 'scheduler', 'kubelet@w1-k8s', 'container-runtime@w2-k8s', 'kube-proxy@m-k8s', 'calico-node@w3-k8s', 'coredns']) {
    test(`${target} comes back by itself; meanwhile the pods serve`, async () => {
      const [component = '', host] = target.split('@');
      const isTarget = (report: ProcessReport) => report.component === component && (host === undefined || report.host === host);
      await until('everything is healthy', allHealthy);
      const before = (await status()).filter(isTarget);
      traffic.take();
      const { code, stderr } = await cluster.kubreak(['kill', target]);
      assert.equal(code, 0, stderr);
      await until(`${target} runs again under another pid`, async () => {
        const now = (await status()).filter(isTarget);
        return now.length >= before.length && now.every(({ pid, health }) => pid !== null && health === 'healthy' && !before.some((old) => old.pid === pid));
      }, 90_000);
      await until('everything is healthy again', allHealthy, 90_000);
      const { total, failed } = traffic.take();
      assert.ok(total > 0, 'no request was made');
      assert.deepEqual(failed, [], 'requests failed while a component was down');
      replicas = replicas === 1 ? 3 : 1;
      await cluster.kubectlOk('scale', 'deployment', 'scaled', `--replicas=${replicas}`);
      await until(`the deployment has ${replicas} ready replicas`, async () => (await readyReplicas('scaled')) === replicas, 60_000);
    });
  }

  test('no acknowledged write was lost', async () => {
    await writer.stop();
    const { items } = await api.list(configMapKind, { namespace: 'default' });
    const present = new Set(items.map(({ metadata }) => metadata.name));
    assert.ok(writer.acknowledged.length > 20, `only ${writer.acknowledged.length} writes were acknowledged`);
    assert.deepEqual(writer.acknowledged.filter((name) => !present.has(name)), []);
  });
});
