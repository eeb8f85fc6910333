// The simulations: a cluster of three or five, and one whose membership changes. What they throw names the seed.
import { Nemesis } from './nemesis.ts';
import { Operator } from './operator.ts';
import { SimulatedCluster, type SimulationOptions } from './simulated-cluster.ts';

export const TROUBLE = 1000;

function through(cluster: SimulatedCluster, seed: number, eachStep: () => void): SimulatedCluster {
  try {
    while (cluster.now < TROUBLE) {
      cluster.step();
      eachStep();
    }
    cluster.recover(eachStep);
  } catch (error) {
    throw new Error(`SEED=${seed} fails at ${cluster.now}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  return cluster;
}

export function steadyMembership(seed: number, options: Partial<SimulationOptions> = {}): SimulatedCluster {
  const cluster = new SimulatedCluster({ seed, members: seed % 3 === 0 ? 5 : 3, ...options });
  const nemesis = new Nemesis(cluster);
  return through(cluster, seed, () => { if (cluster.now < TROUBLE) nemesis.run(); });
}

/** Starts with one to three members. */
export function changingMembership(seed: number, options: Partial<SimulationOptions> = {}): SimulatedCluster {
  // Removed members that do not know it stay about: what pre-vote and the check of the quorum are for.
  const cluster = new SimulatedCluster({ seed, members: 1 + seed % 3, core: { preVote: true, checkQuorum: true }, ...options });
  const nemesis = new Nemesis(cluster);
  const operator = new Operator(cluster);
  return through(cluster, seed, () => {
    if (cluster.now < TROUBLE) {
      nemesis.run();
      operator.run();
    } else operator.startNewMembers();
  });
}
