// Waiting for a condition in a test instead of for a guessed time.
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves with the first value that is neither undefined nor false. Throws after `deadlineMs`, with the last error if there was one. */
export async function eventually<T>(attempt: () => T | Promise<T>, { deadlineMs = 20_000, pauseMs = 20, what = 'the condition' } = {}): Promise<Exclude<T, undefined | false>> {
  const endMs = performance.now() + deadlineMs;
  let failure: unknown;
  do {
    try {
      const value = await attempt();
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    await sleep(pauseMs);
  } while (performance.now() < endMs);
  throw new Error(`${what} did not come true within ${deadlineMs} ms`, { cause: failure });
}
