// What an endurance run breaks, when and for how long: a pure function of the random sequence, so that a seed replays a run.
import { integerBelow, type Random } from '#lib/environment/random.ts';
import type { FaultWords } from '../faults/fault.ts';
import type { Dish, World } from './menu.ts';

export interface PlannedFault {
  readonly name: string;
  readonly words: FaultWords;
  /** After the one before it; milliseconds. */
  readonly afterMs: number;
  /** Absent: nothing of it lasts. */
  readonly forMs?: number;
}

/** Between the beginnings of two faults: at least four of them in each minute; milliseconds. */
const LEAST_PAUSE_MS = 2_000;
const MOST_PAUSE_MS = 15_000;
const LEAST_FOR_MS = 2_000;
const MOST_FOR_MS = 25_000;
/** One fault in so many lasts until the node controller has given up on nodes: 50 s without a Lease, and a look every 5 s. */
const LONG_IN = 15;
const LONG_MS = 60_000;

const between = (random: Random, least: number, most: number): number => least + integerBelow(random, most - least + 1);

export function planFault(random: Random, menu: readonly Dish[], world: World): PlannedFault {
  const total = menu.reduce((sum, { weight }) => sum + weight, 0);
  let drawn = integerBelow(random, total);
  const dish = menu.find(({ weight }) => (drawn -= weight) < 0);
  if (!dish) throw new Error('there is nothing to break');
  const afterMs = between(random, LEAST_PAUSE_MS, MOST_PAUSE_MS);
  const forMs = between(random, LEAST_FOR_MS, MOST_FOR_MS) + (integerBelow(random, LONG_IN) === 0 ? LONG_MS : 0);
  return { name: dish.name, words: dish.words(random, world), afterMs, ...(!dish.isMomentary && { forMs }) };
}
