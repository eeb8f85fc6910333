// The history of a run in a file: JSON, which has neither Infinity nor undefined.
import { readFileSync, writeFileSync } from 'node:fs';
import type { History, Reference } from './history.ts';

export interface StoredHistory {
  readonly seed: number;
  readonly problems: readonly string[];
  readonly unknown: readonly string[];
  /** When clients had stopped, and leases had had time to expire. */
  readonly endMs: number;
  readonly history: History;
  readonly reference: Reference;
}

const NEVER = 'never';

export function writeHistory(path: string, stored: StoredHistory): void {
  writeFileSync(path, JSON.stringify(stored, (_, value: unknown) => (value === Infinity ? NEVER : value), 1));
}

export const readHistory = (path: string): StoredHistory => restored(JSON.parse(readFileSync(path, 'utf8'))) as StoredHistory;

/** What is undefined in a list is null in JSON. */
function restored(value: unknown): unknown {
  if (value === NEVER) return Infinity;
  if (value === null) return undefined;
  if (Array.isArray(value)) return value.map(restored);
  return typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, restored(inner)])) : value;
}
