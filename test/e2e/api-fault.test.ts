// An API server that misbehaves by rules, and a cluster in a file: recorded and replayed, saved and restored.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestCluster, until } from './cluster.ts';

let cluster: TestCluster;

async function kubreakOk(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.kubreak(args);
  assert.equal(code, 0, `kubreak ${args.join(' ')}: ${stderr}${stdout}`);
  return stdout;
}
const rule = async (...options: string[]): Promise<string> => (await kubreakOk('api-fault', 'add', ...options)).split(' ')[0] ?? '';
const hitsOf = async (id: string): Promise<number> => {
  const { servers } = JSON.parse(await kubreakOk('api-fault', 'list', '-o', 'json')) as { servers: { rules: { rule: { id: string }; hits: number }[] }[] };
  return servers.flatMap(({ rules }) => rules).find((state) => state.rule.id === id)?.hits ?? -1;
};
const readyReplicas = async (): Promise<number> => (await cluster.json<{ status: { readyReplicas?: number } }>('get', 'deployment', 'web')).status.readyReplicas ?? 0;
const isThere = async (...object: string[]): Promise<boolean> => (await cluster.kubectl(['get', ...object])).code === 0;

describe('an API server that misbehaves on demand', { timeout: 560_000 }, () => {
  before(async () => {
    cluster = await TestCluster.start('self', ['--workers', '1']);
  });
  after(() => cluster.down());

  test('takes no rules before it is asked to, and then only from the holder of its credential', async () => {
    assert.match((await cluster.kubreak(['api-fault', 'add', '--latency', '1s'])).stderr, /take no rules; let them with: kubreak api-fault enable/);
    assert.equal((await cluster.kubectl(['get', '--raw', '/emulator/api-faults'])).code, 1);
    await kubreakOk('api-fault', 'enable');
    assert.match((await cluster.kubectl(['get', '--raw', '/emulator/api-faults'])).stderr, /Forbidden.*takes only client certificates/);
    const other = await cluster.on('m-k8s', 'kubectl', '--kubeconfig=/etc/kubernetes/api-fault.conf', 'get', '--raw', '/api/v1/namespaces');
    assert.match(other.stderr, /Unauthorized|must be logged in/, 'the credential is good for nothing else');
    assert.equal((await cluster.on('m-k8s', 'kubectl', '--kubeconfig=/etc/kubernetes/api-fault.conf', 'get', '--raw', '/emulator/api-faults')).stdout.trim(), '{"rules":[]}');
  });

  test('refuses those whom a rule means, counts it, and is healed like any fault', async () => {
    const id = await rule('--user', 'kubernetes-admin', '--verb', 'list', '--resource', 'core/configmaps', '--status', '503');
    assert.match((await cluster.kubectl(['get', 'configmaps'])).stderr, new RegExp(`injected by rule ${id}`));
    await cluster.kubectlOk('get', 'nodes');
    assert.ok(await hitsOf(id) >= 1);
    assert.match(await kubreakOk('faults'), new RegExp(`${id} .*in force.*api-fault add`));
    await kubreakOk('heal', id);
    await cluster.kubectlOk('get', 'configmaps');
    const short = await rule('--verb', 'create', '--status', '500', '--for', '1s');
    await until('the rule has run out', async () => (await hitsOf(short)) === -1, 10_000);
  });

  test('cuts a connection over HTTP/2 after the write was done', async () => {
    await rule('--verb', 'create', '--resource', 'core/configmaps', '--user', 'kubernetes-admin', '--drop', 'after');
    assert.equal((await cluster.kubectl(['create', 'configmap', 'unheard'])).code, 1);
    await kubreakOk('api-fault', 'clear');
    assert.ok(await isThere('configmap', 'unheard'));
  });

  test('does not stop the cluster: a Deployment gets its pods while writes conflict, watches break and requests are refused', async () => {
    await cluster.kubectlOk('create', 'deployment', 'web', '--image=nginx', '--replicas=1');
    await until('it is ready', async () => (await readyReplicas()) === 1);
    await rule('--user', 'system:*', '--status', '409', '--percent', '30');
    await rule('--user', 'system:*', '--status', '429', '--percent', '20', '--retry-after', '1');
    await rule('--user', 'system:*', '--watch-cut', '3s', '--gone');
    await rule('--user', 'system:*', '--drop', 'before', '--percent', '5');
    await cluster.kubectlOk('scale', 'deployment', 'web', '--replicas=3');
    await until('three are ready', async () => (await readyReplicas()) === 3, 240_000);
    await kubreakOk('heal');
    assert.equal(await kubreakOk('faults'), 'nothing is broken\n');
  });

  test('what clients write and what is broken is recorded, and replayed', async () => {
    const file = join(cluster.folder, 'story.jsonl');
    await kubreakOk('record', 'start', file);
    await cluster.kubectlOk('create', 'configmap', 'told', '--from-literal=a=1');
    await kubreakOk('pause', 'scheduler', '--for', '500ms');
    await cluster.kubectlOk('patch', 'configmap', 'told', '--type=merge', '-p', '{"data":{"b":"2"}}');
    const generated = (await cluster.kubectlOk('create', '-f', cluster.writeFile('generated.yaml', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: made-}\n'), '-o', 'name')).trim();
    await cluster.kubectlOk('create', 'secret', 'generic', 'hidden', '--from-literal=password=not-to-be-written-down');
    await cluster.kubectlOk('scale', 'deployment', 'web', '--replicas=2');
    assert.match(await kubreakOk('record', 'stop'), /^5 writes, 1 faults in/);
    const text = readFileSync(file, 'utf8');
    assert.ok(!text.includes('not-to-be-written-down') && !text.includes(Buffer.from('not-to-be-written-down').toString('base64')));

    await cluster.kubectlOk('delete', 'configmap/told', generated, 'secret/hidden');
    await cluster.kubectlOk('scale', 'deployment', 'web', '--replicas=1');
    const { code, stdout, stderr } = await cluster.kubreak(['replay', file, '--speed', '2']);
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /4 writes and 1 faults replayed, 1 writes skipped/);
    assert.deepEqual((await cluster.json<{ data: object }>('get', 'configmap', 'told')).data, { a: '1', b: '2' });
    assert.ok(await isThere(generated));
    assert.ok(!(await isThere('secret', 'hidden')));
    assert.equal((await cluster.json<{ spec: { replicas: number } }>('get', 'deployment', 'web')).spec.replicas, 2);
  });

  test('a snapshot gives back what was lost, takes what came later, and watchers list again', async () => {
    const file = join(cluster.folder, 'snapshot.tar');
    await until('two pods are ready', async () => (await readyReplicas()) === 2);
    assert.match(await kubreakOk('snapshot', 'save', file), /keep it secret/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    await cluster.kubectlOk('delete', 'deployment/web', 'configmap/told');
    await cluster.kubectlOk('create', 'configmap', 'later');
    await kubreakOk('snapshot', 'restore', file);
    assert.deepEqual([await isThere('configmap', 'told'), await isThere('configmap', 'later')], [true, false]);
    await until('the pods of the Deployment run again, for real', async () => {
      const { items } = await cluster.json<{ items: { metadata: { name: string } }[] }>('get', 'pods', '-l', 'app=web');
      const answers = await Promise.all(items.map(({ metadata: { name } }) => cluster.kubectl(['exec', name, '--', 'hostname'])));
      return answers.length === 2 && answers.every(({ code, stdout }, at) => code === 0 && stdout.trim() === items[at]?.metadata.name);
    });
    await cluster.kubectlOk('scale', 'deployment', 'web', '--replicas=3');
    await until('controllers, scheduler and kubelets follow', async () => (await readyReplicas()) === 3);
  });
});
