// How many pods of a ReplicaSet to create or delete, and what its status says. Source: pkg/controller/replicaset.
import type { ReplicaSet, ReplicaSetCondition, ReplicaSetStatus } from '#lib/kinds/types/apps-v1.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { selectorFromMap } from '#lib/machinery/selectors.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { podsToDelete } from '../../core/pod-ranking.ts';
import { isActive, isAvailable, isReady, isTerminal, isTerminating } from '../../core/pod-state.ts';

export type ReplicaSetPlan =
  | { readonly type: 'nothing' }
  | { readonly type: 'create'; readonly count: number }
  | { readonly type: 'delete'; readonly pods: readonly Readonly<Pod>[] };

/** `related`: active pods of all ReplicaSets with the same owner, for spreading deletions. */
export function planReplicaSet(replicaSet: Readonly<ReplicaSet>, pods: readonly Readonly<Pod>[], related: readonly Readonly<Pod>[], limit: number, nowMs: number): ReplicaSetPlan {
  if (replicaSet.metadata.deletionTimestamp !== undefined) return { type: 'nothing' };
  const active = pods.filter(isActive);
  const missing = (replicaSet.spec.replicas ?? 1) - active.length;
  if (missing > 0) return { type: 'create', count: Math.min(missing, limit) };
  if (missing < 0) return { type: 'delete', pods: podsToDelete(active, related, Math.min(-missing, limit), nowMs) };
  return { type: 'nothing' };
}

/** `failure`: why the plan could not be carried out. */
export function replicaSetStatus(replicaSet: Readonly<ReplicaSet>, pods: readonly Readonly<Pod>[], failure: { readonly error: Error; readonly plan: ReplicaSetPlan } | undefined, nowMs: number): ReplicaSetStatus {
  const { template, minReadySeconds = 0 } = replicaSet.spec;
  const active = pods.filter(isActive);
  const templateLabels = selectorFromMap(template?.metadata?.labels);
  return {
    ...replicaSet.status,
    replicas: active.length,
    fullyLabeledReplicas: active.filter(({ metadata }) => templateLabels.matches(metadata.labels)).length,
    readyReplicas: active.filter(isReady).length,
    availableReplicas: active.filter((pod) => isAvailable(pod, minReadySeconds, nowMs)).length,
    terminatingReplicas: pods.filter((pod) => isTerminating(pod) && !isTerminal(pod)).length,
    observedGeneration: replicaSet.metadata.generation,
    conditions: conditions(replicaSet.status?.conditions ?? [], failure, nowMs),
  };
}

function conditions(previous: readonly ReplicaSetCondition[], failure: { readonly error: Error; readonly plan: ReplicaSetPlan } | undefined, nowMs: number): ReplicaSetCondition[] {
  const others = previous.filter(({ type }) => type !== 'ReplicaFailure');
  if (!failure) return others;
  const known = previous.find(({ type }) => type === 'ReplicaFailure');
  if (known) return [...previous]; // the first failure is kept until it is over
  return [...others, {
    type: 'ReplicaFailure', status: 'True', reason: failure.plan.type === 'delete' ? 'FailedDelete' : 'FailedCreate',
    message: failure.error.message, lastTransitionTime: formatTime(nowMs),
  }];
}
