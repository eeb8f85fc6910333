import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#lib/environment/random.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { chooseNode } from './choose-node.ts';
import { Nominations } from './nominations.ts';
import { defaultPlugins } from './plugins/registry.ts';
import { cluster, node, pod, requesting } from './testing/objects.ts';

const nominatedTo = (one: Pod, nominatedNodeName: string): Pod => ({ ...one, status: { nominatedNodeName } });

test('a promise is kept until the server, having seen it, shows the pod without it', () => {
  const nominations = new Nominations();
  const one = pod('p');
  nominations.promise(one, 'a');
  nominations.observe(one, one);
  assert.equal(nominations.of(one), 'a', 'the server has not seen it yet');
  nominations.observe(nominatedTo(one, 'a'), one);
  nominations.observe(one, nominatedTo(one, 'a'));
  assert.equal(nominations.of(one), undefined);
});

test('room that was made for a pod is not given to one that matters less, but to one that matters more', () => {
  const promised = pod('vip', { ...requesting('1500m'), priority: 100 });
  const view = { ...cluster([node('a')]), nominated: () => [promised] };
  const place = (priority: number) => chooseNode(defaultPlugins, pod('p', { ...requesting('1'), priority }), view, seededRandom(1)).kind;
  assert.deepEqual([place(1), place(100), place(1000)], ['unschedulable', 'unschedulable', 'placed']);
  assert.equal(chooseNode(defaultPlugins, promised, view, seededRandom(1)).kind, 'placed', 'its own promise does not stand in its way');
});

test('a pod goes to the node where room was made for it', () => {
  const decision = chooseNode(defaultPlugins, nominatedTo(pod('p', requesting('1')), 'a'), cluster([node('a'), pod('busy', requesting('900m'))], [node('b')]), seededRandom(1));
  assert.equal(decision.kind === 'placed' && decision.nodeName, 'a');
});
