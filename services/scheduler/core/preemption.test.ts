import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#lib/environment/random.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { PodDisruptionBudget } from '#lib/kinds/types/policy-v1.ts';
import { chooseNode } from './choose-node.ts';
import type { ClusterView } from './framework.ts';
import { defaultPlugins } from './plugins/registry.ts';
import { planPreemption, type Preemption } from './preemption.ts';
import { cluster, node, pod, requesting, storage } from './testing/objects.ts';

function plan(one: Pod, view: ClusterView, budgets: readonly PodDisruptionBudget[] = []): Preemption {
  const decision = chooseNode(defaultPlugins, one, view, seededRandom(1));
  if (decision.kind === 'placed') assert.fail('nothing has to go');
  return planPreemption(one, decision.outcome, { plugins: defaultPlugins, cluster: view, budgets });
}
const outcome = (preemption: Preemption): string => (preemption.kind === 'preempt' ? `${preemption.nodeName}: ${preemption.victims.map(({ metadata }) => metadata.name).join(' ')}` : preemption.message);
const vip = (spec: Partial<Pod['spec']> = {}): Pod => pod('vip', { ...requesting('1500m'), priority: 1000, ...spec });
const low = (name: string, cpu: string, labels: Record<string, string> = {}): Pod => pod(name, { ...requesting(cpu), priority: 1 }, labels);
const budget = (app: string, disruptionsAllowed: number): PodDisruptionBudget => ({
  metadata: { name: app, namespace: 'default' }, spec: { selector: { matchLabels: { app } } },
  status: { disruptionsAllowed, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 },
});

test('a node where no disruption budget is violated goes before one where one is', () => {
  const view = cluster([node('a'), low('guarded', '1500m', { app: 'db' })], [node('b'), low('plain', '1500m'), low('other', '100m')]);
  assert.equal(outcome(plan(vip(), view, [budget('db', 0)])), 'b: plain');
  assert.equal(outcome(plan(vip(), cluster([node('a'), low('guarded', '1500m', { app: 'db' })]), [budget('db', 0)])), 'a: guarded', 'when there is no other way, the budget gives in');
});

test('on one node those go first that no budget guards', () => {
  const view = cluster([node('a'), low('guarded', '1', { app: 'db' }), low('plain', '1')]);
  assert.equal(outcome(plan(vip({ ...requesting('1') }), view, [budget('db', 0)])), 'a: plain');
});

test('pods that matter as much or more stay', () => {
  const equal = pod('equal', { ...requesting('1500m'), priority: 1000 });
  assert.equal(outcome(plan(vip(), cluster([node('a'), equal]))), 'preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.');
});

test('while its victims are ending a pod waits for them instead of ending others', () => {
  const ending = low('ending', '1500m');
  ending.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  ending.status = { conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' }] };
  const waiting = { ...vip(), status: { nominatedNodeName: 'a' } };
  assert.deepEqual(plan(waiting, cluster([node('a'), ending], [node('b'), low('innocent', '1500m')])),
    { kind: 'impossible', message: 'preemption: not eligible due to a terminating pod on the nominated node.', isHopeless: false });
});

test('room that is promised to a pod that matters as much is not made use of', () => {
  const promised = pod('promised', { ...requesting('1500m'), priority: 1000 });
  const view = { ...cluster([node('a'), low('small', '500m')]), nominated: () => [promised] };
  assert.match(outcome(plan(vip(), view)), /No preemption victims found/);
});

test('the holder of a claim for one pod alone makes room for one that matters more', () => {
  const using = (name: string, priority: number): Pod => pod(name, { priority, volumes: [{ name: 'c', persistentVolumeClaim: { claimName: 'c' } }] });
  const claim = { metadata: { name: 'c', namespace: 'default', uid: 'u', annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } }, spec: { accessModes: ['ReadWriteOncePod'], volumeName: 'v' } };
  const view = { ...cluster([node('a'), using('holder', 1)], [node('b'), low('bystander', '100m')]), storage: storage({ claims: [claim], volumes: [{ metadata: { name: 'v' }, spec: { capacity: { storage: '1Gi' } } }] }) };
  assert.equal(outcome(plan(using('vip', 1000), view)), 'a: holder');
});

test('a pod that has not started goes before one that runs', () => {
  const running: Pod = { ...low('running', '1'), status: { startTime: '2026-01-01T00:00:00Z' } };
  assert.equal(outcome(plan(vip({ ...requesting('1') }), cluster([node('a'), low('new', '1'), running]))), 'a: new');
});
