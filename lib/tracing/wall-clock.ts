// The time of day to the microsecond: within one host, what happened first has the earlier time.

/** Milliseconds. Beyond it the time of day has been changed, and is followed. */
const LEAST_STEP_MS = 2;

let offsetMs = performance.timeOrigin;

export const wallClock = {
  /** Milliseconds since 1970, with fractions. */
  nowMs(): number {
    const monotonicMs = performance.now();
    const coarseMs = Date.now();
    if (Math.abs(offsetMs + monotonicMs - coarseMs) > LEAST_STEP_MS) offsetMs = coarseMs - monotonicMs;
    return offsetMs + monotonicMs;
  },
};
