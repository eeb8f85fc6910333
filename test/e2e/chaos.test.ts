// A few rounds of the endurance run; many more: npm run chaos.
import { after, before, describe, test } from 'node:test';
import { runRounds } from '../../cli/chaos/rounds.ts';
import { breakableLocalCluster } from '../chaos/local.ts';
import { TestCluster } from './cluster.ts';

const SEED = 3;
const ROUNDS = 3;

describe('broken at random and mended', { timeout: 560_000 }, () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await TestCluster.start();
  });
  after(async () => {
    await cluster.down();
  });

  test('the cluster is whole after every round', async (context) => {
    await runRounds(breakableLocalCluster(cluster), { seed: SEED, rounds: ROUNDS, deadlineMs: 150_000, print: (line) => context.diagnostic(line) });
  });
});
