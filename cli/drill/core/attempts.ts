// What a client that never stops asking has seen so far.
import type { Attempt } from './figures.ts';

/** Requests that are kept; at the shortest pace of visitors those of an hour. */
const MAX_ATTEMPTS = 200_000;

export class Attempts {
  readonly #all: Attempt[] = [];
  readonly #onChange: (passes: boolean, text: string) => void;
  #latest: Attempt | undefined;

  /** `onChange`: what is asked passes now, or fails. */
  constructor(onChange: (passes: boolean, text: string) => void) {
    this.#onChange = onChange;
  }

  /** In the order in which they ended. */
  get all(): readonly Attempt[] {
    return this.#all;
  }
  /** Of those that have ended, the one that was asked last. */
  get latest(): Attempt | undefined {
    return this.#latest;
  }

  note(attempt: Attempt): void {
    if (this.#all.length >= MAX_ATTEMPTS) return;
    this.#all.push(attempt);
    // Who was asked earlier and answers only now tells how things were then: one that hung, or that a busy machine forgot for a second.
    if (this.#latest !== undefined && attempt.startMs < this.#latest.startMs) return;
    const before = this.#latest?.isAnswered;
    this.#latest = attempt;
    if (before !== attempt.isAnswered) this.#onChange(attempt.isAnswered, attempt.text);
  }
}
