// kube-controller-manager against a real kube-apiserver and etcd; there are no kubelets, so the test plays their part.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { daemonSetKind } from '#lib/kinds/apps/daemon-set.ts';
import { replicaSetKind } from '#lib/kinds/apps/replica-set.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { eventKind } from '#lib/kinds/core/event.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { serviceAccountKind } from '#lib/kinds/core/service-account.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import type { Deployment } from '#lib/kinds/types/apps-v1.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { NewObject } from '#lib/api-client/client.ts';
import { eventually, startControlPlane, type ControlPlane, type RunningProcess } from './control-plane.ts';

const NAMESPACE = 'default';
const template = (app: string, image = 'nginx:1'): Deployment['spec']['template'] => ({
  metadata: { name: '', labels: { app } }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image, ports: [{ containerPort: 80 }] }] },
});
const deployment = (name: string, replicas: number, namespace = NAMESPACE): NewObject<Deployment> => ({
  metadata: { name, namespace }, spec: { replicas, selector: { matchLabels: { app: name } }, template: template(name) },
});

describe('kube-controller-manager', { timeout: 240_000 }, () => {
  let cluster: ControlPlane;
  let manager: RunningProcess;
  /** Nodes whose kubelets, played by the test, are alive. */
  const beating = new Set<string>();
  let heart: NodeJS.Timeout | undefined;
  const startManager = async (): Promise<RunningProcess> => cluster.startControllerManager(['--leader-elect-lease-duration=8s', '--leader-elect-renew-deadline=7s', '--leader-elect-retry-period=500ms', '--node-monitor-grace-period=6s', '--node-monitor-period=1s']);
  before(async () => {
    cluster = await startControlPlane();
    manager = await startManager();
    heart = setInterval(() => {
      for (const name of beating) void beat(name).catch(() => undefined); // the API server is away in one of the tests
    }, 500);
  });
  after(async () => {
    clearInterval(heart);
    await cluster.stop();
  });

  const podsOf = async (app: string, namespace = NAMESPACE): Promise<Pod[]> => (await cluster.admin.list(podKind, { namespace, labelSelector: `app=${app}` })).items;
  const alive = (pods: readonly Pod[]): Pod[] => pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  let address = 1;
  /** What scheduler and kubelet would do. */
  async function run(pods: readonly Pod[], node = 'w1-k8s'): Promise<void> {
    for (const { metadata: { namespace = '', name }, spec, status } of pods) {
      if (status?.phase === 'Running') continue;
      if (!spec.nodeName) await cluster.admin.createSubresource(podKind, namespace, name, 'binding', { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target: { kind: 'Node', name: node } });
      const podIP = `172.16.0.${address++ % 250 + 1}`;
      await cluster.admin.patch(podKind, namespace, name, {
        status: { phase: 'Running', podIP, podIPs: [{ ip: podIP }], conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: new Date().toISOString().replace(/\.\d+/, '') }] },
      }, { type: 'strategic', subresource: 'status' });
    }
  }
  const count = (app: string, wanted: number, namespace = NAMESPACE): Promise<Pod[]> => eventually(async () => {
    const pods = alive(await podsOf(app, namespace));
    return pods.length === wanted ? pods : undefined;
  }, `${wanted} pods of ${app}`);
  const readyNode = async (name: string): Promise<void> => {
    await cluster.admin.create(nodeKind, { metadata: { name, labels: { 'kubernetes.io/os': 'linux', 'kubernetes.io/hostname': name } }, spec: {}, status: {} });
    await beat(name);
    beating.add(name);
  };
  const beat = (name: string): Promise<unknown> => cluster.admin.patch(nodeKind, undefined, name, {
    status: { conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status', lastHeartbeatTime: new Date().toISOString().replace(/\.\d+/, ''), lastTransitionTime: '2026-01-01T00:00:00Z' }] },
  }, { type: 'strategic', subresource: 'status' });

  test('a namespace gets its default account and the root authority', async () => {
    await cluster.admin.create(namespaceKind, { metadata: { name: 'fresh' }, spec: {}, status: {} });
    await eventually(async () => cluster.admin.get(serviceAccountKind, 'fresh', 'default'), 'default service account');
    const published = await eventually(async () => cluster.admin.get(configMapKind, 'fresh', 'kube-root-ca.crt'), 'root authority');
    assert.match(published.data?.['ca.crt'] ?? '', /BEGIN CERTIFICATE/);
  });

  test('a Deployment becomes pods, a Service their endpoints, an update a rollout, a rollback the old ReplicaSet', async () => {
    await readyNode('w1-k8s');
    await cluster.admin.create(serviceKind, { metadata: { name: 'web', namespace: NAMESPACE }, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } });
    await cluster.admin.create(deploymentKind, deployment('web', 3));
    await run(await count('web', 3));
    await eventually(async () => {
      const { items } = await cluster.admin.list(endpointSliceKind, { namespace: NAMESPACE, labelSelector: 'kubernetes.io/service-name=web' });
      return items.flatMap(({ endpoints = [] }) => endpoints ?? []).filter(({ conditions }) => conditions?.ready === true).length === 3 ? true : undefined;
    }, 'three ready endpoints');
    await cluster.admin.patch(deploymentKind, NAMESPACE, 'web', { spec: { template: template('web', 'nginx:2') } });
    const rolled = async (image: string) => eventually(async () => {
      const pods = alive(await podsOf('web'));
      await run(pods);
      const { status, metadata } = await cluster.admin.get(deploymentKind, NAMESPACE, 'web');
      const isDone = pods.every(({ spec }) => spec.containers[0]?.image === image) && status?.updatedReplicas === 3 && status.availableReplicas === 3 && status.replicas === 3;
      return isDone ? { status, metadata } : undefined;
    }, `rollout of ${image}`);
    const { status, metadata } = await rolled('nginx:2');
    assert.equal(metadata.annotations?.['deployment.kubernetes.io/revision'], '2');
    assert.equal(status.conditions?.find(({ type }) => type === 'Progressing')?.reason, 'NewReplicaSetAvailable');
    await cluster.admin.patch(deploymentKind, NAMESPACE, 'web', { spec: { template: template('web', 'nginx:1') } });
    assert.equal((await rolled('nginx:1')).metadata.annotations?.['deployment.kubernetes.io/revision'], '3');
    assert.equal((await cluster.admin.list(replicaSetKind, { namespace: NAMESPACE, labelSelector: 'app=web' })).items.length, 2);
  });

  test('deletion in the background, in the foreground and of the owner only', async () => {
    for (const name of ['back', 'fore', 'only']) await cluster.admin.create(deploymentKind, deployment(name, 2));
    for (const name of ['back', 'fore', 'only']) await count(name, 2);
    await cluster.admin.delete(deploymentKind, NAMESPACE, 'back', { propagationPolicy: 'Background' });
    await cluster.admin.delete(deploymentKind, NAMESPACE, 'fore', { propagationPolicy: 'Foreground' });
    await cluster.admin.delete(deploymentKind, NAMESPACE, 'only', { propagationPolicy: 'Orphan' });
    await count('back', 0);
    await count('fore', 0);
    await eventually(async () => {
      const { items } = await cluster.admin.list(deploymentKind, { namespace: NAMESPACE });
      return items.every(({ metadata }) => metadata.name === 'web') ? true : undefined;
    }, 'owners gone');
    const { items: [orphan] } = await cluster.admin.list(replicaSetKind, { namespace: NAMESPACE, labelSelector: 'app=only' });
    assert.deepEqual(orphan?.metadata.ownerReferences ?? [], []);
    assert.equal(alive(await podsOf('only')).length, 2);
    // A Deployment of the same selector takes the orphan up again.
    await cluster.admin.create(deploymentKind, deployment('only', 2));
    await eventually(async () => {
      const { items } = await cluster.admin.list(replicaSetKind, { namespace: NAMESPACE, labelSelector: 'app=only' });
      return items.length === 1 && items[0]?.metadata.ownerReferences?.[0]?.kind === 'Deployment' ? true : undefined;
    }, 'adoption');
    await cluster.admin.delete(deploymentKind, NAMESPACE, 'only', { propagationPolicy: 'Background' });
    await count('only', 0);
  });

  test('kill -9 in the middle of a scale-up makes neither too few nor too many pods', async () => {
    await cluster.admin.create(deploymentKind, deployment('crash', 40));
    await eventually(async () => ((await podsOf('crash')).length > 3 ? true : undefined), 'the first pods');
    await manager.kill();
    manager = await startManager();
    await count('crash', 40);
    const created = (await cluster.admin.list(eventKind, { namespace: NAMESPACE, fieldSelector: 'reason=SuccessfulDelete' })).items.filter(({ message }) => message?.includes('crash-') ?? false);
    assert.deepEqual(created, [], 'no pod was created only to be deleted again');
    await cluster.admin.delete(deploymentKind, NAMESPACE, 'crash', { propagationPolicy: 'Background' });
    await count('crash', 0);
  });

  test('a controller whose own account was deleted makes itself a new one', async () => {
    await cluster.admin.delete(serviceAccountKind, 'kube-system', 'replicaset-controller');
    await cluster.admin.patch(deploymentKind, NAMESPACE, 'web', { spec: { replicas: 4 } });
    await count('web', 4);
  });

  test('without the API server it gives up its lease and ends; a new process carries on', async () => {
    await cluster.apiserver.kill();
    assert.equal(await manager.exited, 1);
    manager = await startManager(); // before the API server is back, as a kubelet would
    await cluster.apiserver.restart();
    await cluster.admin.patch(deploymentKind, NAMESPACE, 'web', { spec: { replicas: 5 } });
    await count('web', 5);
  });

  test('a silent node is marked, tainted and its pods are not ready; its daemons stay', async () => {
    await readyNode('w2-k8s');
    await cluster.admin.create(daemonSetKind, { metadata: { name: 'agent', namespace: NAMESPACE }, spec: { selector: { matchLabels: { app: 'agent' } }, template: template('agent') } });
    await count('agent', 2);
    beating.delete('w1-k8s');
    const node = await eventually(async () => {
      const seen = await cluster.admin.get(nodeKind, undefined, 'w1-k8s');
      return (seen.spec?.taints ?? []).length >= 2 ? seen : undefined;
    }, 'both taints', 40_000);
    assert.equal(node.status?.conditions?.find(({ type }) => type === 'Ready')?.message, 'Kubelet stopped posting node status.');
    assert.deepEqual(node.spec?.taints?.map(({ key, effect }) => `${key}:${effect}`).sort(), ['node.kubernetes.io/unreachable:NoExecute', 'node.kubernetes.io/unreachable:NoSchedule']);
    await eventually(async () => {
      const running = (await podsOf('web')).filter(({ spec, status }) => spec.nodeName === 'w1-k8s' && status?.phase === 'Running');
      return running.every(({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'False') ? true : undefined;
    }, 'pods not ready');
    await count('agent', 2);
    beating.add('w1-k8s');
    await eventually(async () => {
      const seen = await cluster.admin.get(nodeKind, undefined, 'w1-k8s');
      return (seen.spec?.taints ?? []).length === 0 ? true : undefined;
    }, 'taints gone');
  });

  test('a namespace goes with all that is in it', async () => {
    await cluster.admin.create(namespaceKind, { metadata: { name: 'doomed' }, spec: {}, status: {} });
    await cluster.admin.create(deploymentKind, deployment('web', 2, 'doomed'));
    await count('web', 2, 'doomed');
    await cluster.admin.delete(namespaceKind, undefined, 'doomed');
    await eventually(async () => {
      const { items } = await cluster.admin.list(namespaceKind);
      return items.some(({ metadata }) => metadata.name === 'doomed') ? undefined : true;
    }, 'namespace gone', 30_000);
    assert.deepEqual(await podsOf('web', 'doomed'), []);
  });
});
