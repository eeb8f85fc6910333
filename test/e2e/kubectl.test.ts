// A working day with kubectl: what people type most, against a whole cluster, and what they see when something is wrong.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { table, TestCluster, until } from './cluster.ts';

let cluster: TestCluster;

interface ContainerStatusView {
  readonly restartCount: number;
  readonly state: { readonly waiting?: { readonly reason: string }; readonly terminated?: { readonly reason: string; readonly startedAt: string } };
  readonly lastState: { readonly terminated?: { readonly reason: string; readonly exitCode: number; readonly startedAt: string; readonly message?: string } };
}
interface PodView {
  readonly metadata: { readonly name: string; readonly generation: number };
  readonly status: { readonly phase: string; readonly containerStatuses?: readonly ContainerStatusView[] };
}

const pod = (name: string, spec: object) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: name } }, spec: { terminationGracePeriodSeconds: 1, ...spec } });
const busybox = (script: string, more: object = {}) => ({ containers: [{ name: 'c', image: 'busybox', command: ['sh', '-c', script], ...more }] });
const service = (name: string, spec: object) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { selector: { app: 'web' }, ports: [{ port: 8080, targetPort: 'http' }], ...spec } });
const manifest = (...items: readonly object[]): string => cluster.writeFile('objects.json', JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));

/** Three pods, each of which answers with its own name. */
const web = {
  apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' },
  spec: {
    replicas: 3, selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{
          name: 'nginx', image: 'nginx:1.14.2', ports: [{ containerPort: 80, name: 'http' }],
          lifecycle: { postStart: { exec: { command: ['sh', '-c', 'hostname > /usr/share/nginx/html/index.html'] } } },
        }],
      },
    },
  },
};

const statusOf = async (name: string): Promise<ContainerStatusView | undefined> => (await cluster.json<PodView>('get', 'pod', name)).status.containerStatuses?.[0];
const waitingReason = async (name: string): Promise<string | undefined> => (await statusOf(name))?.state.waiting?.reason;
const inClient = (script: string) => cluster.kubectl(['exec', 'client', '--', 'sh', '-c', script]);

describe('a working day with kubectl', { timeout: 300_000 }, () => {
  before(async () => {
    cluster = await TestCluster.start();
    await cluster.kubectlOk('create', '-f', manifest(
      web, pod('client', busybox('echo ready; sleep 3600')),
      service('web', { type: 'NodePort' }), service('sticky', { sessionAffinity: 'ClientIP' }), service('headless', { clusterIP: 'None' }), service('empty', { selector: { app: 'nobody' } }),
      // those that will fail, early: some of the failures take their time
      pod('badimage', { containers: [{ name: 'c', image: 'nginx:1.17.23' }] }), pod('nocommand', { containers: [{ name: 'c', image: 'busybox', command: ['nosuchcommand'] }] }),
      pod('noconfig', busybox('sleep 60', { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'missing', key: 'a' } } }] })),
      pod('crash', busybox('echo bye > /dev/termination-log; exit 7')), pod('done', { ...busybox('exit 0'), restartPolicy: 'Never' }), pod('failed', { ...busybox('exit 1'), restartPolicy: 'Never' }),
    ));
    await cluster.kubectlOk('rollout', 'status', 'deployment/web', '--timeout=60s');
    await cluster.kubectlOk('wait', '--for=condition=Ready', 'pod/client', '--timeout=60s');
  });
  after(() => cluster.down());

  test('apply changes what has changed, and diff shows it', async () => {
    const write = (value: string): string => cluster.writeFile('config.yaml', `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {key: ${value}}\n`);
    const file = write('one');
    assert.equal(await cluster.kubectlOk('apply', '-f', file), 'configmap/settings created\n');
    assert.equal(await cluster.kubectlOk('apply', '-f', file), 'configmap/settings unchanged\n');
    write('two');
    const diff = await cluster.kubectl(['diff', '-f', file]);
    assert.deepEqual([diff.code, /^-\s+key: one$/m.test(diff.stdout), /^\+\s+key: two$/m.test(diff.stdout)], [1, true, true], diff.stderr);
    assert.equal(await cluster.kubectlOk('apply', '-f', file), 'configmap/settings configured\n');
  });

  test('server-side apply takes over from client-side apply, meets conflicts, and forces them', async () => {
    const write = (data: string): string => cluster.writeFile('owned.yaml', `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owned}\ndata: ${data}\n`);
    const file = write('{a: one, b: one}');
    await cluster.kubectlOk('apply', '-f', file);
    write('{a: two, b: one}');
    assert.equal(await cluster.kubectlOk('apply', '--server-side', '-f', file), 'configmap/owned serverside-applied\n');
    const conflict = await cluster.kubectl(['apply', '--server-side', '--field-manager=other', '-f', write('{a: three}')]);
    assert.equal(conflict.code, 1);
    assert.match(conflict.stderr, /^error: Apply failed with \d conflicts?: conflicts? with "kubectl/);
    assert.match(conflict.stderr, /\.data\.a/);
    const diff = await cluster.kubectl(['diff', '--server-side', '--force-conflicts', '--field-manager=other', '-f', file]);
    assert.deepEqual([diff.code, /^-\s+a: two$/m.test(diff.stdout), /^\+\s+a: three$/m.test(diff.stdout)], [1, true, true], diff.stderr);
    await cluster.kubectlOk('apply', '--server-side', '--force-conflicts', '--field-manager=other', '-f', file);
    assert.equal(await cluster.kubectlOk('get', 'configmap', 'owned', '-o', 'jsonpath={.data.a} {.data.b}'), 'three one');
    assert.doesNotMatch(await cluster.kubectlOk('apply', 'view-last-applied', 'configmap', 'owned'), /three/);
    assert.equal(await cluster.kubectlOk('apply', '--server-side', '--dry-run=server', '--field-manager=other', '-f', file), 'configmap/owned serverside-applied (server dry run)\n');
    const { metadata } = JSON.parse(await cluster.kubectlOk('get', '--raw', '/api/v1/namespaces/default/configmaps/owned')) as { metadata: { managedFields: { manager: string; operation: string }[] } };
    assert.ok(metadata.managedFields.some(({ manager, operation }) => manager === 'other' && operation === 'Apply'));
  });

  test('explain tells what a field means, and an unknown field is refused where it stands', async () => {
    const explained = await cluster.kubectlOk('explain', 'deployment.spec.strategy');
    assert.match(explained, /The deployment strategy to use to replace existing pods with new ones\./);
    assert.match(explained, /rollingUpdate\s+</);
    const unknown = { ...web, metadata: { name: 'unknown' }, spec: { ...web.spec, foo: 'bar' } };
    const refused = await cluster.kubectl(['create', '-f', cluster.writeFile('unknown.json', JSON.stringify(unknown))]);
    assert.deepEqual([refused.code, /unknown field "?(spec\.)?foo"?/.test(refused.stderr)], [1, true], refused.stderr);
  });

  test('a rollout is followed, listed and undone', async () => {
    await cluster.kubectlOk('create', 'deployment', 'roll', '--image=nginx:1.14.2');
    await cluster.kubectlOk('set', 'image', 'deployment/roll', 'nginx=nginx:1.16.1');
    assert.match(await cluster.kubectlOk('rollout', 'status', 'deployment/roll', '--timeout=60s'), /deployment "roll" successfully rolled out\n$/);
    await cluster.kubectlOk('rollout', 'undo', 'deployment/roll');
    assert.match(await cluster.kubectlOk('rollout', 'status', 'deployment/roll', '--timeout=60s'), /successfully rolled out\n$/);
    assert.deepEqual(table(await cluster.kubectlOk('rollout', 'history', 'deployment/roll').then((text) => text.slice(text.indexOf('REVISION')))).map(({ REVISION }) => REVISION), ['2', '3']);
    assert.equal(await cluster.kubectlOk('get', 'deployment', 'roll', '-o', 'jsonpath={.spec.template.spec.containers[0].image} {.status.unavailableReplicas}'), 'nginx:1.14.2 ');
    await cluster.kubectlOk('delete', 'deployment', 'roll', '--cascade=foreground');
  });

  test('exec hands over input, output and the exit code; logs and files come back', async () => {
    const { code, stdout, stderr } = await cluster.kubectl(['exec', 'client', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7']);
    assert.deepEqual([code, stdout], [7, 'out\n']);
    assert.match(stderr, /^err\ncommand terminated with exit code 7\n$/m); // after what kubectl may say of a message that came early
    const nothing = await cluster.kubectl(['exec', 'client', '--', 'nosuchcommand']);
    assert.match(nothing.stderr, /Internal error occurred: error executing command in container: .*exec: "nosuchcommand": executable file not found in \$PATH/);
    assert.equal(await cluster.kubectlOk('logs', 'client'), 'ready\n');
    const bytes = Buffer.alloc(1_000_000, 'kubreak');
    const file = cluster.writeFile('bytes', '');
    writeFileSync(file, bytes);
    await cluster.kubectlOk('cp', file, 'client:/tmp/bytes');
    await cluster.kubectlOk('cp', 'client:/tmp/bytes', `${file}.back`);
    assert.ok(readFileSync(`${file}.back`).equals(bytes));
    assert.equal((await cluster.json<PodView>('get', 'pod', 'client')).metadata.generation, 1);
  });

  test('services are found by name and answer; one without endpoints refuses', async () => {
    const names = await until('all three pods answer', async () => {
      const { stdout } = await inClient('for n in 1 2 3 4 5 6 7 8 9 10 11 12; do curl -s -m 2 http://web:8080; done');
      const seen = new Set(stdout.trim().split('\n'));
      return seen.size === 3 && seen;
    });
    assert.ok([...names].every((name) => name.startsWith('web-')));
    assert.equal(new Set((await inClient('for n in 1 2 3 4 5 6; do curl -s -m 2 http://sticky:8080; done')).stdout.trim().split('\n')).size, 1);
    assert.equal((await inClient('nslookup headless.default.svc.cluster.local')).stdout.match(/^Address: 172\.16\./gm)?.length, 3);
    assert.equal((await inClient('curl -s -m 2 http://empty:8080')).code, 7);
    const nodePort = await cluster.kubectlOk('get', 'service', 'web', '-o', 'jsonpath={.spec.ports[0].nodePort}');
    assert.match(await cluster.onOk('m-k8s', 'curl', '-s', '-m', '2', `http://192.168.1.103:${nodePort}`), /^web-/);
  });

  test('a pod reaches the API server with its token, and the kubelet not at all', async () => {
    const { stdout } = await inClient(`cd /var/run/secrets/kubernetes.io/serviceaccount; set -- --cacert ca.crt -H "Authorization: Bearer $(cat token)"
      curl -s -m 5 "$@" https://kubernetes.default/api | head -c 21; echo; curl -s -m 5 "$@" -o /dev/null -w '%{http_code}\\n' https://kubernetes.default/api/v1/nodes
      curl -sk -m 5 -w ' %{http_code}\\n' https://192.168.1.101:10250/pods; curl -sk -m 5 -o /dev/null -w '%{http_code}\\n' "$@" https://192.168.1.101:10250/pods`);
    assert.deepEqual(stdout.trim().split('\n'), ['{"kind":"APIVersions"', '403', 'Unauthorized 401', '403']);
  });

  test('pods that cannot run say why', async () => {
    assert.match(await until('badimage is given up', async () => (await waitingReason('badimage')) ?? undefined), /^(ErrImagePull|ImagePullBackOff)$/);
    assert.match((await cluster.kubectl(['logs', 'badimage'])).stderr, /container "c" in pod "badimage" is waiting to start: (image can't be pulled|trying and failing to pull image)/);
    await until('noconfig is refused', async () => (await waitingReason('noconfig')) === 'CreateContainerConfigError');
    const start = await until('nocommand has failed twice', async () => (await statusOf('nocommand'))?.lastState.terminated);
    assert.deepEqual([start.reason, start.exitCode, start.startedAt], ['StartError', 128, '1970-01-01T00:00:00Z']);
    assert.match(start.message ?? '', /exec: "nosuchcommand": executable file not found in \$PATH/);
    await until('crash is backed off', async () => (await waitingReason('crash')) === 'CrashLoopBackOff');
    const { exitCode, message } = (await statusOf('crash'))?.lastState.terminated ?? {};
    assert.deepEqual([exitCode, message], [7, 'bye\n']);
    const rows = table(await cluster.kubectlOk('get', 'pods', 'done', 'failed'));
    assert.deepEqual(rows.map(({ STATUS }) => STATUS), ['Completed', 'Error']);
    const events = await cluster.kubectlOk('get', 'events', '-o', 'jsonpath={range .items[*]}{.involvedObject.name} {.reason} {.message}{"\\n"}{end}');
    assert.match(events, /^crash BackOff Back-off restarting failed container c in pod crash_default\(/m);
    assert.match(events, /^noconfig Failed Error: configmap "missing" not found$/m);
    assert.match(events, /^nocommand Failed Error: failed to create containerd task: /m);
  });

  test('killing process 1 ends the session with 137 and counts as a restart', async () => {
    const name = (await cluster.kubectlOk('get', 'pods', '-l', 'app=web', '-o', 'name')).split('\n')[0]?.slice('pod/'.length) ?? '';
    const killed = await cluster.kubectl(['exec', name, '--', 'sh', '-c', 'kill 1; sleep 30']);
    assert.equal(killed.code, 137, killed.stderr);
    await until(`${name} runs again`, async () => {
      const status = await statusOf(name);
      return status?.restartCount === 1 && 'running' in status.state;
    });
  });

  test('a connection through port-forward ends when nobody listens at the port', async () => {
    const forward = cluster.kubectlStarted('port-forward', 'deployment/web', ':80', ':81');
    let said = '';
    forward.stdout?.on('data', (chunk: Buffer) => { said += chunk.toString(); });
    const [open = '', closed = ''] = await until('both ports are forwarded', async () => {
      const ports = [80, 81].map((port) => new RegExp(`127\\.0\\.0\\.1:(\\d+) -> ${port}`).exec(said)?.[1]);
      return ports.every((port) => port !== undefined) && ports;
    });
    assert.match(await (await fetch(`http://127.0.0.1:${open}/`)).text(), /^web-/);
    await assert.rejects(fetch(`http://127.0.0.1:${closed}/`, { signal: AbortSignal.timeout(10_000) }), { name: 'TypeError' });
    forward.kill('SIGKILL');
  });

  test('a patch at the prototypes of the API server is refused, and everybody else is served', async () => {
    const patched = await cluster.kubectl(['patch', 'configmap', 'settings', '--type=json', '-p', '[{"op":"add","path":"/__proto__/polluted","value":1}]']);
    assert.deepEqual([patched.code, patched.stderr], [1, 'The request is invalid: the server rejected our request due to an error in our request\n']);
    assert.equal(await cluster.kubectlOk('get', 'configmap', 'settings', '-o', 'jsonpath={.data}'), '{"key":"two"}');
    const servers = await cluster.kubectlOk('get', 'pods', '-n', 'kube-system', '-l', 'component=kube-apiserver', '-o', 'jsonpath={.items[*].status.containerStatuses[0].restartCount}');
    assert.equal(servers, '0');
  });
});
