// Raft and the store through thousands of seeds of trouble: messages lost, late, doubled and out of order, links cut in one or both directions, members
// that crash and lose what was not synced, stop for a while, have slow disks or wrong clocks. SEED=n replays one run exactly.
import { test } from 'node:test';
import { Nemesis } from './testing/nemesis.ts';
import { SimulatedCluster } from './testing/simulated-cluster.ts';

const TROUBLE = 1000;
const SEEDS = 3000;
const SEEDS_PER_TEST = 100;

function run(seed: number): void {
  const cluster = new SimulatedCluster({ seed, members: seed % 3 === 0 ? 5 : 3 });
  const nemesis = new Nemesis(cluster);
  try {
    while (cluster.now < TROUBLE) {
      cluster.step();
      nemesis.run();
    }
    cluster.recover();
  } catch (error) {
    throw new Error(`SEED=${seed} fails at ${cluster.now}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

const only = process.env['SEED'];
const first = (at: number): number => at * SEEDS_PER_TEST + 1;
const groups = only === undefined ? Array.from({ length: SEEDS / SEEDS_PER_TEST }, (_, at) => Array.from({ length: SEEDS_PER_TEST }, (_unused, offset) => first(at) + offset)) : [[Number(only)]];
for (const seeds of groups) {
  test(`one leader a term, one log, no acknowledged write lost, no stale read, and progress after healing (seeds ${seeds[0]} to ${seeds.at(-1)})`, () => {
    for (const seed of seeds) run(seed);
  });
}
