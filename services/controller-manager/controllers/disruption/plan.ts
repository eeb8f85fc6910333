// How many pods under a PodDisruptionBudget may be taken away right now. Source: pkg/controller/disruption/disruption.go.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '#lib/kinds/types/policy-v1.ts';
import type { Condition } from '#lib/kinds/types/meta-v1.ts';
import { resolveIntOrPercent } from '#lib/machinery/int-or-percent.ts';
import { formatTime, parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { isReady, isTerminal, isTerminating } from '../../core/pod-state.ts';

/** Time an eviction has to show as a deletion before it no longer counts. Source: DeletionTimeout. */
export const DELETION_TIMEOUT_MS = 120_000;

export interface Expectation {
  readonly expectedPods: number;
  readonly desiredHealthy: number;
}

/** `scaleOf`: pods that the pods' controllers together ask for; only asked when the budget depends on it. */
export function expectation({ spec }: Readonly<PodDisruptionBudget>, pods: readonly Readonly<Pod>[], scaleOf: () => number): Expectation {
  const { minAvailable, maxUnavailable } = spec ?? {};
  if (maxUnavailable !== undefined) {
    const expectedPods = scaleOf();
    return { expectedPods, desiredHealthy: Math.max(0, expectedPods - resolveIntOrPercent(maxUnavailable, expectedPods, 'up')) };
  }
  if (typeof minAvailable === 'string') {
    const expectedPods = scaleOf();
    return { expectedPods, desiredHealthy: resolveIntOrPercent(minAvailable, expectedPods, 'up') };
  }
  return minAvailable === undefined ? { expectedPods: 0, desiredHealthy: 0 } : { expectedPods: pods.length, desiredHealthy: minAvailable };
}

export interface DisruptionPlan {
  readonly status: PodDisruptionBudgetStatus;
  /** When an eviction under way runs out. */
  readonly recheckMs: number | undefined;
  /** Pods that were to be deleted and were not. */
  readonly notDeleted: readonly Readonly<Pod>[];
}

export function planDisruption(budget: Readonly<PodDisruptionBudget>, pods: readonly Readonly<Pod>[], { expectedPods, desiredHealthy }: Expectation, nowMs: number): DisruptionPlan {
  const disruptedPods: Record<string, string> = {};
  const notDeleted: Readonly<Pod>[] = [];
  let recheckMs: number | undefined;
  for (const pod of pods) {
    const evicted = budget.status?.disruptedPods?.[pod.metadata.name];
    if (isTerminating(pod) || evicted === undefined) continue;
    const endMs = (parseTimeOrUndefined(evicted) ?? 0) + DELETION_TIMEOUT_MS;
    if (endMs < nowMs) {
      notDeleted.push(pod);
    } else {
      disruptedPods[pod.metadata.name] = evicted;
      recheckMs = Math.min(recheckMs ?? Infinity, endMs - nowMs);
    }
  }
  const currentHealthy = pods.filter((pod) => !isTerminal(pod) && !isTerminating(pod) && disruptedPods[pod.metadata.name] === undefined && isReady(pod)).length;
  const disruptionsAllowed = expectedPods <= 0 ? 0 : Math.max(0, currentHealthy - desiredHealthy);
  return {
    recheckMs, notDeleted,
    status: {
      currentHealthy, desiredHealthy, expectedPods, disruptionsAllowed,
      ...(Object.keys(disruptedPods).length === 0 ? {} : { disruptedPods }),
      observedGeneration: budget.metadata.generation,
      conditions: disruptionAllowed(budget, disruptionsAllowed > 0 ? 'SufficientPods' : 'InsufficientPods', '', nowMs),
    },
  };
}

/** Nothing may go while nothing is known. */
export function failedStatus(budget: Readonly<PodDisruptionBudget>, message: string, nowMs: number): PodDisruptionBudgetStatus {
  return {
    currentHealthy: 0, desiredHealthy: 0, expectedPods: 0, ...budget.status,
    disruptionsAllowed: 0, observedGeneration: budget.metadata.generation, conditions: disruptionAllowed(budget, 'SyncFailed', message, nowMs),
  };
}

function disruptionAllowed({ status, metadata }: Readonly<PodDisruptionBudget>, reason: 'SufficientPods' | 'InsufficientPods' | 'SyncFailed', message: string, nowMs: number): Condition[] {
  const value = reason === 'SufficientPods' ? 'True' : 'False';
  const before = status?.conditions?.find(({ type }) => type === 'DisruptionAllowed');
  const lastTransitionTime = before?.status === value ? before.lastTransitionTime : formatTime(nowMs);
  return [...(status?.conditions ?? []).filter(({ type }) => type !== 'DisruptionAllowed'), { type: 'DisruptionAllowed', status: value, reason, message, lastTransitionTime, observedGeneration: metadata.generation }];
}
