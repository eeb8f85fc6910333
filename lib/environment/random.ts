// Randomness as a dependency: the system's, or a seeded sequence that a test can replay.

export interface Random {
  /** Uniform in [0, 1). */
  fraction(): number;
}

export const systemRandom: Random = { fraction: () => Math.random() };

/** Mulberry32: the same seed gives the same sequence. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    fraction: () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    },
  };
}

/** Uniform integer in [0, limit); limit >= 1. */
export function integerBelow(random: Random, limit: number): number {
  return Math.floor(random.fraction() * limit);
}

/** Source: wait.Jitter: duration, up to `factor` times longer. */
export function jitterMs(random: Random, durationMs: number, factor: number): number {
  return durationMs * (1 + random.fraction() * factor);
}
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** The letters and digits upstream uses for generated names. Source: apimachinery util/rand. */
export function randomSuffix(random: Random, length: number): string {
  return Array.from({ length }, () => SUFFIX_ALPHABET[integerBelow(random, SUFFIX_ALPHABET.length)]).join('');
}
