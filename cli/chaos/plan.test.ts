import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#lib/environment/random.ts';
import { planRound, type Targets } from './plan.ts';

const TARGETS: Targets = { processes: ['etcd@m-k8s', 'kubelet@w1-k8s'], hosts: ['m-k8s', 'w1-k8s'], faults: ['kill', 'stop', 'pause', 'reboot', 'unplug', 'power-cut', 'down'] };
const rounds = (seed: number, count: number) => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => planRound(random, TARGETS));
};

test('the same seed plans the same rounds, another one others', () => {
  assert.deepEqual(rounds(7, 20), rounds(7, 20));
  assert.notDeepEqual(rounds(7, 20), rounds(8, 20));
});

test('every damage of a round is mended once', () => {
  for (const { damages, mendOrder } of rounds(1, 50)) assert.deepEqual([...mendOrder].sort(), damages.map((_, index) => index));
});

test('some rounds stay broken until nodes are given up, most do not', () => {
  const long = rounds(1, 120).filter(({ brokenMs }) => brokenMs >= 60_000).length;
  assert.ok(long >= 3 && long <= 30, String(long));
});
