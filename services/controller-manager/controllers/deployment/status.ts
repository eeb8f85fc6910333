// The status of a Deployment and its conditions. Source: pkg/controller/deployment/sync.go and progress.go.
import type { Deployment, DeploymentCondition, DeploymentStatus } from '#lib/kinds/types/apps-v1.ts';
import { formatTime, parseTimeOrUndefined } from '#lib/machinery/time.ts';
import type { Rollout } from './plan.ts';
import { replicasOf, rollingLimits, sumOfActual, sumOfAvailable, sumOfReady, sumOfReplicas } from './replica-sets.ts';

/** The deadline that stands for none. */
const NO_DEADLINE = 2147483647;

export const conditionOf = (status: Readonly<DeploymentStatus> | undefined, type: string): DeploymentCondition | undefined =>
  status?.conditions?.find((condition) => condition.type === type);

export const hasProgressDeadline = ({ spec }: Readonly<Deployment>): boolean => spec.progressDeadlineSeconds !== undefined && spec.progressDeadlineSeconds !== NO_DEADLINE;

export function newCondition(type: string, status: 'True' | 'False' | 'Unknown', reason: string, message: string, nowMs: number): DeploymentCondition {
  const now = formatTime(nowMs);
  return { type, status, lastUpdateTime: now, lastTransitionTime: now, reason, message };
}

/** Puts a condition in place of the one of its type; nothing changes when status and reason are the same. */
export function withCondition(conditions: readonly DeploymentCondition[], condition: DeploymentCondition): DeploymentCondition[] {
  const current = conditions.find(({ type }) => type === condition.type);
  if (current && current.status === condition.status && current.reason === condition.reason) return [...conditions];
  const next = current && current.status === condition.status ? { ...condition, lastTransitionTime: current.lastTransitionTime } : condition;
  return [...conditions.filter(({ type }) => type !== condition.type), next];
}

/** Counts and the Available condition; other conditions as they are. */
export function baseStatus({ deployment, newReplicaSet, oldReplicaSets }: Rollout, nowMs: number): DeploymentStatus {
  const all = [...oldReplicaSets, ...(newReplicaSet ? [newReplicaSet] : [])];
  const availableReplicas = sumOfAvailable(all);
  const isAvailable = availableReplicas >= replicasOf(deployment) - rollingLimits(deployment).maxUnavailable;
  const { collisionCount, conditions = [] } = deployment.status ?? {};
  const counts = {
    replicas: sumOfActual(all),
    updatedReplicas: newReplicaSet?.status?.replicas ?? 0,
    readyReplicas: sumOfReady(all),
    availableReplicas,
    unavailableReplicas: Math.max(0, sumOfReplicas(all) - availableReplicas),
  };
  return {
    observedGeneration: deployment.metadata.generation,
    ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)), // omitempty: upstream's status has no zeros
    terminatingReplicas: all.reduce((sum, { status }) => sum + (status?.terminatingReplicas ?? 0), 0),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    conditions: withCondition(conditions, isAvailable
      ? newCondition('Available', 'True', 'MinimumReplicasAvailable', 'Deployment has minimum availability.', nowMs)
      : newCondition('Available', 'False', 'MinimumReplicasUnavailable', 'Deployment does not have minimum availability.', nowMs)),
  };
}

export function isComplete(deployment: Readonly<Deployment>, status: Readonly<DeploymentStatus>): boolean {
  const wanted = replicasOf(deployment);
  const { updatedReplicas = 0, replicas = 0, availableReplicas = 0 } = status;
  return updatedReplicas === wanted && replicas === wanted && availableReplicas === wanted
    && (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0);
}

function isProgressing({ status: before }: Readonly<Deployment>, after: Readonly<DeploymentStatus>): boolean {
  const oldBefore = (before?.replicas ?? 0) - (before?.updatedReplicas ?? 0);
  const oldAfter = (after.replicas ?? 0) - (after.updatedReplicas ?? 0);
  return (after.updatedReplicas ?? 0) > (before?.updatedReplicas ?? 0) || oldAfter < oldBefore
    || (after.readyReplicas ?? 0) > (before?.readyReplicas ?? 0) || (after.availableReplicas ?? 0) > (before?.availableReplicas ?? 0);
}

/** When the deadline ends: counted from the last progress. Undefined: nothing is being waited for. */
function deadlineMs(deployment: Readonly<Deployment>, status: Readonly<DeploymentStatus>): number | undefined {
  const condition = conditionOf(status, 'Progressing');
  // A complete rollout has nothing to be late with, and resuming starts anew with the condition's next change.
  if (!condition || condition.reason === 'NewReplicaSetAvailable') return undefined;
  const sinceMs = parseTimeOrUndefined(condition.lastUpdateTime ?? '');
  return sinceMs === undefined ? undefined : sinceMs + (deployment.spec.progressDeadlineSeconds ?? 0) * 1000;
}

function isTimedOut(deployment: Readonly<Deployment>, status: Readonly<DeploymentStatus>, nowMs: number): boolean {
  if (conditionOf(status, 'Progressing')?.reason === 'ProgressDeadlineExceeded') return true;
  const endMs = deadlineMs(deployment, status);
  return endMs !== undefined && endMs < nowMs;
}

/** The whole status after a step of a rollout: counts, availability, progress, and failures of the ReplicaSets. */
export function rolloutStatus(rollout: Rollout, nowMs: number): DeploymentStatus {
  const { deployment, newReplicaSet, oldReplicaSets } = rollout;
  const status = baseStatus(rollout, nowMs);
  let conditions = status.conditions ?? [];
  if (!hasProgressDeadline(deployment)) conditions = conditions.filter(({ type }) => type !== 'Progressing');
  const current = conditionOf(deployment.status, 'Progressing');
  // Nothing is going on: at rest since the last rollout ended, and only one ReplicaSet has pods.
  const isAtRest = status.replicas === status.updatedReplicas && current?.reason === 'NewReplicaSetAvailable';
  if (hasProgressDeadline(deployment) && !isAtRest) {
    const subject = newReplicaSet ? `ReplicaSet "${newReplicaSet.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
    if (isComplete(deployment, status)) {
      conditions = withCondition(conditions, newCondition('Progressing', 'True', 'NewReplicaSetAvailable', `${subject} has successfully progressed.`, nowMs));
    } else if (isProgressing(deployment, status)) {
      let condition = newCondition('Progressing', 'True', 'ReplicaSetUpdated', `${subject} is progressing.`, nowMs);
      if (current?.status === 'True') condition = { ...condition, lastTransitionTime: current.lastTransitionTime };
      conditions = [...conditions.filter(({ type }) => type !== 'Progressing'), condition]; // each progress counts anew
    } else if (isTimedOut(deployment, status, nowMs)) {
      conditions = withCondition(conditions, newCondition('Progressing', 'False', 'ProgressDeadlineExceeded', `${subject} has timed out progressing.`, nowMs));
    }
  }
  const failures = replicaFailure([...(newReplicaSet ? [newReplicaSet] : []), ...oldReplicaSets]);
  conditions = failures ? withCondition(conditions, failures) : conditions.filter(({ type }) => type !== 'ReplicaFailure');
  return { ...status, conditions };
}

/** The failure of the new ReplicaSet, or else of any. */
function replicaFailure(replicaSets: readonly Readonly<Rollout['oldReplicaSets'][number]>[]): DeploymentCondition | undefined {
  for (const { status } of replicaSets) {
    const failure = status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
    if (failure) return { ...failure, lastUpdateTime: failure.lastTransitionTime };
  }
  return undefined;
}

/** Time until progress must have been made, for coming back then; undefined when nothing is at stake. */
export function timeToDeadlineMs(deployment: Readonly<Deployment>, status: Readonly<DeploymentStatus>, nowMs: number): number | undefined {
  if (!hasProgressDeadline(deployment) || isComplete(deployment, status) || conditionOf(status, 'Progressing')?.reason === 'ProgressDeadlineExceeded') return undefined;
  const endMs = deadlineMs(deployment, status);
  // A second more, since condition times are whole seconds.
  return endMs === undefined ? undefined : Math.max(0, endMs - nowMs) + 1_000;
}
