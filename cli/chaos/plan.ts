// What one round breaks and how it is mended: a pure function of the random sequence, so that a seed replays a run.
import { integerBelow, type Random } from '#lib/environment/random.ts';

export type Fault = 'kill' | 'stop' | 'pause' | 'reboot' | 'unplug' | 'power-cut' | 'down';

export interface Damage {
  readonly fault: Fault;
  /** COMPONENT@HOST, a host, or '' for the whole cluster. */
  readonly target: string;
  /** Before it is done; milliseconds. */
  readonly afterMs: number;
}

export interface Round {
  readonly damages: readonly Damage[];
  /** How long it stays broken; milliseconds. */
  readonly brokenMs: number;
  /** Order in which the damages are mended: indexes. */
  readonly mendOrder: readonly number[];
}

export interface Targets {
  readonly processes: readonly string[];
  readonly hosts: readonly string[];
  readonly faults: readonly Fault[];
}

const MOST_DAMAGES = 3;
const LONGEST_PAUSE_MS = 2_000;
const LONGEST_BROKEN_MS = 8_000;
/** One round in so many stays broken until the node controller has given up on nodes: 50 s without a Lease, and a look every 5 s. */
const LONG_ROUND_IN = 12;
const LONG_ROUND_MS = 60_000;
/** Of twenty damages so many are of this kind. */
const WEIGHTS: Readonly<Record<Fault, number>> = { kill: 6, stop: 4, pause: 3, reboot: 3, unplug: 2, 'power-cut': 1, down: 1 };

const pick = <T>(random: Random, items: readonly T[]): T => items[integerBelow(random, items.length)] as T;

export function planRound(random: Random, { processes, hosts, faults }: Targets): Round {
  const weighted = faults.flatMap((fault) => Array.from({ length: WEIGHTS[fault] }, () => fault));
  const damages = Array.from({ length: 1 + integerBelow(random, MOST_DAMAGES) }, (): Damage => {
    const fault = pick(random, weighted);
    const ofProcess = fault === 'kill' || fault === 'stop' || fault === 'pause';
    const target = fault === 'power-cut' || fault === 'down' ? '' : pick(random, ofProcess ? processes : hosts);
    return { fault, target, afterMs: integerBelow(random, LONGEST_PAUSE_MS) };
  });
  const mendOrder = damages.map((_, index) => ({ index, key: random.fraction() })).sort((a, b) => a.key - b.key).map(({ index }) => index);
  const brokenMs = integerBelow(random, LONGEST_BROKEN_MS) + (integerBelow(random, LONG_ROUND_IN) === 0 ? LONG_ROUND_MS : 0);
  return { damages, brokenMs, mendOrder };
}

export const describeDamage = ({ fault, target }: Damage): string => (target === '' ? fault : `${fault} ${target}`);
