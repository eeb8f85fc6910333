// Runs a simulation for many seeds, a hundred in a test; SEED=n in the environment replays one run exactly.
import { test } from 'node:test';

const SEEDS_PER_TEST = 100;

export function testSeeds(name: string, count: number, run: (seed: number) => void): void {
  const only = process.env['SEED'];
  const seeds = only === undefined ? Array.from({ length: count }, (_, at) => at + 1) : [Number(only)];
  for (let at = 0; at < seeds.length; at += SEEDS_PER_TEST) {
    const some = seeds.slice(at, at + SEEDS_PER_TEST);
    test(`${name} (seeds ${some[0]} to ${some.at(-1)})`, () => some.forEach(run));
  }
}
