// A queue of keys: each key waits once however often it was added, and is never handed to two workers at a time.
// Failures come back later, per key twice as late each time. Source: client-go util/workqueue.
import { LONGEST_TIMER_MS, steadily, type Clock } from '#lib/environment/clock.ts';

export interface WorkQueueOptions {
  readonly clock: Clock;
  /** Wait after the first failure and its limit; milliseconds. Source: default_rate_limiters.go. */
  readonly backoffFirstMs?: number;
  readonly backoffLongestMs?: number;
}

export class WorkQueue {
  readonly #clock: Clock;
  readonly #backoffFirstMs: number;
  readonly #backoffLongestMs: number;
  readonly #waiting = new Set<string>();
  readonly #processing = new Set<string>();
  readonly #dirtyWhileProcessing = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #delayed = new Map<string, number>();
  #takers: ((key: string | undefined) => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor({ clock, backoffFirstMs = 5, backoffLongestMs = 1_000_000 }: WorkQueueOptions) {
    this.#clock = steadily(clock);
    this.#backoffFirstMs = backoffFirstMs;
    this.#backoffLongestMs = backoffLongestMs;
  }

  get length(): number {
    return this.#waiting.size;
  }

  add(key: string): void {
    if (this.#closed) return;
    if (this.#processing.has(key)) {
      this.#dirtyWhileProcessing.add(key);
      return;
    }
    const taker = this.#takers.shift();
    if (taker) {
      this.#processing.add(key);
      taker(key);
    } else {
      this.#waiting.add(key);
    }
  }

  /** Adds the key after `delayMs`; of several delays for one key the earliest counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#closed) return;
    if (delayMs <= 0) return this.add(key);
    const dueMs = this.#clock.nowMs() + delayMs;
    const known = this.#delayed.get(key);
    if (known !== undefined && known <= dueMs) return;
    this.#delayed.set(key, dueMs);
    this.#armTimer();
  }

  addRateLimited(key: string): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.addAfter(key, Math.min(this.#backoffFirstMs * 2 ** failures, this.#backoffLongestMs));
  }

  /** How often the key was added by `addRateLimited` since it was last forgotten. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** Resolves with a key to work on (call `done` after), or undefined when the queue is closed. */
  take(): Promise<string | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    const [key] = this.#waiting;
    if (key === undefined) return new Promise((resolve) => this.#takers.push(resolve));
    this.#waiting.delete(key);
    this.#processing.add(key);
    return Promise.resolve(key);
  }

  done(key: string): void {
    this.#processing.delete(key);
    if (this.#dirtyWhileProcessing.delete(key)) this.add(key);
  }

  /** Wakes all takers with undefined; nothing is accepted any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  #armTimer(): void {
    clearTimeout(this.#timer);
    if (this.#delayed.size === 0 || this.#closed) return;
    const earliestMs = Math.min(...this.#delayed.values());
    this.#timer = setTimeout(() => {
      const nowMs = this.#clock.nowMs();
      for (const [key, dueMs] of [...this.#delayed]) {
        if (dueMs > nowMs) continue;
        this.#delayed.delete(key);
        this.add(key);
      }
      this.#armTimer();
    }, Math.min(Math.max(0, earliestMs - this.#clock.nowMs()), LONGEST_TIMER_MS));
  }
}

/**
 * Runs `workers` workers over the queue until the signal aborts. `work` resolves with a delay in milliseconds after
 * which to come back, or nothing; when it throws, `onError` hears of it and the key comes back with back-off.
 */
export async function runWorkers(
  queue: WorkQueue, workers: number, work: (key: string) => Promise<number | undefined>,
  onError: (key: string, error: unknown) => void, signal: AbortSignal,
): Promise<void> {
  signal.addEventListener('abort', () => queue.close(), { once: true });
  if (signal.aborted) queue.close();
  const worker = async (): Promise<void> => {
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      try {
        const retryAfterMs = await work(key);
        queue.forget(key);
        if (retryAfterMs !== undefined) queue.addAfter(key, retryAfterMs);
      } catch (error) {
        if (!signal.aborted) onError(key, error);
        queue.addRateLimited(key);
      } finally {
        queue.done(key);
      }
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
}
