/** What curl's exit code says; 7 covers a refusal as well as a network without a way there. Source: curl(1), EXIT CODES. */
export const curlProblem = (exit: number): string =>
  ({ 6: 'name not resolved', 7: 'failed to connect', 28: 'timed out', 52: 'empty reply', 56: 'connection reset' })[exit] ?? `curl ended with ${exit}`;
