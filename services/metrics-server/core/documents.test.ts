import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goDuration, nodeMetrics, podMetrics, tableOf } from './objects.ts';
import { parseApiPath, pathOf } from './request.ts';
import { readResourceMetrics } from './resource-metrics.ts';

const TEXT = `# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total 12.5 1700000000000
node_memory_working_set_bytes 2048 1700000000000
container_cpu_usage_seconds_total{container="app",namespace="default",pod="web"} 1.5 1700000000100
container_memory_working_set_bytes{container="app",namespace="default",pod="web"} 4096 1700000000100
container_start_time_seconds{container="app",namespace="default",pod="web"} 1.69e9
container_cpu_usage_seconds_total{container="app",namespace="default",pod="new"} 0 1700000000100
container_memory_working_set_bytes{container="app",namespace="default",pod="new"} 4096 1700000000100
resource_scrape_error 0
`;

test('a kubelet\'s figures become points, and a pod with an incomplete container is left out', () => {
  const { nodes, pods } = readResourceMetrics(TEXT, 'n1', 5);
  assert.deepEqual(nodes.get('n1'), { startedMs: 0, atMs: 1_700_000_000_000, cpuNs: 12.5e9, memoryBytes: 2048 });
  assert.deepEqual(pods.get('default/web')?.get('app'), { startedMs: 1.69e12, atMs: 1_700_000_000_100, cpuNs: 1.5e9, memoryBytes: 4096 });
  assert.equal(pods.has('default/new'), false);
});

test('usage is written in the quantities that kubectl reads', () => {
  const usage = { cpuNanoCores: 526_280_683, memoryBytes: 27 * 1024 * 1024, atMs: 0, windowMs: 15_020 };
  const node = nodeMetrics({ name: 'n1' }, usage, 0);
  assert.deepEqual(node.usage, { cpu: '526280683n', memory: '27Mi' });
  assert.equal(node.window, '15.02s');
  const pod = podMetrics({ name: 'web', namespace: 'default' }, { atMs: 0, windowMs: 15_000, containers: [{ name: 'a', usage }, { name: 'b', usage }] }, 0);
  const { rows } = tableOf([pod]) as { rows: { cells: string[] }[] };
  assert.deepEqual(rows[0]?.cells, ['web', '1052561366n', '54Mi', '15s']);
});

test('durations are written as Go does', () => {
  assert.deepEqual([15_000, 60_000, 90_500, 3_600_000].map(goDuration), ['15s', '1m0s', '1m30.5s', '1h0m0s']);
});

test('paths name resource, namespace and object', () => {
  assert.deepEqual(parseApiPath('/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web'), { resource: 'pods', verb: 'get', namespace: 'default', name: 'web' });
  assert.deepEqual(parseApiPath('/apis/metrics.k8s.io/v1beta1/nodes'), { resource: 'nodes', verb: 'list', namespace: '', name: '' });
  assert.equal(parseApiPath('/apis/metrics.k8s.io/v1beta1/pods/web'), undefined);
});

test('permission is asked for the path that is answered, however it is written', () => {
  assert.equal(pathOf('/apis/metrics.k8s.io/v1beta1/x/../pods//?limit=1'), '/apis/metrics.k8s.io/v1beta1/pods');
  assert.equal(pathOf('/apis/../metrics'), '/metrics');
  assert.equal(pathOf('//'), '/');
});
