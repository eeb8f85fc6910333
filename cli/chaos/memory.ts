// What each process uses before and after a run, and whether it grows.
import type { InstanceReport } from '../local/instances.ts';

export interface MemoryFigures {
  /** COMPONENT@HOST to PSS; bytes. */
  readonly first: Readonly<Record<string, number>>;
  readonly last: Readonly<Record<string, number>>;
}

/**
 * What a process may have more than when it had just started: memory that has been used once stays with a process, and a
 * store that was written to is larger. A leak of a run of half an hour is beyond it.
 */
const MOST_GROWTH_BYTES = 48 * 1024 * 1024;
/** Of all processes together: most have room left that others have not. */
const MOST_TOTAL_GROWTH = 0.5;

const MIB = 1024 * 1024;
const inMib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;
export const totalOf = (memory: Readonly<Record<string, number>>): number => Object.values(memory).reduce((sum, bytes) => sum + bytes, 0);

/** Instances that may run anywhere have moved in the meantime: the largest of each counts. */
export function memoryByComponent(reports: readonly InstanceReport[], movable: ReadonlySet<string>): Record<string, number> {
  const memory: Record<string, number> = {};
  for (const { component, host, pssBytes } of reports) {
    const key = movable.has(component) ? component : `${component}@${host}`;
    memory[key] = Math.max(memory[key] ?? 0, pssBytes);
  }
  return memory;
}

export function grown({ first, last }: MemoryFigures): string[] {
  const found = Object.entries(last).filter(([name, bytes]) => bytes - (first[name] ?? 0) > MOST_GROWTH_BYTES).map(([name, bytes]) => `${name} has grown from ${inMib(first[name] ?? 0)} to ${inMib(bytes)}`);
  const [before, after] = [totalOf(first), totalOf(last)];
  return after > before * (1 + MOST_TOTAL_GROWTH) ? [...found, `all processes have grown from ${inMib(before)} to ${inMib(after)}`] : found;
}
