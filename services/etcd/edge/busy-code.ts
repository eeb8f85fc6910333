// Lets V8 optimize what a member that is busy runs all the time. The build has it started so that code is hardly ever optimized
// (scripts/build.ts): a member that answers the API server's few requests a second, one among thirty processes that start, would pay for it
// with processor time and memory and have little of it. Under load the same code takes a third less time when it is optimized.
import { setFlagsFromString } from 'node:v8';

/** That many requests and applied entries within that time are a load. */
const REQUESTS = 500;
const WITHIN_MS = 4_000;
/** V8's own values. */
const OPTIMIZING = '--ticks-before-optimization=3 --max-bytecode-size-for-early-opt=81';

export class BusyCode {
  private readonly optimize: () => void;
  private readonly nowMs: () => number;
  private count = 0;
  private sinceMs: number;
  private isOptimizing = false;

  constructor(optimize = (): void => setFlagsFromString(OPTIMIZING), nowMs = (): number => performance.now()) {
    this.optimize = optimize;
    this.nowMs = nowMs;
    this.sinceMs = nowMs();
  }

  /** So many requests, or entries. */
  add(count: number): void {
    if (this.isOptimizing || (this.count += count) < REQUESTS) return;
    const nowMs = this.nowMs();
    if (nowMs - this.sinceMs < WITHIN_MS) {
      this.isOptimizing = true;
      this.optimize();
    }
    this.count = 0;
    this.sinceMs = nowMs;
  }
}
