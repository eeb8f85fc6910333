// A pool of numbers to deal out: the upper band at random, the lower band only when the upper is used up or on request.
// Source: pkg/registry/core/service/{ipallocator,portallocator,allocator}.
import { integerBelow, type Random } from '#lib/environment/random.ts';

export interface PoolOptions {
  readonly first: number;
  /** The last one, itself included. */
  readonly last: number;
  /** Numbers at the start that are dealt last: people ask for these by themselves. */
  readonly staticBand: number;
  readonly random: Random;
}

/** Tries at random before the band is searched from a random place on. */
const RANDOM_TRIES = 16;

export class NumberPool {
  readonly first: number;
  readonly last: number;
  readonly #staticBand: number;
  readonly #random: Random;
  /** How many hold the number: one, but for a moment when it is handed over. */
  readonly #used = new Map<number, number>();

  constructor({ first, last, staticBand, random }: PoolOptions) {
    this.first = first;
    this.last = last;
    this.#staticBand = staticBand;
    this.#random = random;
  }
  contains(number: number): boolean {
    return number >= this.first && number <= this.last;
  }
  isUsed(number: number): boolean {
    return this.#used.has(number);
  }
  holders(number: number): number {
    return this.#used.get(number) ?? 0;
  }
  take(number: number): void {
    this.#used.set(number, (this.#used.get(number) ?? 0) + 1);
  }
  release(number: number): void {
    const count = this.#used.get(number) ?? 0;
    if (count > 1) this.#used.set(number, count - 1);
    else this.#used.delete(number);
  }
  /** A free number, not yet taken; undefined when there is none. */
  next(): number | undefined {
    const upper = this.first + this.#staticBand;
    return this.#freeIn(upper, this.last) ?? this.#freeIn(this.first, Math.min(upper - 1, this.last));
  }
  #freeIn(from: number, to: number): number | undefined {
    const size = to - from + 1;
    if (size <= 0) return undefined;
    for (let tries = 0; tries < RANDOM_TRIES; tries += 1) {
      const candidate = from + integerBelow(this.#random, size);
      if (!this.#used.has(candidate)) return candidate;
    }
    const start = integerBelow(this.#random, size);
    for (let step = 0; step < size; step += 1) {
      const candidate = from + ((start + step) % size);
      if (!this.#used.has(candidate)) return candidate;
    }
    return undefined;
  }
}
