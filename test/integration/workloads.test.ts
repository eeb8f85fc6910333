// StatefulSets, Jobs, quotas and certificate requests across kube-controller-manager, kube-apiserver and etcd; there are no
// kubelets, so the test plays their part.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { statefulSetKind } from '#lib/kinds/apps/stateful-set.ts';
import { jobKind } from '#lib/kinds/batch/job.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { resourceQuotaKind } from '#lib/kinds/core/resource-quota.ts';
import type { Pod, PodTemplateSpec } from '#lib/kinds/types/core-v1.ts';
import { eventually, startControlPlane, type ControlPlane, type RunningProcess } from './control-plane.ts';

const NAMESPACE = 'default';
const template = (app: string): PodTemplateSpec => ({ metadata: { name: '', labels: { app } }, spec: { restartPolicy: 'Never', terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'busybox' }] } });

describe('workloads', { timeout: 240_000 }, () => {
  let cluster: ControlPlane;
  let manager: RunningProcess;
  const startManager = (): Promise<RunningProcess> => cluster.startControllerManager(['--leader-elect-lease-duration=8s', '--leader-elect-renew-deadline=7s', '--leader-elect-retry-period=500ms']);
  before(async () => {
    cluster = await startControlPlane();
    manager = await startManager();
  });
  after(() => cluster.stop());

  const podsOf = async (app: string): Promise<Pod[]> => (await cluster.admin.list(podKind, { namespace: NAMESPACE, labelSelector: `app=${app}` })).items;
  const namesOf = async (app: string): Promise<string> => (await podsOf(app)).map(({ metadata }) => metadata.name).sort().join(' ');
  const setPhase = async ({ metadata: { name } }: Pod, phase: string): Promise<unknown> => cluster.admin.patch(podKind, NAMESPACE, name, {
    status: { phase, conditions: [{ type: 'Ready', status: phase === 'Running' ? 'True' : 'False', lastTransitionTime: new Date().toISOString().replace(/\.\d+/, '') }] },
  }, { type: 'strategic', subresource: 'status' });
  const becomes = (app: string, names: string): Promise<true> => eventually(async () => ((await namesOf(app)) === names ? true : undefined), `pods ${names}`);
  const runAll = async (app: string): Promise<void> => {
    for (const pod of await podsOf(app)) if (pod.status?.phase === 'Pending') await setPhase(pod, 'Running');
  };

  test('a StatefulSet makes its pods in order, gives a name again only when it is free, and goes down from the top', async () => {
    await cluster.admin.create(statefulSetKind, { metadata: { name: 'db', namespace: NAMESPACE }, spec: { replicas: 3, serviceName: 'db', selector: { matchLabels: { app: 'db' } }, template: { ...template('db'), spec: { ...template('db').spec, restartPolicy: 'Always', containers: [{ name: 'c', image: 'busybox' }] } } } });
    for (const names of ['db-0', 'db-0 db-1', 'db-0 db-1 db-2']) {
      await becomes('db', names);
      await runAll('db');
    }
    const first = (await podsOf('db')).find(({ metadata }) => metadata.name === 'db-1');
    await cluster.admin.delete(podKind, NAMESPACE, 'db-1', { gracePeriodSeconds: 0 });
    const second = await eventually(async () => {
      const pod = await cluster.admin.get(podKind, NAMESPACE, 'db-1');
      return pod.metadata.uid === first?.metadata.uid ? undefined : pod;
    }, 'db-1 again');
    assert.equal(second.metadata.labels?.['apps.kubernetes.io/pod-index'], '1');
    await runAll('db');
    await cluster.admin.patch(statefulSetKind, NAMESPACE, 'db', { spec: { replicas: 1 } });
    await becomes('db', 'db-0');
    await eventually(async () => {
      const { status } = await cluster.admin.get(statefulSetKind, NAMESPACE, 'db');
      return status?.replicas === 1 && status.readyReplicas === 1 && status.currentRevision === status.updateRevision ? true : undefined;
    }, 'status of db');
  });

  test('kill -9 while a Job counts its pods neither loses nor doubles one', async () => {
    await cluster.admin.create(jobKind, { metadata: { name: 'many', namespace: NAMESPACE }, spec: { completions: 30, parallelism: 30, template: template('many') } });
    const pods = await eventually(async () => {
      const made = await podsOf('many');
      return made.length === 30 ? made : undefined;
    }, '30 pods');
    assert.ok(pods.every(({ metadata }) => metadata.finalizers?.includes('batch.kubernetes.io/job-tracking')));
    await Promise.all(pods.map((pod) => setPhase(pod, 'Succeeded')));
    await eventually(async () => ((await cluster.admin.get(jobKind, NAMESPACE, 'many')).status?.uncountedTerminatedPods?.succeeded ?? []).length > 0 || ((await cluster.admin.get(jobKind, NAMESPACE, 'many')).status?.succeeded ?? 0) > 0 ? true : undefined, 'counting has begun');
    await manager.kill();
    manager = await startManager();
    const job = await eventually(async () => {
      const seen = await cluster.admin.get(jobKind, NAMESPACE, 'many');
      return seen.status?.conditions?.some(({ type, status }) => type === 'Complete' && status === 'True') ? seen : undefined;
    }, 'Complete');
    assert.equal(job.status?.succeeded, 30);
    assert.equal((await podsOf('many')).length, 30, 'no pod was made again');
    assert.ok((await podsOf('many')).every(({ metadata }) => metadata.finalizers === undefined || metadata.finalizers.length === 0));
    await cluster.admin.delete(jobKind, NAMESPACE, 'many', { propagationPolicy: 'Background' });
    await becomes('many', '');
  });

  test('a quota follows what is made and what goes', async () => {
    await cluster.admin.create(resourceQuotaKind, { metadata: { name: 'few', namespace: NAMESPACE }, spec: { hard: { pods: '3', 'count/jobs.batch': '1' } } });
    const used = (pods: string): Promise<true> => eventually(async () => ((await cluster.admin.get(resourceQuotaKind, NAMESPACE, 'few')).status?.used?.['pods'] === pods ? true : undefined), `${pods} pods used`);
    await used('1');
    await cluster.admin.patch(statefulSetKind, NAMESPACE, 'db', { spec: { replicas: 4, podManagementPolicy: 'OrderedReady' } });
    for (const names of ['db-0 db-1', 'db-0 db-1 db-2']) {
      await becomes('db', names);
      await runAll('db');
    }
    await used('3');
    await cluster.admin.delete(statefulSetKind, NAMESPACE, 'db', { propagationPolicy: 'Background' });
    await becomes('db', '');
    await used('0');
  });
});
