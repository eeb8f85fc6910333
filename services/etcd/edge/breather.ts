// For long work in pieces: lets everything else have its turn when the work has taken its time.

/** Shorter than a heartbeat by far. */
const TURN_MS = 5;

export class Breather {
  private sinceMs = performance.now();

  /** To be awaited between pieces. */
  breathe(): Promise<void> | undefined {
    if (performance.now() - this.sinceMs < TURN_MS) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        this.sinceMs = performance.now();
        resolve();
      });
    });
  }
}
