// What a process gets from outside instead of reaching for it: time, randomness, a logger.
import type { Logger } from 'pino';
import type { Clock } from './clock.ts';
import type { Random } from './random.ts';

export interface Environment {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}
