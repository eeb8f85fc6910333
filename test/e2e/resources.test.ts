// What pods use and may use: kubectl top, limits of local storage, resize in place, and looking into a running pod.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestCluster, until } from './cluster.ts';

let cluster: TestCluster;

const pod = (name: string, spec: object) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 1, ...spec } });
const busybox = (script: string, more: object = {}) => ({ name: 'c', image: 'busybox', command: ['sh', '-c', script], ...more });
const field = (name: string, path: string): Promise<string> => cluster.kubectlOk('get', 'pod', name, '-o', `jsonpath={${path}}`);

describe('resources of pods', { timeout: 300_000 }, () => {
  before(async () => {
    cluster = await TestCluster.start();
    await cluster.kubectlOk('create', '-f', cluster.writeFile('pods.json', JSON.stringify({
      apiVersion: 'v1', kind: 'List',
      items: [
        pod('busy', { containers: [busybox('while :; do :; done', { resources: { limits: { cpu: '200m', memory: '32Mi' } } })] }),
        pod('sized', { containers: [busybox('sleep 3600', { resources: { requests: { cpu: '100m', memory: '16Mi' }, limits: { cpu: '200m', memory: '32Mi' } } })] }),
        pod('filler', { volumes: [{ name: 'scratch', emptyDir: { sizeLimit: '1Mi' } }], containers: [busybox('dd if=/dev/zero of=/scratch/x bs=1M count=3; sleep 3600', { volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }] })] }),
        { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: 'sandboxed' }, handler: 'runsc' },
      ],
    })));
    await cluster.kubectlOk('wait', '--for=condition=Ready', 'pod/busy', 'pod/sized', '--timeout=60s');
  });
  after(() => cluster.down());

  test('a running pod is resized without a restart, and what no node has is infeasible', async () => {
    const resize = (resources: object) => cluster.kubectlOk('patch', 'pod', 'sized', '--subresource', 'resize', '-p', JSON.stringify({ spec: { containers: [{ name: 'c', resources }] } }));
    await resize({ requests: { cpu: '150m' }, limits: { cpu: '300m', memory: '48Mi' } });
    await until('the new limits', async () => (await field('sized', '.status.containerStatuses[0].resources.limits')) === '{"cpu":"300m","memory":"48Mi"}');
    assert.equal(await field('sized', '.status.containerStatuses[0].restartCount'), '0');
    await until('the end of the resize', async () => !(await field('sized', '.status.conditions[*].type')).includes('PodResize'));
    await resize({ requests: { cpu: '5k' }, limits: { cpu: '5k' } });
    await until('the refusal', async () => (await field('sized', '.status.conditions[?(@.type=="PodResizePending")].reason')) === 'Infeasible');
    assert.equal(await field('sized', '.status.containerStatuses[0].resources.limits.cpu'), '300m');
  });

  test('a pod that fills its emptyDir beyond the limit is evicted', async () => {
    await until('the eviction', async () => (await field('filler', '.status.reason')) === 'Evicted');
    assert.equal(await field('filler', '.status.message'), 'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ');
    assert.equal(await field('filler', '.status.conditions[?(@.type=="DisruptionTarget")].reason'), 'TerminationByKubelet');
  });

  test('an ephemeral container sees the processes of its target', async () => {
    await cluster.kubectlOk('debug', 'sized', '--image=busybox', '--target=c', '--container=look', '--', 'sh', '-c', 'tr "\\0" " " </proc/1/cmdline');
    await until('its output', async () => (await cluster.kubectlOk('logs', 'sized', '-c', 'look')).includes('sleep 3600'));
  });

  test('a runtime class that no runtime has is told by its handler', async () => {
    await cluster.kubectlOk('create', '-f', cluster.writeFile('class.json', JSON.stringify(pod('boxed', { runtimeClassName: 'sandboxed', containers: [busybox('sleep 3600')] }))));
    await until('the event', async () => (await cluster.kubectlOk('get', 'events', '--field-selector', 'involvedObject.name=boxed')).includes('Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for "runsc" is configured'));
  });

  test('kubectl top tells what nodes and pods use', async () => {
    // What it gets of a busy machine may be less for a while.
    await until('usage of the busy pod, which has a limit of 200m', async () => {
      const milli = /^busy +c +(\d+)m /m.exec(await cluster.kubectlOk('top', 'pods', '--containers', '--no-headers'))?.[1];
      assert.ok(Number(milli) > 100 && Number(milli) < 260, `${milli}m`);
      return true;
    }, 90_000);
    const nodes = await cluster.kubectlOk('top', 'nodes', '--no-headers');
    assert.equal(nodes.trim().split('\n').length, 4);
  });
});
