// When an expectation is met: at the latest then, not before, and for so long. Fed with what is seen, moment by moment.

export interface Window {
  /** Counted from `startMs`, as all here. */
  readonly withinMs: number;
  readonly afterMs?: number;
  readonly staysMs?: number;
}

/** `unknown`: nobody answered. `text`: what was seen, for people. */
export interface Sight {
  readonly holds: boolean | 'unknown';
  readonly text: string;
}

export type Verdict = { readonly is: 'open' } | { readonly is: 'met'; readonly text: string } | { readonly is: 'missed'; readonly text: string };

const seconds = (durationMs: number): string => `${(durationMs / 1000).toFixed(1)} s`;

export class Expectation {
  readonly #window: Window;
  readonly #startMs: number;
  #heldSinceMs: number | undefined;
  #lastSeen = 'nothing';

  constructor(window: Window, startMs: number) {
    this.#window = window;
    this.#startMs = startMs;
  }

  see({ holds, text }: Sight, nowMs: number): Verdict {
    const { withinMs, afterMs = 0, staysMs = 0 } = this.#window;
    const passedMs = nowMs - this.#startMs;
    this.#lastSeen = text;
    if (holds === true) {
      if (passedMs < afterMs) return { is: 'missed', text: `it came after ${seconds(passedMs)}, and must not come before ${seconds(afterMs)}: ${text}` };
      if (this.#heldSinceMs === undefined && passedMs > withinMs) return { is: 'missed', text: `it came after ${seconds(passedMs)}, and had ${seconds(withinMs)}: ${text}` };
      this.#heldSinceMs ??= nowMs;
      const heldMs = nowMs - this.#heldSinceMs;
      if (heldMs >= staysMs) return { is: 'met', text: staysMs > 0 ? `${text} for ${seconds(heldMs)}` : text };
      return { is: 'open' };
    }
    if (this.#heldSinceMs !== undefined && holds === false) return { is: 'missed', text: `it stayed so for ${seconds(nowMs - this.#heldSinceMs)} only, and had to for ${seconds(staysMs)}: ${text}` };
    if (this.#heldSinceMs === undefined && passedMs > withinMs) return { is: 'missed', text: `not within ${seconds(withinMs)}; seen last: ${this.#lastSeen}` };
    // Who does not answer in the whole time of staying so is not taken for a witness.
    if (this.#heldSinceMs !== undefined && nowMs - this.#heldSinceMs > staysMs + withinMs) return { is: 'missed', text: `nobody could tell whether it stayed so: ${text}` };
    return { is: 'open' };
  }
}
