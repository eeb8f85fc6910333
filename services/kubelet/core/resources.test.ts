import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admit } from './admission.ts';
import { cpuQuota, cpuShares, oomScoreAdjust, podCgroupParent, podRequests, qosClassOf } from './resources.ts';
import { container, pod } from './testing.ts';

const resources = (cpu: string, memory: string) => ({ requests: { cpu, memory }, limits: { cpu, memory } });

test('the quality of service follows requests and limits', () => {
  assert.equal(qosClassOf(pod()), 'BestEffort');
  assert.equal(qosClassOf(pod({ containers: [container('a', { resources: resources('1', '1Gi') })] })), 'Guaranteed');
  assert.equal(qosClassOf(pod({ containers: [container('a', { resources: { limits: { cpu: '1', memory: '1Gi' } } })] })), 'Guaranteed');
  assert.equal(qosClassOf(pod({ containers: [container('a', { resources: { requests: { cpu: '1' } } })] })), 'Burstable');
  assert.equal(qosClassOf(pod({ containers: [container('a', { resources: resources('1', '1Gi') }), container('b')] })), 'Burstable');
});

test('CPU becomes shares and a quota', () => {
  assert.deepEqual([0, 1, 250, 1000].map(cpuShares), [2, 2, 256, 1024]);
  assert.deepEqual([0, 5, 100, 2000].map((milli) => cpuQuota(milli, 100_000)), [0, 1000, 10_000, 200_000]);
});

test('the OOM score of a burstable container falls with its request', () => {
  const burstable = (memory: string) => pod({ containers: [container('a', { resources: { requests: { memory } } })] });
  const score = (memory: string): number => oomScoreAdjust(burstable(memory), burstable(memory).spec.containers[0] ?? container('a'), 4 * 2 ** 30);
  assert.deepEqual([score('1Gi'), score('4Gi'), score('1Ki')], [750, 3, 999]);
  assert.equal(oomScoreAdjust(pod(), container('a'), 1), 1000);
});

test('the cgroup of a pod lies below that of its class', () => {
  assert.equal(podCgroupParent(pod(), '/', true), '/kubepods/besteffort/podu1');
  assert.equal(podCgroupParent(pod({ containers: [container('a', { resources: resources('1', '1Gi') })] }), '/kubreak/w1', true), '/kubreak/w1/kubepods/podu1');
});

test('a pod takes what its containers need together or what its largest init step needs', () => {
  const one = pod({
    initContainers: [container('side', { restartPolicy: 'Always', resources: { requests: { cpu: '100m' } } }), container('i', { resources: { requests: { cpu: '3' } } })],
    containers: [container('a', { resources: { requests: { cpu: '1' } } }), container('b', { resources: { requests: { cpu: '500m' } } })],
  });
  assert.deepEqual(podRequests(one), { cpu: 3100 });
});

const node = (allocatable: Record<string, string>, more = {}) => ({ metadata: { name: 'w1-k8s', labels: { disk: 'ssd' } }, spec: more, status: { allocatable } });

test('a pod that does not fit is refused with the numbers', () => {
  const big = pod({ containers: [container('a', { resources: { requests: { cpu: '4' } } })] });
  const other = pod({ containers: [container('a', { resources: { requests: { cpu: '150m' } } })] }, { name: 'other', uid: 'u2' });
  assert.deepEqual(admit({ pod: big, node: node({ cpu: '2', pods: '110' }), others: [other], pressures: [] }),
    { reason: 'OutOfcpu', message: "Node didn't have enough resource: cpu, requested: 4000, used: 150, capacity: 2000" });
  assert.equal(admit({ pod: pod(), node: node({ pods: '1' }), others: [other], pressures: [] })?.reason, 'OutOfpods');
});

test('a pod that was not meant for this node is refused', () => {
  const elsewhere = pod({ nodeSelector: { disk: 'hdd' } });
  assert.deepEqual(admit({ pod: elsewhere, node: node({}), others: [], pressures: [] }), { reason: 'NodeAffinity', message: "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector" });
  assert.equal(admit({ pod: pod({ nodeSelector: { disk: 'ssd' } }), node: node({}), others: [], pressures: [] }), undefined);
});

test('a host port is given once', () => {
  const spec = { containers: [container('a', { ports: [{ containerPort: 80, hostPort: 8080 }] })] };
  assert.equal(admit({ pod: pod(spec), node: node({}), others: [pod(spec, { name: 'x', uid: 'u2' })], pressures: [] })?.reason, 'NodePorts');
});

test('under pressure only critical pods and, when memory alone is short, those with requests come in', () => {
  const burstable = pod({ containers: [container('a', { resources: { requests: { cpu: '1' } } })] });
  const ask = (one: typeof burstable, pressures: string[]) => admit({ pod: one, node: node({}), others: [], pressures })?.reason;
  assert.deepEqual([ask(pod(), ['MemoryPressure']), ask(burstable, ['MemoryPressure']), ask(burstable, ['DiskPressure']), ask(pod({ priority: 2_000_000_000 }), ['DiskPressure'])], ['Evicted', undefined, 'Evicted', undefined]);
});

test('an untolerated NoExecute taint keeps pods away, but not static ones', () => {
  const tainted = node({}, { taints: [{ key: 'k', effect: 'NoExecute' }] });
  assert.equal(admit({ pod: pod(), node: tainted, others: [], pressures: [] })?.reason, 'TaintToleration');
  assert.equal(admit({ pod: pod({}, { annotations: { 'kubernetes.io/config.source': 'file' } }), node: tainted, others: [], pressures: [] }), undefined);
});
