// Raft and the store through thousands of seeds of trouble: messages lost, late, doubled and out of order, links cut in one or both directions, members
// that crash and lose what was not synced, stop for a while, have slow disks or wrong clocks. SEED=n replays one run exactly.
import { steadyMembership } from './testing/scenarios.ts';
import { testSeeds } from './testing/seeds.ts';

testSeeds('one leader a term, one log, no acknowledged write lost, no stale read, and progress after healing', 3000, (seed) => void steadyMembership(seed));
