// The experiments E1 to E6 and the certificate part of E8, step for step, with an unmodified kubectl.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { NGINX_POD, table, until, type DrivenCluster } from './cluster.ts';

let cluster: DrivenCluster;

interface PodView {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly phase: string; readonly podIP?: string; readonly containerStatuses?: readonly { readonly restartCount: number; readonly ready: boolean }[] };
}

const isReady = ({ status }: PodView): boolean => status.containerStatuses?.every(({ ready }) => ready) ?? false;

async function readyPod(name: string): Promise<PodView & { ip: string; host: string }> {
  return until(`${name} is Ready`, async () => {
    const pod = await cluster.json<PodView>('get', 'pod', name);
    return isReady(pod) && pod.status.podIP !== undefined && pod.spec.nodeName !== undefined && { ...pod, ip: pod.status.podIP, host: pod.spec.nodeName };
  });
}

const answers = async (from: string, ip: string): Promise<boolean> => (await cluster.on(from, 'curl', '-s', '-m', '2', `http://${ip}/`)).stdout.includes('<h1>Welcome to nginx!</h1>');

interface TracedStep {
  readonly step?: number;
  readonly atMs: number;
  readonly host: string;
  readonly component: string;
  readonly what: string;
  readonly resourceVersionWritten?: string;
}

async function traced(object: string): Promise<{ steps: readonly TracedStep[] }> {
  const { code, stdout, stderr } = await cluster.kubreak(['trace', object, '-o', 'json']);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as { steps: readonly TracedStep[] };
}

export interface ExperimentOptions {
  readonly skip?: string | false;
  /** Others use it afterwards. */
  readonly isKept?: boolean;
}

/** Defines the tests, on a new cluster. */
export function defineExperiments(title: string, start: () => Promise<DrivenCluster>, { skip = false, isKept = false }: ExperimentOptions = {}): void {
describe(title, { timeout: 560_000, skip }, () => {
  before(async () => {
    cluster = await start();
  });
  after(async () => {
    if (!isKept) await cluster.down();
  });

  test('E1: fifteen pods run in kube-system, all Running and 1/1', async () => {
    const expected = [/^calico-kube-controllers-[a-z0-9]+-[a-z0-9]{5}$/, /^coredns-[a-z0-9]+-[a-z0-9]{5}$/, /^coredns-[a-z0-9]+-[a-z0-9]{5}$/,
      ...Array.from({ length: 4 }, () => /^calico-node-[a-z0-9]{5}$/), ...Array.from({ length: 4 }, () => /^kube-proxy-[a-z0-9]{5}$/),
      /^etcd-m-k8s$/, /^kube-apiserver-m-k8s$/, /^kube-controller-manager-m-k8s$/, /^kube-scheduler-m-k8s$/];
    const rows = await until('all pods are Running and 1/1', async () => {
      const seen = table(await cluster.onOk('m-k8s', 'kubectl', 'get', 'pods', '--all-namespaces'));
      return seen.length === 15 && seen.every(({ READY, STATUS }) => READY === '1/1' && STATUS === 'Running') && seen;
    });
    const names = rows.map(({ NAME }) => NAME ?? '');
    for (const pattern of expected) {
      const at = names.findIndex((name) => pattern.test(name));
      assert.ok(at >= 0, `${String(pattern)} is missing`);
      names.splice(at, 1);
    }
    assert.ok(rows.every(({ NAMESPACE }) => NAMESPACE === 'kube-system'));
  });

  test('E2: the master lists four Ready nodes; a worker has to be given the admin kubeconfig', async () => {
    const nodes = table(await cluster.onOk('m-k8s', 'kubectl', 'get', 'nodes'));
    assert.deepEqual(nodes.map(({ NAME, STATUS, ROLES }) => [NAME, STATUS, ROLES]), [
      ['m-k8s', 'Ready', 'control-plane'], ['w1-k8s', 'Ready', '<none>'], ['w2-k8s', 'Ready', '<none>'], ['w3-k8s', 'Ready', '<none>']]);
    assert.ok(nodes.every(({ VERSION }) => VERSION?.startsWith('v1.36')));
    const refused = await cluster.on('w2-k8s', 'kubectl', 'get', 'nodes');
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /The connection to the server localhost:8080 was refused - did you specify the right host or port\?/);
    const config = await cluster.onOk('m-k8s', 'cat', '/etc/kubernetes/admin.conf');
    await cluster.onOk('w2-k8s', 'sh', '-c', `cat > admin.conf <<'E'\n${config}E`);
    assert.equal(table(await cluster.onOk('w2-k8s', 'kubectl', 'get', 'nodes', '--kubeconfig', 'admin.conf')).length, 4);
  });

  test('E3: a deleted pod stays Terminating while its kubelet is stopped, and goes when it starts', async () => {
    assert.equal(await cluster.kubectlOk('create', '-f', cluster.writeFile('nginx-pod.yaml', NGINX_POD)), 'pod/nginx-pod created\n');
    const { ip, host } = await readyPod('nginx-pod');
    const [row] = table(await cluster.kubectlOk('get', 'pods', '-o', 'wide'));
    assert.equal(row?.['READY'], '1/1');
    assert.equal(row?.['STATUS'], 'Running');
    assert.match(row?.['IP'] ?? '', /^172\.16\.\d+\.\d+$/);
    assert.match(row?.['NODE'] ?? '', /^w[123]-k8s$/);
    await cluster.onOk(host, 'systemctl', 'stop', 'kubelet');
    const deletion = cluster.kubectlStarted('delete', 'pod', 'nginx-pod');
    let printed = '';
    deletion.stdout?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    await until('kubectl says the pod is deleted', async () => printed.startsWith('pod "nginx-pod" deleted'));
    for (let round = 0; round < 20; round += 1) {
      assert.equal(table(await cluster.kubectlOk('get', 'pod'))[0]?.['STATUS'], 'Terminating');
      assert.equal(deletion.exitCode, null, 'kubectl delete did not wait');
    }
    assert.ok(await answers('m-k8s', ip), 'the container stopped answering though its kubelet could not have ended it');
    deletion.kill('SIGINT');
    await cluster.onOk(host, 'systemctl', 'start', 'kubelet');
    await until('the pod is gone', async () => (await cluster.kubectl(['get', 'pod'])).stderr === 'No resources found in default namespace.\n', 90_000);
    const { steps } = await traced('pod/nginx-pod');
    const at = (what: string, pattern: RegExp): number => steps.find((step) => pattern.test(step.what))?.atMs ?? assert.fail(`the trace does not tell of ${what}`);
    const moments = [at('the deletion', /DELETE pods\/nginx-pod: to be deleted, grace 30 s/), at('the start of the kubelet', /^start$/), at('the end of the container', /StopContainer/), at('the end of the pod', /DELETE pods\/nginx-pod: removed/)];
    assert.deepEqual(moments, moments.toSorted((a, b) => a - b));
    assert.equal(steps.find(({ what }) => what === 'start')?.host, host);
  });

  test('E4: without br_netfilter a restarted network drops packets for pods; a reboot brings the pod back elsewhere', async () => {
    const manifest = cluster.writeFile('nginx-pod.yaml', NGINX_POD);
    await cluster.kubectlOk('create', '-f', manifest);
    const pod = await readyPod('nginx-pod');
    assert.match(await cluster.onOk('m-k8s', 'curl', '-s', pod.ip), /<h1>Welcome to nginx!<\/h1>/);
    await cluster.onOk(pod.host, 'modprobe', '-r', 'br_netfilter');
    await cluster.onOk(pod.host, 'systemctl', 'restart', 'network');
    assert.equal((await cluster.on('m-k8s', 'curl', '-s', '-m', '3', pod.ip)).code, 28, 'curl should have hung');
    const [row] = table(await cluster.kubectlOk('get', 'pods', '-o', 'wide'));
    assert.deepEqual([row?.['READY'], row?.['STATUS'], row?.['IP']], ['1/1', 'Running', pod.ip]);
    await cluster.onOk(pod.host, 'modprobe', 'br_netfilter');
    await cluster.on(pod.host, 'reboot');
    const again = await until('the pod runs again with another address', async () => {
      const now = await cluster.json<PodView>('get', 'pod', 'nginx-pod');
      return isReady(now) && now.status.containerStatuses?.[0]?.restartCount === 1 && now.status.podIP !== pod.ip && now;
    }, 120_000);
    assert.match(table(await cluster.kubectlOk('get', 'pods', '-o', 'wide'))[0]?.['RESTARTS'] ?? '', /^1\b/);
    assert.equal(again.metadata.uid, pod.metadata.uid, 'it is the same pod');
    await until('the new address answers', () => answers('m-k8s', again.status.podIP ?? ''));
    assert.match(await cluster.kubectlOk('delete', '-f', manifest), /^pod "nginx-pod" deleted/);
  });

  test('E5: a pod is followed through the seven steps of its birth, from process to process', async () => {
    await cluster.kubectlOk('create', 'deployment', 'traced', '--image=nginx:1.14.2');
    const pod = await until('its pod is Ready', async () => (await cluster.json<{ items: PodView[] }>('get', 'pods', '-l', 'app=traced')).items.find(isReady));
    const { steps } = await until('all steps are told', async () => {
      const story = await traced(`pod/${pod.metadata.name}`);
      return story.steps.some(({ what }) => what.includes('phase Pending→Running')) && story;
    });
    const first = (number: number): TracedStep => steps.find(({ step }) => step === number) ?? assert.fail(`step ${number} is missing`);
    const numbers = [1, 2, 3, 4, 5, 6, 7];
    assert.deepEqual(numbers.map((number) => [first(number).host, first(number).component]), [
      [first(1).host, 'kubectl'], ['m-k8s', 'etcd'], ['m-k8s', 'kube-controller-manager'], ['m-k8s', 'kube-scheduler'],
      [pod.spec.nodeName, 'kubelet'], [pod.spec.nodeName, 'containerd'], [pod.spec.nodeName, 'kubelet'],
    ]);
    const places = numbers.map((number) => steps.indexOf(first(number)));
    assert.deepEqual(places, places.toSorted((a, b) => a - b), 'the steps are out of order');
    const versions = steps.slice(0, steps.findIndex(({ what }) => what.includes('phase Pending→Running')) + 2).flatMap(({ resourceVersionWritten }) => (resourceVersionWritten === undefined ? [] : Number(resourceVersionWritten)));
    assert.ok(versions.length >= 5, 'Deployment, ReplicaSet, pod, binding and status are written');
    assert.deepEqual(versions, versions.toSorted((a, b) => a - b));
    await cluster.kubectlOk('delete', 'deployment', 'traced');
  });

  test('E6: what is stopped does not act, what runs goes on, and everything converges when it is started again', async () => {
    await cluster.kubectlOk('create', '-f', cluster.writeFile('nginx-deployment.yaml', `apiVersion: apps/v1
kind: Deployment
metadata:
  name: nginx-deployment
spec:
  replicas: 2
  selector:
    matchLabels: {app: nginx}
  template:
    metadata:
      labels: {app: nginx}
    spec:
      containers:
      - name: nginx
        image: nginx:1.14.2
        ports: [{containerPort: 80}]
`));
    const ready = async (count: number) => (await cluster.json<{ status: { readyReplicas?: number } }>('get', 'deployment', 'nginx-deployment')).status.readyReplicas === count;
    const pods = async () => (await cluster.json<{ items: PodView[] }>('get', 'pods', '-l', 'app=nginx')).items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    await until('two replicas are ready', () => ready(2));

    assert.equal((await cluster.kubreak(['stop', 'controller-manager'])).code, 0);
    assert.match(await cluster.kubectlOk('scale', 'deployment', 'nginx-deployment', '--replicas=4'), /scaled/);
    for (let round = 0; round < 10; round += 1) assert.equal((await pods()).length, 2, 'pods were made without a controller manager');
    assert.equal((await cluster.kubreak(['start', 'controller-manager'])).code, 0);
    await until('four replicas are ready', () => ready(4));

    assert.equal((await cluster.kubreak(['stop', 'scheduler'])).code, 0);
    await cluster.kubectlOk('scale', 'deployment', 'nginx-deployment', '--replicas=5');
    const pending = await until('the fifth pod is there', async () => (await pods()).find(({ spec }) => spec.nodeName === undefined));
    for (let round = 0; round < 10; round += 1) {
      const now = await cluster.json<PodView>('get', 'pod', pending.metadata.name);
      assert.equal(now.status.phase, 'Pending');
      assert.equal(now.spec.nodeName, undefined);
    }
    assert.equal((await cluster.kubreak(['start', 'scheduler'])).code, 0);
    await until('five replicas are ready', () => ready(5));

    const serving = (await pods()).map(({ status }) => status.podIP ?? '');
    assert.equal((await cluster.kubreak(['stop', 'etcd'])).code, 0);
    const failed = await cluster.kubectl(['get', 'configmap', 'no-such-thing', '--request-timeout=20s']);
    assert.notEqual(failed.code, 0);
    assert.doesNotMatch(failed.stderr, /NotFound/, 'the API server answered from nowhere');
    for (const ip of serving) assert.ok(await answers('w1-k8s', ip), `${ip} stopped serving`);
    assert.equal((await cluster.kubreak(['start', 'etcd'])).code, 0);
    await until('the API server answers again', async () => (await cluster.kubectl(['get', 'nodes'])).code === 0, 120_000);
    await cluster.kubectlOk('scale', 'deployment', 'nginx-deployment', '--replicas=1');
    await until('one replica is left', async () => (await pods()).length === 1 && ready(1), 120_000);
    await cluster.kubectlOk('delete', 'deployment', 'nginx-deployment');
  });

  test('E8: etcd refuses a client without the right certificate', async () => {
    const etcdctl = (...flags: string[]) => cluster.on('m-k8s', 'env', 'ETCDCTL_API=3', 'etcdctl', '--endpoints=https://127.0.0.1:2379', '--dial-timeout=2s', '--command-timeout=3s', ...flags, 'get', '/registry/namespaces/default', '--keys-only');
    const etcd = '/etc/kubernetes/pki/etcd';
    const allowed = await etcdctl(`--cacert=${etcd}/ca.crt`, `--cert=${etcd}/healthcheck-client.crt`, `--key=${etcd}/healthcheck-client.key`);
    assert.equal(allowed.stdout.trim(), '/registry/namespaces/default', allowed.stderr);
    const refused = await Promise.all([
      etcdctl(`--cacert=${etcd}/ca.crt`),
      etcdctl(`--cacert=${etcd}/ca.crt`, '--cert=/etc/kubernetes/pki/apiserver-kubelet-client.crt', '--key=/etc/kubernetes/pki/apiserver-kubelet-client.key'),
    ]);
    for (const { code, stdout } of refused) {
      assert.notEqual(code, 0);
      assert.equal(stdout, '');
    }
  });
});
}
