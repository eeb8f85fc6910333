// As raft.sim.test.ts, while members join as learners or voters, are promoted and removed. SEED=n replays one run exactly.
import { changingMembership } from './testing/scenarios.ts';
import { testSeeds } from './testing/seeds.ts';

testSeeds('one log and progress after healing, whoever joins and leaves', 2500, (seed) => void changingMembership(seed));
