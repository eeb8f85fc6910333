// The same cluster for somebody without rights: in a user namespace, with subordinate ids or with the one id that everybody has.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { KUBREAK, NGINX_POD, ordinaryUserProblem, runCommand, TestCluster, until } from './cluster.ts';
import { defineExperiments } from './experiments.ts';

const skip = (await ordinaryUserProblem()) ?? false;

defineExperiments('the experiments of the study notes, as an ordinary user, with fast failure detection', () => TestCluster.start('ordinary', ['--fast-failure-detection']), { skip });

describe('an ordinary user with one id', { timeout: 300_000, skip }, () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await TestCluster.start('ordinary-with-one-id', ['--workers', '1']);
  });
  after(async () => {
    await cluster.down();
  });

  test('nginx serves, though its user does not exist there', async () => {
    await cluster.kubectlOk('create', '-f', cluster.writeFile('nginx-pod.yaml', NGINX_POD));
    await cluster.kubectlOk('wait', 'pod/nginx-pod', '--for=condition=Ready', '--timeout=60s');
    const ip = await cluster.kubectlOk('get', 'pod', 'nginx-pod', '-o', 'jsonpath={.status.podIP}');
    assert.match(await cluster.onOk('m-k8s', 'curl', '-s', '-m', '5', ip), /<h1>Welcome to nginx!<\/h1>/);
  });

  test('root is told whose cluster it is', { skip: process.getuid?.() === 0 ? false : 'needs root' }, async () => {
    const { code, stderr } = await runCommand(process.execPath, [KUBREAK, '--dir', cluster.folder, 'status']);
    assert.equal(code, 1);
    assert.match(stderr, /was made without root: run kubreak as its user/);
  });

  test('a container that exceeds its memory limit is OOMKilled without cgroups', async () => {
    const script = 'x=a; while [ ${#x} -lt 200000000 ]; do x=$x$x; done; sleep 60';
    await cluster.kubectlOk('create', '-f', cluster.writeFile('hog.json', JSON.stringify({
      apiVersion: 'v1', kind: 'Pod', metadata: { name: 'hog' },
      spec: { restartPolicy: 'Never', containers: [{ name: 'hog', image: 'busybox', command: ['sh', '-c', script], resources: { limits: { memory: '30Mi' } } }] },
    })));
    const state = await until('the pod has ended', async () => {
      const { status } = await cluster.json<{ status: { containerStatuses?: { state: { terminated?: { reason: string; exitCode: number } } }[] } }>('get', 'pod', 'hog');
      return status.containerStatuses?.[0]?.state.terminated;
    });
    assert.deepEqual([state.reason, state.exitCode], ['OOMKilled', 137]);
  });
});
