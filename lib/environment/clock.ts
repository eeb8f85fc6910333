// Time as a dependency, so that code that waits can be run in a simulation.

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Resolves after `durationMs`; rejects with the signal's reason when it aborts first. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: (durationMs, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, durationMs);
      signal?.addEventListener('abort', onAbort, { once: true });
    }),
};

/** As systemClock, but setting the machine's time does not move it: for durations that others rely on. */
export const steadyClock: Clock = { ...systemClock, nowMs: () => performance.timeOrigin + performance.now() };

/** Node fires a longer timer at once. After a clock was ahead, what was to come is years away. Milliseconds. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The same, of a clock that may be a simulated one, which nobody sets. As Go measures durations; times that others read are the wall clock's. */
export const steadily = (clock: Clock): Clock => (clock === systemClock ? steadyClock : clock);
