// Signals that tell how short the node is of something, and the thresholds on them. Source: pkg/kubelet/eviction.
import { integerValue, parseQuantity } from '#lib/machinery/quantity.ts';
import type { Pressure } from '../node-status.ts';

export type Signal = 'memory.available' | 'allocatableMemory.available' | 'nodefs.available' | 'nodefs.inodesFree' | 'imagefs.available' | 'imagefs.inodesFree' | 'pid.available';
export type StarvedResource = 'memory' | 'ephemeral-storage' | 'inodes' | 'pids';

export interface Observation {
  readonly available: number;
  readonly capacity: number;
}
export type Observations = ReadonlyMap<Signal, Observation>;

/** A quantity, or a part of the capacity. */
export type Amount = { readonly quantity: number; readonly fraction?: undefined } | { readonly fraction: number; readonly quantity?: undefined };
export interface Threshold {
  readonly signal: Signal;
  readonly value: Amount;
  /** 0: acts at once (hard). Milliseconds. */
  readonly graceMs: number;
  /** What must be free above the value before the threshold counts as left. */
  readonly minReclaim: Amount | undefined;
}

interface SignalFacts {
  readonly pressure: Pressure;
  readonly resource: StarvedResource;
}
const SIGNALS: Readonly<Record<Signal, SignalFacts>> = {
  'memory.available': { pressure: 'MemoryPressure', resource: 'memory' },
  'allocatableMemory.available': { pressure: 'MemoryPressure', resource: 'memory' },
  'nodefs.available': { pressure: 'DiskPressure', resource: 'ephemeral-storage' },
  'nodefs.inodesFree': { pressure: 'DiskPressure', resource: 'inodes' },
  'imagefs.available': { pressure: 'DiskPressure', resource: 'ephemeral-storage' },
  'imagefs.inodesFree': { pressure: 'DiskPressure', resource: 'inodes' },
  'pid.available': { pressure: 'PIDPressure', resource: 'pids' },
};
export const pressureOf = (signal: Signal): Pressure => SIGNALS[signal].pressure;
export const resourceOf = (signal: Signal): StarvedResource => SIGNALS[signal].resource;

export class ThresholdError extends Error {
  override readonly name = 'ThresholdError';
}

function parseAmount(signal: string, text: string): Amount {
  if (!text.endsWith('%')) return { quantity: integerValue(text) };
  const fraction = Number(text.slice(0, -1)) / 100;
  if (!(fraction > 0 && fraction <= 1)) throw new ThresholdError(`eviction percentage threshold ${signal} must be > 0% and <= 100%: ${text}`);
  return { fraction };
}

export interface ThresholdSettings {
  readonly hard: Readonly<Record<string, string>>;
  readonly soft: Readonly<Record<string, string>>;
  /** Milliseconds by signal. */
  readonly softGraceMs: Readonly<Record<string, number>>;
  readonly minReclaim: Readonly<Record<string, string>>;
}

/** Throws ThresholdError in upstream's words. */
export function parseThresholds({ hard, soft, softGraceMs, minReclaim }: ThresholdSettings): Threshold[] {
  const one = (signal: string, text: string, graceMs: number): Threshold[] => {
    if (!(signal in SIGNALS)) throw new ThresholdError(`unsupported eviction signal ${signal}`);
    if (text === '0%' || text === '100%') return []; // switched off
    const value = parseAmount(signal, text);
    if (value.quantity !== undefined && parseQuantity(text).nanos < 0n) throw new ThresholdError(`eviction threshold ${signal} must be positive: ${text}`);
    return [{ signal: signal as Signal, value, graceMs, minReclaim: minReclaim[signal] === undefined ? undefined : parseAmount(signal, minReclaim[signal]) }];
  };
  return [
    ...Object.entries(hard).flatMap(([signal, text]) => one(signal, text, 0)),
    ...Object.entries(soft).flatMap(([signal, text]) => {
      if (softGraceMs[signal] === undefined) throw new ThresholdError(`grace period must be specified for the soft eviction threshold ${signal}`);
      return one(signal, text, softGraceMs[signal]);
    }),
  ];
}

export const amountOf = (amount: Amount, capacity: number): number => amount.quantity ?? Math.floor(amount.fraction * capacity);

/** `withReclaim`: also the amount that has to be free beyond the threshold. */
export function isMet({ signal, value, minReclaim }: Threshold, observations: Observations, withReclaim: boolean): boolean {
  const seen = observations.get(signal);
  if (!seen) return false;
  return amountOf(value, seen.capacity) + (withReclaim && minReclaim ? amountOf(minReclaim, seen.capacity) : 0) > seen.available;
}

/** What the manager remembers between its rounds. */
export interface ThresholdState {
  /** Met in the last round, or not yet left by enough. */
  readonly met: readonly Threshold[];
  readonly firstMetMs: ReadonlyMap<Threshold, number>;
  readonly pressureSeenMs: ReadonlyMap<Pressure, number>;
}
export const noThresholdState: ThresholdState = { met: [], firstMetMs: new Map(), pressureSeenMs: new Map() };

export interface ThresholdRound {
  readonly state: ThresholdState;
  readonly pressures: ReadonlySet<Pressure>;
  /** Those to act on now, most urgent first. */
  readonly due: readonly Threshold[];
}

export function thresholdRound(thresholds: readonly Threshold[], observations: Observations, before: ThresholdState, { nowMs, transitionMs }: { readonly nowMs: number; readonly transitionMs: number }): ThresholdRound {
  const met = thresholds.filter((threshold) => isMet(threshold, observations, false) || (before.met.includes(threshold) && isMet(threshold, observations, true)));
  const firstMetMs = new Map(met.map((threshold) => [threshold, before.firstMetMs.get(threshold) ?? nowMs]));
  const pressureSeenMs = new Map(before.pressureSeenMs);
  for (const { signal } of met) pressureSeenMs.set(pressureOf(signal), nowMs);
  // A condition stays for a while after the last time it held, so that it does not come and go.
  const pressures = new Set([...pressureSeenMs].filter(([, seenMs]) => nowMs - seenMs < transitionMs || seenMs === nowMs).map(([pressure]) => pressure));
  const due = met.filter((threshold) => nowMs - (firstMetMs.get(threshold) ?? nowMs) >= threshold.graceMs);
  return { state: { met, firstMetMs, pressureSeenMs }, pressures, due: [...due].sort((left, right) => urgency(left) - urgency(right)) };
}

/** Memory first: the kernel's own answer to its lack is the harshest. */
const urgency = ({ signal }: Threshold): number => (resourceOf(signal) === 'memory' ? 0 : 1);
