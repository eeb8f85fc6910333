// The simulation must be able to fail: disks that lie and drivers that break the contract are found within a few seeds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { steadyMembership } from './testing/scenarios.ts';
import type { SimulationOptions } from './testing/simulated-cluster.ts';

const MAX_SEEDS = 200;

const broken: readonly { readonly name: string; readonly options: Partial<SimulationOptions>; readonly found: RegExp }[] = [
  { name: 'a disk that forgets a vote in a crash', options: { lies: { forgetsVote: true } }, found: /both lead in term/ },
  { name: 'a disk that loses what was synced', options: { lies: { losesSynced: true } }, found: /committed|acknowledged|both lead/ },
  { name: 'votes and acknowledgements that leave before they are on disk', options: { faults: { sendsBeforePersisting: true } }, found: /committed|both lead|applied/ },
  { name: 'linearizable reads from what happens to be there', options: { faults: { readsWithoutAsking: true } }, found: /was acknowledged before it began/ },
];
for (const { name, options, found } of broken) {
  test(`the simulation finds ${name}`, () => {
    assert.throws(() => { for (let seed = 1; seed <= MAX_SEEDS; seed += 1) steadyMembership(seed, options); }, found);
  });
}

test('a seed gives the same run every time', () => {
  const [first, second] = [1, 2].map(() => {
    const cluster = steadyMembership(7);
    return [cluster.now, cluster.oracle.chosenIndex, cluster.oracle.acknowledged, cluster.oracle.reads, cluster.describe()];
  });
  assert.deepEqual(first, second);
});
