// What a client that never stops asking has seen.

/** One request. */
export interface Attempt {
  readonly startMs: number;
  readonly endMs: number;
  readonly isAnswered: boolean;
  /** The HTTP status, or what went wrong. */
  readonly text: string;
}

export interface Figures {
  readonly requests: number;
  readonly answered: number;
  readonly failed: number;
  /** Longest time without an answer. */
  readonly longestGapMs: number;
}

/** Of the requests sent from `sinceMs` on; the time up to `nowMs` in which none was answered is a gap as well. */
export function figuresOf(attempts: readonly Attempt[], sinceMs: number, nowMs: number): Figures {
  const counted = attempts.filter(({ startMs }) => startMs >= sinceMs);
  const answers = counted.filter(({ isAnswered }) => isAnswered).map(({ endMs }) => endMs).sort((a, b) => a - b);
  let longestGapMs = 0;
  let lastMs = sinceMs;
  for (const at of [...answers, nowMs]) {
    longestGapMs = Math.max(longestGapMs, at - lastMs);
    lastMs = at;
  }
  return { requests: counted.length, answered: answers.length, failed: counted.length - answers.length, longestGapMs };
}

/** What is wrong with the figures; undefined: nothing. */
export function figuresProblem({ answered, failed, longestGapMs }: Figures, limits: { readonly maxFailed?: number; readonly minFailed?: number; readonly minAnswered?: number; readonly maxAnswered?: number; readonly maxGapMs?: number }): string | undefined {
  const { maxFailed, minFailed, minAnswered, maxAnswered, maxGapMs } = limits;
  if (maxFailed !== undefined && failed > maxFailed) return `${failed} failed, and at most ${maxFailed} may`;
  if (minFailed !== undefined && failed < minFailed) return `${failed} failed, and at least ${minFailed} must`;
  if (minAnswered !== undefined && answered < minAnswered) return `${answered} were answered, and at least ${minAnswered} must be`;
  if (maxAnswered !== undefined && answered > maxAnswered) return `${answered} were answered, and at most ${maxAnswered} may be`;
  if (maxGapMs !== undefined && longestGapMs > maxGapMs) return `${(longestGapMs / 1000).toFixed(1)} s without an answer, and at most ${(maxGapMs / 1000).toFixed(1)} s may be`;
  return undefined;
}

export const describeFigures = ({ requests, answered, failed, longestGapMs }: Figures): string =>
  `${requests} requests, ${answered} answered, ${failed} failed, longest gap ${(longestGapMs / 1000).toFixed(1)} s`;
