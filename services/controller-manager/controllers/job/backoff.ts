// How long a Job waits before it replaces failed pods: 10 s, 20 s, 40 s ... up to ten minutes, anew after each success.
// Source: pkg/controller/job/backoff_utils.go.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { finishedMs } from './pod-outcome.ts';

const FIRST_MS = 10_000;
const LONGEST_MS = 600_000;

export interface BackoffRecord {
  readonly failuresAfterLastSuccess: number;
  readonly lastFailureMs: number;
}
export const NO_FAILURES: BackoffRecord = { failuresAfterLastSuccess: 0, lastFailureMs: 0 };

/** The record once these pods, which ended since, are taken into account. */
export function nextRecord(record: BackoffRecord, succeeded: readonly Readonly<Pod>[], failed: readonly Readonly<Pod>[]): BackoffRecord {
  const lastSuccessMs = Math.max(-Infinity, ...succeeded.map(finishedMs));
  const later = failed.map(finishedMs).filter((endMs) => endMs > lastSuccessMs);
  const before = succeeded.length > 0 ? NO_FAILURES : record;
  return { failuresAfterLastSuccess: before.failuresAfterLastSuccess + later.length, lastFailureMs: Math.max(before.lastFailureMs, ...later) };
}

/** Milliseconds left of the wait after so many failures; 0: none. */
export function remainingMs(failures: number, lastFailureMs: number, nowMs: number): number {
  if (failures === 0) return 0;
  return Math.max(0, lastFailureMs + Math.min(FIRST_MS * 2 ** (failures - 1), LONGEST_MS) - nowMs);
}
