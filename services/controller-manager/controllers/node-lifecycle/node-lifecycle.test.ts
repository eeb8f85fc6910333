import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, NodeCondition, Taint } from '#lib/kinds/types/core-v1.ts';
import type { Lease } from '#lib/kinds/types/coordination-v1.ts';
import { conditionsOfLostNode, observeHealth } from './health.ts';
import { labelsToAdd, noExecuteTaints, noScheduleTaints } from './taints.ts';
import { EvictionQueues, zoneOf, zoneState, type ZoneSettings } from './zones.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const at = (nowMs: number) => ({ nowMs, lostMs: nowMs });
const GRACE = { monitorGraceMs: 50_000, startupGraceMs: 60_000 };
const ZONES: ZoneSettings = { evictionRate: 0.1, secondaryEvictionRate: 0.01, largeClusterSize: 50, unhealthyShare: 0.55 };
const node = (name: string, conditions: Partial<NodeCondition>[] = [], taints: Taint[] = [], labels: Record<string, string> = {}): Node => ({
  metadata: { name, labels, creationTimestamp: '2026-01-01T12:00:00Z' }, spec: { taints }, status: { conditions: conditions as NodeCondition[] },
});
const ready = (status: string, lastHeartbeatTime = '2026-01-01T12:00:00Z'): Partial<NodeCondition> => ({ type: 'Ready', status, lastHeartbeatTime, lastTransitionTime: '2026-01-01T11:00:00Z' });
const lease = (renewTime: string): Lease => ({ metadata: { name: 'w1' }, spec: { renewTime } });

test('a node is lost when neither status nor lease was renewed for the grace period', () => {
  const alive = node('w1', [ready('True')]);
  const first = observeHealth(alive, lease('2026-01-01T12:00:00.000000Z'), undefined, NOW);
  assert.equal(conditionsOfLostNode(alive, first, GRACE, at(NOW + 50_000)), undefined);
  const renewed = observeHealth(alive, lease('2026-01-01T12:00:10.000000Z'), first, NOW + 10_000);
  assert.equal(conditionsOfLostNode(alive, renewed, GRACE, at(NOW + 55_000)), undefined);
  const lost = conditionsOfLostNode(alive, renewed, GRACE, at(NOW + 60_001));
  assert.deepEqual(lost?.[0], {
    type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.',
    lastHeartbeatTime: '2026-01-01T12:00:00Z', lastTransitionTime: '2026-01-01T12:01:00Z',
  });
  assert.deepEqual(lost?.slice(1).map(({ type, reason }) => `${type} ${reason ?? ''}`), ['MemoryPressure NodeStatusNeverUpdated', 'DiskPressure NodeStatusNeverUpdated', 'PIDPressure NodeStatusNeverUpdated']);
});

test('an older lease and a repeated heartbeat are no news', () => {
  const alive = node('w1', [ready('True')]);
  const first = observeHealth(alive, lease('2026-01-01T12:00:10.000000Z'), undefined, NOW);
  assert.equal(observeHealth(alive, lease('2026-01-01T12:00:00.000000Z'), first, NOW + 30_000).probeMs, NOW);
});

test('a node that never posted a status has the longer startup grace, counted from its creation', () => {
  const fresh = node('w1');
  const health = observeHealth(fresh, undefined, undefined, NOW + 5_000);
  assert.equal(conditionsOfLostNode(fresh, health, GRACE, at(NOW + 60_000)), undefined);
  assert.equal(conditionsOfLostNode(fresh, health, GRACE, at(NOW + 60_001))?.[0]?.message, 'Kubelet never posted node status.');
});

test('what is Unknown already is not written again', () => {
  const silent = node('w1', ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'].map((type) => ({ type, status: 'Unknown' })));
  assert.equal(conditionsOfLostNode(silent, observeHealth(silent, undefined, undefined, NOW), GRACE, at(NOW + 99_000)), undefined);
});

test('NoSchedule taints follow the conditions and spec.unschedulable, and leave those of others alone', () => {
  const own: Taint = { key: 'mine', effect: 'NoSchedule' };
  const tainted = noScheduleTaints(node('w1', [ready('Unknown'), { type: 'DiskPressure', status: 'True' }], [own, { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }]), NOW);
  assert.deepEqual(tainted, [own, { key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule', timeAdded: '2026-01-01T12:00:00Z' }, { key: 'node.kubernetes.io/disk-pressure', effect: 'NoSchedule', timeAdded: '2026-01-01T12:00:00Z' }]);
  assert.equal(noScheduleTaints(node('w1', [ready('True')], [own]), NOW), undefined);
  const cordoned = node('w1', [ready('True')]);
  cordoned.spec = { unschedulable: true };
  assert.deepEqual(noScheduleTaints(cordoned, NOW)?.map(({ key }) => key), ['node.kubernetes.io/unschedulable']);
});

test('the NoExecute taints of not ready and unreachable replace each other', () => {
  const tainted = node('w1', [ready('Unknown')], [{ key: 'node.kubernetes.io/not-ready', effect: 'NoExecute', timeAdded: '2026-01-01T11:00:00Z' }]);
  assert.deepEqual(noExecuteTaints(tainted, 'unreachable', NOW), [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute', timeAdded: '2026-01-01T12:00:00Z' }]);
  assert.equal(noExecuteTaints(tainted, 'not-ready', NOW), undefined);
  assert.deepEqual(noExecuteTaints(tainted, 'reachable', NOW), []);
});

test('the beta labels follow the stable ones', () => {
  assert.deepEqual(labelsToAdd(node('w1', [], [], { 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64', 'beta.kubernetes.io/os': 'linux' })), { 'beta.kubernetes.io/arch': 'amd64' });
  assert.equal(labelsToAdd(node('w1')), undefined);
});

test('a zone is full without any ready node, and partial from three nodes and 55 percent on', () => {
  assert.equal(zoneState(0, 1, ZONES), 'FullDisruption');
  assert.equal(zoneState(1, 2, ZONES), 'Normal');
  assert.equal(zoneState(1, 3, ZONES), 'PartialDisruption');
  assert.equal(zoneState(3, 3, ZONES), 'Normal');
});

test('nodes of a zone are given up one in ten seconds, the first at once', () => {
  const queues = new EvictionQueues(ZONES);
  const nodes = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => node(name));
  queues.assess(nodes.map((one, index) => ({ node: one, isReady: index > 1 })), NOW);
  for (const lost of nodes.slice(0, 2)) queues.add(lost, NOW);
  assert.deepEqual(queues.take(NOW), ['a']);
  assert.deepEqual(queues.take(NOW + 9_000), []);
  assert.deepEqual(queues.take(NOW + 10_000), ['b']);
});

test('when every zone is silent nobody is given up, and recovery starts all grace periods anew', () => {
  const queues = new EvictionQueues(ZONES);
  const lost = node('a');
  assert.equal(queues.assess([{ node: lost, isReady: false }], NOW).isAllDisrupted, true);
  queues.add(lost, NOW);
  assert.deepEqual(queues.take(NOW + 60_000), []);
  assert.deepEqual(queues.assess([{ node: lost, isReady: true }], NOW + 61_000), { isAllDisrupted: false, hasJustRecovered: true });
});

test('a node that came back loses its turn', () => {
  const queues = new EvictionQueues(ZONES);
  queues.add(node('a'), NOW);
  queues.remove(node('a'));
  assert.deepEqual(queues.take(NOW), []);
});

test('zones are told apart by region and zone', () => {
  assert.notEqual(zoneOf(node('a', [], [], { 'topology.kubernetes.io/zone': 'z1' })), zoneOf(node('b', [], [], { 'topology.kubernetes.io/zone': 'z2' })));
  assert.equal(zoneOf(node('a')), '');
});
