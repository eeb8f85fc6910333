// For long work in pieces: lets everything else have its turn when the work has taken its time.

/** Shorter than a heartbeat by far. */
const TURN_MS = 5;

export class Breather {
  private readonly turnMs: number;
  private sinceMs = performance.now();

  constructor(turnMs = TURN_MS) {
    this.turnMs = turnMs;
  }

  /** To be awaited between pieces. */
  breathe(): Promise<void> | undefined {
    if (performance.now() - this.sinceMs < this.turnMs) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        this.sinceMs = performance.now();
        resolve();
      });
    });
  }
}
