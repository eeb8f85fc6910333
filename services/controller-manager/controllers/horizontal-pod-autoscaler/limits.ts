// From what the metrics ask for to what is done: bounds, rates and patience. Source: pkg/controller/podautoscaler/horizontal.go.
import type { HPAScalingRules, HorizontalPodAutoscaler } from '#lib/kinds/types/autoscaling-v2.ts';

export interface TimedCount {
  readonly count: number;
  readonly atMs: number;
}

/** What has to be remembered of an autoscaler; lost with the process, as upstream's. */
export interface Memory {
  recommendations: TimedCount[];
  /** Replicas added and taken away, for the rates of policies. */
  added: TimedCount[];
  removed: TimedCount[];
}
export const newMemory = (): Memory => ({ recommendations: [], added: [], removed: [] });

export interface Decision {
  readonly replicas: number;
  readonly ableToScale: { readonly reason: string; readonly message: string };
  readonly limited: { readonly isLimited: boolean; readonly reason: string; readonly message: string };
}

const READY = { reason: 'ReadyForNewScale', message: 'recommended size matches current size' };
const UP_STABILIZED = { reason: 'ScaleUpStabilized', message: 'recent recommendations were lower than current one, applying the lowest recent recommendation' };
const DOWN_STABILIZED = { reason: 'ScaleDownStabilized', message: 'recent recommendations were higher than current one, applying the highest recent recommendation' };
const WITHIN = { reason: 'DesiredWithinRange', message: 'the desired count is within the acceptable range' };
const TOO_FEW = { reason: 'TooFewReplicas', message: 'the desired replica count is less than the minimum replica count' };
const TOO_MANY = { reason: 'TooManyReplicas', message: 'the desired replica count is more than the maximum replica count' };
const TOO_FAST_UP = { reason: 'ScaleUpLimit', message: 'the desired replica count is increasing faster than the maximum scale rate' };
const TOO_FAST_DOWN = { reason: 'ScaleDownLimit', message: 'the desired replica count is decreasing faster than the maximum scale rate' };

/** Without a behavior: at most twice as many at once, or four. */
const UP_FACTOR = 2;
const UP_MINIMUM = 4;

interface DecideOptions {
  readonly currentReplicas: number;
  readonly wanted: number;
  readonly downscaleStabilizationMs: number;
  readonly nowMs: number;
}

/** Notes the recommendation in `memory` and says what to do. */
export function decide({ spec }: Readonly<HorizontalPodAutoscaler>, memory: Memory, { currentReplicas, wanted, downscaleStabilizationMs, nowMs }: DecideOptions): Decision {
  const { minReplicas = 1, maxReplicas, behavior } = spec;
  const windowMs = (rules: HPAScalingRules | undefined, unset: number): number => (rules?.stabilizationWindowSeconds === undefined ? unset : rules.stabilizationWindowSeconds * 1000);
  const upMs = behavior ? windowMs(behavior.scaleUp, 0) : 0;
  const downMs = behavior ? windowMs(behavior.scaleDown, downscaleStabilizationMs) : downscaleStabilizationMs;
  const [lowest, highest] = [Math.min, Math.max].map((pick, index) =>
    memory.recommendations.filter(({ atMs }) => atMs > nowMs - (index === 0 ? upMs : downMs)).reduce((best, { count }) => pick(best, count), wanted)) as [number, number];
  memory.recommendations = [...memory.recommendations.filter(({ atMs }) => atMs > nowMs - Math.max(upMs, downMs)), { count: wanted, atMs: nowMs }];
  const stabilized = behavior ? Math.min(Math.max(currentReplicas, lowest), highest) : highest;
  const ableToScale = stabilized === wanted ? READY : behavior && wanted >= currentReplicas ? UP_STABILIZED : DOWN_STABILIZED;

  let lower = { limit: minReplicas, ...TOO_FEW };
  let upper = { limit: maxReplicas, ...TOO_MANY };
  if (!behavior) {
    const limit = Math.max(UP_FACTOR * currentReplicas, UP_MINIMUM);
    if (maxReplicas > limit) upper = { limit, ...TOO_FAST_UP };
  } else {
    const up = Math.max(currentReplicas, rateLimit('up', behavior.scaleUp, currentReplicas, memory, nowMs));
    const down = Math.min(currentReplicas, rateLimit('down', behavior.scaleDown, currentReplicas, memory, nowMs));
    if (maxReplicas > up) upper = { limit: up, ...TOO_FAST_UP };
    if (minReplicas < down) lower = { limit: down, ...TOO_FAST_DOWN };
  }
  const bound = stabilized < lower.limit ? lower : stabilized > upper.limit ? upper : undefined;
  const { reason, message } = bound ?? WITHIN;
  return { replicas: bound?.limit ?? stabilized, ableToScale, limited: { isLimited: bound !== undefined, reason, message } };
}

/** How far the policies let the count go in one direction. */
function rateLimit(direction: 'up' | 'down', rules: HPAScalingRules | undefined, currentReplicas: number, { added, removed }: Memory, nowMs: number): number {
  const { selectPolicy = 'Max', policies = [] } = rules ?? {};
  if (selectPolicy === 'Disabled') return currentReplicas;
  const changed = (events: readonly TimedCount[], periodSeconds: number): number => events.filter(({ atMs }) => atMs > nowMs - periodSeconds * 1000).reduce((sum, { count }) => sum + count, 0);
  const proposals = policies.map(({ type, value, periodSeconds }) => {
    const before = currentReplicas - changed(added, periodSeconds) + changed(removed, periodSeconds);
    if (direction === 'up') return type === 'Pods' ? before + value : Math.ceil(before * (1 + value / 100));
    return type === 'Pods' ? before - value : Math.trunc(before * (1 - value / 100));
  });
  // The policy of the largest change: upwards the highest count, downwards the lowest.
  return (direction === 'up') === (selectPolicy === 'Max') ? Math.max(...proposals) : Math.min(...proposals);
}

const longestPeriodMs = (rules: HPAScalingRules | undefined): number => Math.max(0, ...(rules?.policies ?? []).map(({ periodSeconds }) => periodSeconds * 1000));

/** Notes a change that was made, as long as a policy asks for it. */
export function noteChange({ spec: { behavior } }: Readonly<HorizontalPodAutoscaler>, memory: Memory, change: number, nowMs: number): void {
  if (!behavior || change === 0) return;
  const keepMs = Math.max(longestPeriodMs(behavior.scaleUp), longestPeriodMs(behavior.scaleDown));
  const recent = (events: readonly TimedCount[]) => events.filter(({ atMs }) => atMs > nowMs - keepMs);
  const event = { count: Math.abs(change), atMs: nowMs };
  memory.added = change > 0 ? [...recent(memory.added), event] : recent(memory.added);
  memory.removed = change < 0 ? [...recent(memory.removed), event] : recent(memory.removed);
}
