// Persistent volumes with an unmodified kubectl: the default class keeps data over pods and reboots, volumes made by hand
// are bound, released and reclaimed, and the scheduler goes where the data are.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestCluster, until } from './cluster.ts';

let cluster: TestCluster;

interface PodView {
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[]; readonly conditions?: readonly { readonly type: string; readonly message?: string }[] };
}
interface VolumeView {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly claimRef?: { readonly name: string }; readonly hostPath?: { readonly path: string } };
  readonly status: { readonly phase: string; readonly message?: string };
}

const FOLDER = '/var/lib/local-path-provisioner';
const claim = (name: string, storageClassName?: string, accessMode = 'ReadWriteOnce'): object => ({
  apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name },
  spec: { accessModes: [accessMode], resources: { requests: { storage: '1Gi' } }, ...(storageClassName === undefined ? {} : { storageClassName }) },
});
const volume = (name: string, spec: object): object => ({
  apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name },
  spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], storageClassName: 'manual', ...spec },
});
/** A pod that adds a line to /data/log at each start. */
const pod = (name: string, claimName: string, spec: object = {}): object => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'c', image: 'busybox', command: ['sh', '-c', `echo ${name} >> /data/log; sleep 100000`], volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }], ...spec,
  },
});

let files = 0;
async function create(...objects: object[]): Promise<void> {
  const path = cluster.writeFile(`objects-${(files += 1)}.json`, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
  await cluster.kubectlOk('create', '-f', path);
}
const ready = (name: string, restarts = 0): Promise<PodView> => until(`${name} is Ready`, async () => {
  const view = await cluster.json<PodView>('get', 'pod', name);
  const [container] = view.status.containerStatuses ?? [];
  return container?.ready === true && container.restartCount >= restarts && view;
});
const volumeWith = (what: string, matches: (one: VolumeView) => boolean): Promise<VolumeView> => until(what, async () =>
  (await cluster.json<{ items: VolumeView[] }>('get', 'pv')).items.find(matches));
const refusal = (name: string, words: RegExp): Promise<unknown> => until(`${name} is refused: ${String(words)}`, async () =>
  (await cluster.json<PodView>('get', 'pod', name)).status.conditions?.some(({ type, message }) => type === 'PodScheduled' && words.test(message ?? '')));

describe('storage', { timeout: 300_000 }, () => {
  before(async () => {
    cluster = await TestCluster.start();
  });
  after(async () => {
    await cluster.down();
  });

  test('a claim of the default class keeps its data over a deleted pod and a reboot, and its folder goes with it', async () => {
    await create(claim('data'), pod('first', 'data'));
    const { spec: { nodeName = '' } } = await ready('first');
    const { metadata, spec } = await volumeWith('the volume of the claim is Bound', (one) => one.spec.claimRef?.name === 'data' && one.status.phase === 'Bound');
    await cluster.kubectlOk('delete', 'pod', 'first');
    await create(pod('second', 'data'));
    assert.equal((await ready('second')).spec.nodeName, nodeName, 'a pod goes where its volume is');
    await cluster.on(nodeName, 'reboot'); // the session may die with the host before it says so
    await ready('second', 1);
    assert.equal(await cluster.kubectlOk('exec', 'second', '--', 'cat', '/data/log'), 'first\nsecond\nsecond\n');

    await cluster.kubectlOk('delete', 'pvc', 'data', '--wait=false');
    assert.match(await cluster.kubectlOk('get', 'pvc', 'data'), /Terminating/, 'a claim in use stays');
    assert.match(await cluster.onOk(nodeName, 'ls', FOLDER), /_default_data/);
    await cluster.kubectlOk('delete', 'pod', 'second');
    await cluster.kubectlOk('wait', '--for=delete', `pv/${metadata.name}`, '--timeout=60s');
    assert.equal((await cluster.onOk(nodeName, 'ls', spec.hostPath?.path.slice(0, spec.hostPath.path.lastIndexOf('/')) ?? '')).includes(metadata.name), false);
  });

  test('volumes made by hand are bound by class, size and mode, and end as their policy says', async () => {
    await create(
      volume('keep', { hostPath: { path: '/mnt/keep' }, persistentVolumeReclaimPolicy: 'Retain' }),
      volume('drop', { hostPath: { path: '/mnt/drop' }, persistentVolumeReclaimPolicy: 'Delete', accessModes: ['ReadWriteMany'] }),
      volume('near', { local: { path: '/mnt/near' }, storageClassName: 'near', nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['w3-k8s'] }] }] } } }),
      { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'near' }, provisioner: 'kubernetes.io/no-provisioner', volumeBindingMode: 'WaitForFirstConsumer' },
      claim('keep', 'manual'), claim('drop', 'manual', 'ReadWriteMany'), claim('near', 'near'),
    );
    await volumeWith('keep is Bound', ({ metadata, spec, status }) => metadata.name === 'keep' && status.phase === 'Bound' && spec.claimRef?.name === 'keep');
    await volumeWith('drop is Bound', ({ metadata, status }) => metadata.name === 'drop' && status.phase === 'Bound');
    await volumeWith('near waits for its first consumer', ({ metadata, status }) => metadata.name === 'near' && status.phase === 'Available');
    await cluster.onOk('w3-k8s', 'mkdir', '-p', '/mnt/near');
    await create(pod('near', 'near'), pod('keep', 'keep'));
    assert.equal((await ready('near')).spec.nodeName, 'w3-k8s');
    assert.equal(await cluster.onOk('w3-k8s', 'cat', '/mnt/near/log'), 'near\n');
    await ready('keep');
    await cluster.kubectlOk('delete', 'pod', 'keep', 'near');
    await cluster.kubectlOk('delete', 'pvc', 'keep', 'drop', 'near');
    await volumeWith('keep is Released', ({ metadata, status }) => metadata.name === 'keep' && status.phase === 'Released');
    const failed = await volumeWith('drop is Failed', ({ metadata, status }) => metadata.name === 'drop' && status.phase === 'Failed');
    assert.equal(failed.status.message, 'host_path deleter only supports /tmp/.+ but received provided /mnt/drop');
    await cluster.kubectlOk('patch', 'pv', 'keep', '--type=json', '-p', '[{"op":"remove","path":"/spec/claimRef"}]');
    await volumeWith('keep is Available again', ({ metadata, status }) => metadata.name === 'keep' && status.phase === 'Available');
  });

  test('pods wait for their claims, and are scheduled once those come', async () => {
    await create(pod('early', 'late'), pod('stuck', 'none-fits'), claim('none-fits', 'manual-2'));
    await refusal('early', /^0\/4 nodes are available: persistentvolumeclaim "late" not found\./);
    await refusal('stuck', /^0\/4 nodes are available: pod has unbound immediate PersistentVolumeClaims\./);
    await create(claim('late'));
    await ready('early');
    assert.match(await cluster.kubectlOk('describe', 'pod', 'early'), /default-scheduler +0\/4 nodes are available: persistentvolumeclaim "late" not found/);
  });

  test('a pod that matters more takes the place of one that matters less', async () => {
    const greedy = (name: string, spec: object): object => ({
      apiVersion: 'v1', kind: 'Pod', metadata: { name },
      spec: { terminationGracePeriodSeconds: 0, nodeSelector: { 'kubernetes.io/hostname': 'w1-k8s' }, containers: [{ name: 'c', image: 'nginx', resources: { requests: { 'example.com/seat': '1' }, limits: { 'example.com/seat': '1' } } }], ...spec },
    });
    await cluster.kubectlOk('patch', 'node', 'w1-k8s', '--subresource=status', '--type=merge', '-p', '{"status":{"capacity":{"example.com/seat":"1"},"allocatable":{"example.com/seat":"1"}}}');
    await create({ apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'high' }, value: 1000 },
      { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'polite' }, value: 1000, preemptionPolicy: 'Never' }, greedy('low', {}));
    await ready('low');
    await create(greedy('polite', { priorityClassName: 'polite' }));
    await refusal('polite', /1 Insufficient example\.com\/seat.* preemption: not eligible due to preemptionPolicy=Never\.$/);
    await cluster.kubectlOk('delete', 'pod', 'polite');
    await create(greedy('vip', { priorityClassName: 'high' }));
    await ready('vip');
    assert.match(await cluster.kubectlOk('get', 'events', '--field-selector', 'involvedObject.name=low,reason=Preempted'), /Preempted by pod [0-9a-f-]{36} on node w1-k8s/);
    assert.equal((await cluster.kubectl(['get', 'pod', 'low'])).code, 1);
  });
});
