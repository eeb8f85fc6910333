import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#lib/environment/random.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { chooseNode } from './choose-node.ts';
import { fitErrorText, truncatedNote } from './fit-error.ts';
import type { ClusterView } from './framework.ts';
import { defaultPlugins } from './plugins/registry.ts';
import { planPreemption } from './preemption.ts';
import { cluster, node, pod, requesting } from './testing/objects.ts';

const decide = (one: Pod, view: ClusterView) => chooseNode(defaultPlugins, one, view, seededRandom(1));
const placedOn = (one: Pod, view: ClusterView): string => {
  const decision = decide(one, view);
  return decision.kind === 'placed' ? decision.nodeName : `nowhere: ${fitErrorText(view.nodes.length, decision.outcome)}`;
};
/** The whole text of the FailedScheduling event. */
const refusal = (one: Pod, view: ClusterView): string => {
  const decision = decide(one, view);
  if (decision.kind === 'placed') return `placed on ${decision.nodeName}`;
  const preemption = planPreemption(one, decision.outcome, { plugins: defaultPlugins, cluster: view, budgets: [] });
  return fitErrorText(view.nodes.length, decision.outcome, preemption.kind === 'impossible' ? preemption.message : '');
};

const master = node('m', { taints: [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }] });

test('a pod goes to the node that has most left', () => {
  assert.equal(placedOn(pod('p', requesting('500m')), cluster([node('a'), pod('busy', requesting('1500m'))], [node('b')])), 'b');
});

test('taints keep pods away unless they are tolerated', () => {
  const view = cluster([master]);
  assert.equal(refusal(pod('p'), view), '0/1 nodes are available: 1 node(s) had untolerated taint(s). preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.');
  assert.equal(placedOn(pod('p', { tolerations: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' }] }), view), 'm');
  assert.equal(placedOn(pod('p', { tolerations: [{ operator: 'Exists' }] }), view), 'm');
});

test('the text counts every distinct reason once a node, in the order of the text', () => {
  const view = cluster([master], [node('a', { cpu: '1' }), pod('busy', requesting('800m'))], [node('b', { unschedulable: true })], [node('c', { cpu: '1' }), pod('busy', requesting('900m'))]);
  assert.equal(refusal(pod('p', requesting('500m')), view),
    '0/4 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, 2 Insufficient cpu. '
    + 'preemption: 0/4 nodes are available: 2 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.');
});

test('a request above what a node has at all cannot be helped by preemption', () => {
  assert.equal(refusal(pod('p', requesting('64')), cluster([node('a')])),
    '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.');
});

test('every resource that is short is named', () => {
  assert.match(refusal(pod('p', requesting('3', '8Gi')), cluster([node('a', { pods: '1' }), pod('other')])), /^0\/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods\./);
});

test('without any node the text says so', () => {
  assert.equal(refusal(pod('p'), cluster()), 'no nodes available to schedule pods');
});

test('nodeSelector and required node affinity must match', () => {
  const view = cluster([node('a', { labels: { disk: 'ssd' } })], [node('b')]);
  assert.equal(placedOn(pod('p', { nodeSelector: { disk: 'ssd' } }), view), 'a');
  assert.match(refusal(pod('p', { nodeSelector: { disk: 'tape' } }), view), /^0\/2 nodes are available: 2 node\(s\) didn't match Pod's node affinity\/selector\./);
});

test('a pod of a DaemonSet, which names its node by matchFields, looks at no other', () => {
  const named = (name: string): Pod => pod('ds', { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] }] } } } });
  assert.equal(placedOn(named('b'), cluster([node('a')], [node('b')])), 'b');
  assert.match(refusal(named('b'), cluster([node('a')], [node('b', { cpu: '0', pods: '0' })])), /1 Too many pods, 1 node\(s\) didn't satisfy plugin\(s\) \[NodeAffinity\]/);
});

test('a host port can be taken once a node', () => {
  const withPort = () => pod('p', { containers: [{ name: 'c', image: 'nginx', ports: [{ containerPort: 80, hostPort: 8080 }] }] });
  assert.equal(placedOn(withPort(), cluster([node('a'), withPort()], [node('b')])), 'b');
  assert.match(refusal(withPort(), cluster([node('a'), withPort()])), /1 node\(s\) didn't have free ports for the requested pod ports/);
});

test('required anti-affinity spreads pods, and is respected for pods already there', () => {
  const repelling = () => pod('p', { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'x' } } }] } } }, { app: 'x' });
  assert.equal(placedOn(repelling(), cluster([node('a'), repelling()], [node('b')])), 'b');
  assert.match(refusal(repelling(), cluster([node('a'), repelling()])), /1 node\(s\) didn't match pod anti-affinity rules/);
  assert.match(refusal(pod('plain', {}, { app: 'x' }), cluster([node('a'), repelling()])), /1 node\(s\) didn't satisfy existing pods anti-affinity rules/);
});

test('required affinity lets the first pod of its own kind through and joins the next to it', () => {
  const joining = () => pod('p', { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'x' } } }] } } }, { app: 'x' });
  assert.match(placedOn(joining(), cluster([node('a')], [node('b')])), /^[ab]$/);
  assert.equal(placedOn(joining(), cluster([node('a'), joining(), pod('busy', requesting('1900m'))], [node('b')])), 'a');
});

test('DoNotSchedule keeps the skew, a node without the label is out', () => {
  const spread = () => pod('p', { topologySpreadConstraints: [{ topologyKey: 'zone', maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { app: 'x' } } }] }, { app: 'x' });
  const view = cluster([node('a', { labels: { zone: '1' } }), spread()], [node('b', { labels: { zone: '2' }, pods: '0' })], [node('c')]);
  assert.match(refusal(spread(), view), /^0\/3 nodes are available: 1 Too many pods, 1 node\(s\) didn't match pod topology spread constraints, 1 node\(s\) didn't match pod topology spread constraints \(missing required label\)\./);
});

test('pods of one workload are spread over the nodes without being asked', () => {
  const view = { ...cluster([node('a'), pod('x', {}, { app: 'x' })], [node('b'), pod('x', {}, { app: 'x' })], [node('c'), pod('y', {}, { app: 'y' })]), ownerSelector: () => ({ matchLabels: { app: 'x' } }) };
  assert.equal(placedOn(pod('p', {}, { app: 'x' }), view), 'c');
});

test('PreferNoSchedule only makes a node less liked', () => {
  const soft = node('a', { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] });
  assert.equal(placedOn(pod('p'), cluster([soft], [node('b')])), 'b');
  assert.equal(placedOn(pod('p'), cluster([soft])), 'a');
});

test('preemption picks the node whose victims matter least, and no more victims than needed', () => {
  const important = pod('vip', { ...requesting('1500m'), priority: 1000 });
  const view = cluster([node('a'), pod('mid', { ...requesting('1500m'), priority: 10 })], [node('b'), pod('low', { ...requesting('1500m'), priority: 1 }), pod('small', { ...requesting('100m'), priority: 1 })]);
  const decision = decide(important, view);
  if (decision.kind === 'placed') assert.fail('nothing had to go');
  const plan = planPreemption(important, decision.outcome, { plugins: defaultPlugins, cluster: view, budgets: [] });
  assert.deepEqual(plan.kind === 'preempt' && [plan.nodeName, plan.victims.map(({ metadata }) => metadata.name)], ['b', ['low']]);
});

test('a pod that must not preempt says so', () => {
  assert.match(refusal(pod('p', { ...requesting('1500m'), priority: 5, preemptionPolicy: 'Never' }), cluster([node('a'), pod('busy', requesting('1'))])),
    / preemption: not eligible due to preemptionPolicy=Never\.$/);
});

test('an event holds at most 1024 bytes of the text', () => {
  assert.equal(truncatedNote('x'.repeat(2000)).length, 1024);
  assert.ok(truncatedNote('x'.repeat(2000)).endsWith(' ...'));
});
