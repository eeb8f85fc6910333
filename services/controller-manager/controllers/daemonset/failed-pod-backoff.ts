// How long failed daemon pods are left alone before they are replaced, per DaemonSet, generation and node.
// Source: flowcontrol.NewBackOff(1s, 15m) in daemon_controller.go.

const FIRST_MS = 1_000;
const LONGEST_MS = 900_000;

export class FailedPodBackoff {
  readonly #entries = new Map<string, { waitMs: number; takenMs: number }>();

  /** 0 when a pod may be deleted now, else the milliseconds left. */
  tryTake(key: string, nowMs: number): number {
    this.#forgetOld(nowMs);
    const entry = this.#entries.get(key);
    if (entry) {
      const leftMs = entry.takenMs + entry.waitMs - nowMs;
      if (leftMs > 0) return leftMs;
    }
    this.#entries.set(key, { waitMs: entry ? Math.min(entry.waitMs * 2, LONGEST_MS) : FIRST_MS, takenMs: nowMs });
    return 0;
  }

  /** A node that was well for twice the longest wait starts anew. */
  #forgetOld(nowMs: number): void {
    for (const [key, { takenMs }] of this.#entries) if (nowMs - takenMs > 2 * LONGEST_MS) this.#entries.delete(key);
  }
}
