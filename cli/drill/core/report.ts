// What is known of a drill when it is over; written as JSON, and drawn.
import type { Figures } from './figures.ts';
import type { Entry } from './timeline.ts';

/**
 * `failed`: something expected was not so. `error`: it could not be carried out, or not cleared away. `skipped`: the cluster is
 * not one for it. `interrupted`: somebody ended it.
 */
export type DrillStatus = 'passed' | 'failed' | 'error' | 'skipped' | 'interrupted';

export interface StepReport {
  readonly number: number;
  readonly text: string;
  readonly status: 'done' | 'failed' | 'error' | 'left out' | 'not reached';
  readonly startMs?: number;
  readonly endMs?: number;
  /** What was seen. */
  readonly detail?: string;
}

export interface ClientReport {
  readonly name: string;
  readonly what: string;
  readonly figures: Figures;
}

export interface DrillReport {
  readonly drill: string;
  readonly title: string;
  readonly description: string;
  readonly status: DrillStatus;
  /** Why it is not passed. */
  readonly problem?: string;
  readonly isWithoutFault: boolean;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly cluster: { readonly mode: string; readonly hosts: readonly string[]; readonly isFast?: boolean };
  readonly steps: readonly StepReport[];
  readonly clients: readonly ClientReport[];
  readonly timeline: readonly Entry[];
  readonly droppedEntries: number;
}
