// What controllers ask of a pod: is it active, ready, available, ending? Source: pkg/api/v1/pod/util.go.
import type { Pod, PodCondition } from '#lib/kinds/types/core-v1.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';

export function podCondition(pod: Readonly<Pod>, type: string): PodCondition | undefined {
  return pod.status?.conditions?.find((condition) => condition.type === type);
}

export const isTerminal = (pod: Readonly<Pod>): boolean => pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
export const isTerminating = (pod: Readonly<Pod>): boolean => pod.metadata.deletionTimestamp !== undefined;
export const isActive = (pod: Readonly<Pod>): boolean => !isTerminal(pod) && !isTerminating(pod);
export const isReady = (pod: Readonly<Pod>): boolean => podCondition(pod, 'Ready')?.status === 'True';

/** When the pod became ready, in milliseconds; undefined when it is not ready. */
export function readySinceMs(pod: Readonly<Pod>): number | undefined {
  const condition = podCondition(pod, 'Ready');
  if (condition?.status !== 'True') return undefined;
  return condition.lastTransitionTime === undefined ? undefined : parseTimeOrUndefined(condition.lastTransitionTime);
}

/** Ready for at least `minReadySeconds`. */
export function isAvailable(pod: Readonly<Pod>, minReadySeconds: number, nowMs: number): boolean {
  if (!isReady(pod)) return false;
  if (minReadySeconds === 0) return true;
  const sinceMs = readySinceMs(pod);
  return sinceMs !== undefined && sinceMs + minReadySeconds * 1000 <= nowMs;
}

/** Time until the next of these ready pods counts as available; undefined when there is none to wait for. */
export function nextAvailableMs(pods: readonly Readonly<Pod>[], minReadySeconds: number, nowMs: number): number | undefined {
  if (minReadySeconds === 0) return undefined;
  let soonest: number | undefined;
  for (const pod of pods) {
    const sinceMs = readySinceMs(pod);
    if (sinceMs === undefined) continue;
    const leftMs = sinceMs + minReadySeconds * 1000 - nowMs;
    if (leftMs > 0) soonest = Math.min(soonest ?? leftMs, leftMs);
  }
  return soonest;
}

export const createdMs = ({ metadata }: { readonly metadata: { readonly creationTimestamp?: string | undefined } }): number =>
  parseTimeOrUndefined(metadata.creationTimestamp ?? '') ?? 0;
