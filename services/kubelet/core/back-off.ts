// Exponential back-off by key. Source: client-go util/flowcontrol/backoff.go, which the kubelet uses for crashed
// containers and failed pulls.

export interface BackOffLimits {
  /** Milliseconds. */
  readonly firstMs: number;
  readonly longestMs: number;
  /** After so long without another event the delay starts anew. Default: twice the longest delay. */
  readonly forgetMs?: number;
}

/** The times of a moment. Milliseconds. */
export interface Moment {
  /** As the clock on the wall has it. */
  readonly wallMs: number;
  /** As a clock has it that nobody sets. */
  readonly steadyMs: number;
}

interface Entry {
  delayMs: number;
  updatedMs: number;
  /** What is waited for, and since when (by the steady clock). */
  event?: { readonly atMs: number; readonly seenMs: number };
}

export class BackOff {
  readonly #limits: BackOffLimits;
  readonly #entries = new Map<string, Entry>();

  constructor(limits: BackOffLimits) {
    this.#limits = limits;
  }

  /** The delay in force; 0 when there is none. */
  delayMs(key: string): number {
    return this.#entries.get(key)?.delayMs ?? 0;
  }

  /** Raises the delay after something happened at `eventMs`; starts anew when the last time is long ago. */
  next(key: string, eventMs: number, nowMs: number): void {
    const entry = this.#entries.get(key);
    const isFresh = !entry || this.#isForgotten(entry, eventMs);
    this.#entries.set(key, { delayMs: isFresh ? this.#limits.firstMs : Math.min(entry.delayMs * 2, this.#limits.longestMs), updatedMs: nowMs });
  }

  /**
   * Milliseconds still to wait after something that happened at `eventMs` (on the wall); 0: go on. It is the delay at most since it was first
   * asked for, also when the wall's clock was ahead then: upstream waits until it has come so far again.
   */
  remainingSinceMs(key: string, eventMs: number, now: Moment): number {
    const entry = this.#entries.get(key);
    if (!entry || this.#isForgotten(entry, eventMs)) return 0;
    if (entry.event?.atMs !== eventMs) entry.event = { atMs: eventMs, seenMs: now.steadyMs };
    return Math.max(0, entry.delayMs - Math.max(now.wallMs - eventMs, now.steadyMs - entry.event.seenMs));
  }

  /** The same, counted from when the delay was last raised. */
  remainingMs(key: string, nowMs: number): number {
    const entry = this.#entries.get(key);
    if (!entry || this.#isForgotten(entry, nowMs)) return 0;
    return Math.max(0, entry.delayMs - (nowMs - entry.updatedMs));
  }

  reset(key: string): void {
    this.#entries.delete(key);
  }

  /** Drops what would start anew anyway; called now and then, so that the map stays small. */
  collect(nowMs: number): void {
    for (const [key, entry] of this.#entries) if (this.#isForgotten(entry, nowMs)) this.#entries.delete(key);
  }

  #isForgotten(entry: Entry, eventMs: number): boolean {
    return eventMs - entry.updatedMs > (this.#limits.forgetMs ?? this.#limits.longestMs * 2);
  }
}

/** Durations as Go prints whole seconds: `10s`, `1m20s`, `5m0s`. */
export function goSeconds(durationMs: number): string {
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes}m${seconds % 60}s` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds % 60}s`;
}
/** Durations as Go prints them after cutting to milliseconds: `812ms`, `1.204s`, `1m2.5s`. */
export function goDuration(durationMs: number): string {
  const ms = Math.floor(durationMs);
  if (ms === 0) return '0s';
  if (ms < 1000) return `${ms}ms`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = (ms % 60_000) / 1000;
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds}s`;
}
