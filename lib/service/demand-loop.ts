// Runs one piece of work whenever it is asked for: never twice at a time, requests during a run cause one more run,
// a failed run is tried again, and an optional period runs it without being asked.
import { steadily, type Clock } from '#lib/environment/clock.ts';

export interface DemandLoopOptions {
  readonly work: (signal: AbortSignal) => Promise<void>;
  /** Hears of every failure; the work is tried again after `retryMs`. */
  readonly onError: (error: unknown) => void;
  readonly clock: Clock;
  /** Least time between the ends of two runs; a request after a longer rest is served at once. */
  readonly minIntervalMs: number;
  readonly retryMs: number;
  /** Longest time without a run. */
  readonly periodMs?: number;
}

export class DemandLoop {
  readonly #options: DemandLoopOptions;
  /** A clock that is set back must not make a rest of hours. */
  readonly #steady: Clock;
  #isRequested = false;
  #wake: (() => void) | undefined;
  #endedMs = -Infinity;
  #requestedMs: number | undefined;

  constructor(options: DemandLoopOptions) {
    this.#options = options;
    this.#steady = steadily(options.clock);
  }

  /** When the oldest request that was not served yet came; milliseconds of the steady clock. */
  get pendingSinceMs(): number | undefined {
    return this.#requestedMs;
  }

  request(): void {
    this.#isRequested = true;
    this.#requestedMs ??= this.#steady.nowMs();
    this.#wake?.();
  }

  /** Settles when the signal aborts and the run under way has ended. */
  async run(signal: AbortSignal): Promise<void> {
    const { work, onError, minIntervalMs, retryMs, periodMs } = this.#options;
    const clock = this.#steady;
    while (!signal.aborted) {
      if (!this.#isRequested) await this.#requestOr(periodMs, signal);
      const restMs = this.#endedMs + minIntervalMs - clock.nowMs();
      if (restMs > 0) await clock.sleep(restMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      this.#isRequested = false;
      const requestedMs = this.#requestedMs;
      this.#requestedMs = undefined;
      try {
        await work(signal);
      } catch (error) {
        if (signal.aborted) return;
        onError(error);
        this.#requestedMs = requestedMs ?? clock.nowMs();
        await this.#requestOr(retryMs, signal);
        this.#isRequested = true;
      }
      this.#endedMs = clock.nowMs();
    }
  }

  /** Resolves on a request, after `limitMs`, or when the signal aborts. */
  #requestOr(limitMs: number | undefined, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const timer = limitMs === undefined ? undefined : setTimeout(() => done(), limitMs);
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wake = undefined;
        resolve();
      };
      if (signal.aborted) return done();
      this.#wake = done;
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
