// Which of several servers the next client gets, and which clients have to leave theirs.
import { integerBelow, type Random } from '#lib/environment/random.ts';

/** `down`: no answer; `alive`: it answers, but not that it is ready, or it takes long to; `ready`. */
export type Health = 'down' | 'alive' | 'ready';
const RANK: Readonly<Record<Health, number>> = { down: 0, alive: 1, ready: 2 };

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface BackendState {
  readonly health: Health;
  readonly connections: number;
}

/** Best first: the healthiest, of these the one with fewest connections, of these any. */
export function inOrderOfChoice<T extends BackendState>(backends: readonly T[], random: Random): T[] {
  const drawn = backends.map((backend) => ({ backend, lot: integerBelow(random, 1_000_000) }));
  drawn.sort((a, b) => RANK[b.backend.health] - RANK[a.backend.health] || a.backend.connections - b.backend.connections || a.lot - b.lot);
  return drawn.map(({ backend }) => backend);
}

/** Those that nobody should stay with, for there are better ones. While none is ready, whoever answers can say why. */
export function toBeLeft<T extends BackendState>(backends: readonly T[]): T[] {
  const best = Math.max(0, ...backends.map(({ health }) => RANK[health]));
  return backends.filter(({ health }) => RANK[health] < best);
}
