// What a StatefulSet does next: which pods to create, delete or repair, in which order, and where it has to wait.
// Source: pkg/controller/statefulset/stateful_set_control.go.
import type { NewObject } from '#lib/api-client/client.ts';
import type { StatefulSet, StatefulSetStatus } from '#lib/kinds/types/apps-v1.ts';
import type { Pod, PodTemplateSpec } from '#lib/kinds/types/core-v1.ts';
import { resolveIntOrPercent } from '#lib/machinery/int-or-percent.ts';
import { isAvailable, isReady, isTerminal, isTerminating } from '../../core/pod-state.ts';
import { hasIdentity, isInRange, newPod, ordinalOf, replicasOf, revisionOf, startOf } from './identity.ts';

export interface Revision {
  /** The ControllerRevision's name, which pods carry as a label. */
  readonly name: string;
  readonly template: Readonly<PodTemplateSpec>;
}

/** Steps are taken in order; one that fails ends the pass. */
export type Step =
  /** Claims first; nothing is created while one of them still belongs to an earlier pod of the name. */
  | { readonly type: 'create'; readonly ordinal: number; readonly pod: NewObject<Pod> }
  /** The pod's claims are made when they are missing. */
  | { readonly type: 'provide-claims'; readonly ordinal: number; readonly pod: Readonly<Pod> }
  /** Labels, volumes and owners of claims are put right. */
  | { readonly type: 'repair'; readonly ordinal: number; readonly pod: Readonly<Pod> }
  | { readonly type: 'own-claims'; readonly ordinal: number; readonly pod: Readonly<Pod> }
  | { readonly type: 'delete'; readonly pod: Readonly<Pod>; readonly why: 'ended' | 'scale down' | 'update' };

export interface StatefulPlan {
  readonly steps: readonly Step[];
  /** Pods beyond what the set asks for, highest ordinal first. */
  readonly condemned: readonly Readonly<Pod>[];
  /** A pod cannot be made yet: the claim of an earlier one of its name is about to be deleted. */
  readonly isBlockedByClaim: boolean;
}

export interface PlanInput {
  readonly set: Readonly<StatefulSet>;
  /** Members of the set. */
  readonly pods: readonly Readonly<Pod>[];
  readonly current: Revision;
  readonly update: Revision;
  /** Whether the claims of this pod are owned as the retention policy asks. */
  readonly hasRightOwners: (pod: Readonly<Pod>) => boolean;
  /** Whether a claim of this pod that is to be created still belongs to an earlier pod of the name. */
  readonly isClaimStale: (ordinal: number) => boolean;
  readonly nowMs: number;
}

const isRunningAndReady = (pod: Readonly<Pod>): boolean => pod.status?.phase === 'Running' && isReady(pod);

function isHealthy(set: Readonly<StatefulSet>, pod: Readonly<Pod>, nowMs: number): boolean {
  return isRunningAndReady(pod) && isAvailable(pod, set.spec.minReadySeconds ?? 0, nowMs) && !isTerminating(pod);
}

/** A pod that is made while an update is under way may have to be one of the old revision. */
function needsCurrentRevision({ set, update }: PlanInput, ordinal: number): boolean {
  const { updateStrategy } = set.spec;
  if ((updateStrategy?.type ?? 'RollingUpdate') !== 'RollingUpdate' || set.status?.currentRevision === update.name) return false;
  const below = updateStrategy?.rollingUpdate ? updateStrategy.rollingUpdate.partition ?? 0 : set.status?.currentReplicas ?? 0;
  return ordinal < startOf(set) + below;
}

export function planStatefulSet(input: PlanInput): StatefulPlan {
  const { set, pods, current, update, nowMs, hasRightOwners, isClaimStale } = input;
  const isOrdered = set.spec.podManagementPolicy !== 'Parallel';
  const byOrdinal = new Map(pods.map((pod) => [ordinalOf(pod), pod]));
  const condemned = pods.filter((pod) => ordinalOf(pod) >= 0 && !isInRange(set, ordinalOf(pod))).sort((left, right) => ordinalOf(right) - ordinalOf(left));
  const steps: Step[] = [];
  const plan = { steps, condemned, isBlockedByClaim: false };
  if (set.metadata.deletionTimestamp !== undefined) return plan;

  const ordinals = Array.from({ length: replicasOf(set) }, (_, index) => startOf(set) + index);
  for (const ordinal of ordinals) {
    if (replicaBlocks(ordinal) && isOrdered) return plan;
  }
  for (const pod of condemned) if (!hasRightOwners(pod)) steps.push({ type: 'own-claims', ordinal: ordinalOf(pod), pod });
  const firstUnhealthy = ordinals.find((ordinal) => !isReplicaHealthy(ordinal)) ?? condemned.map(ordinalOf).reverse().find((ordinal) => !isReplicaHealthy(ordinal));
  for (const pod of condemned) {
    if (isTerminating(pod)) {
      if (isOrdered) return plan;
      continue;
    }
    if (isOrdered && !isHealthy(set, pod, nowMs) && ordinalOf(pod) !== firstUnhealthy) return plan;
    steps.push({ type: 'delete', pod, why: 'scale down' });
    if (isOrdered) return plan;
  }
  if (set.spec.updateStrategy?.type !== 'OnDelete') steps.push(...rollingUpdate(input, byOrdinal, ordinals));
  return plan;

  function isReplicaHealthy(ordinal: number): boolean {
    const pod = byOrdinal.get(ordinal);
    return pod !== undefined && isHealthy(set, pod, nowMs);
  }

  /** Whether an ordered set goes no further than this ordinal for now. */
  function replicaBlocks(ordinal: number): boolean {
    const pod = byOrdinal.get(ordinal);
    if (!pod) {
      if (isClaimStale(ordinal)) {
        plan.isBlockedByClaim = true;
        return true;
      }
      const revision = needsCurrentRevision(input, ordinal) ? current : update;
      steps.push({ type: 'create', ordinal, pod: newPod(set, ordinal, revision.name, revision.template) });
      return true;
    }
    if (isTerminal(pod)) {
      // The next one is made when this one is gone: never two of one identity.
      if (!isTerminating(pod)) steps.push({ type: 'delete', pod, why: 'ended' });
      return true;
    }
    if (pod.status?.phase === 'Pending' && !isTerminating(pod)) steps.push({ type: 'provide-claims', ordinal, pod });
    if (isOrdered && !isHealthy(set, pod, nowMs)) return true;
    if (!isTerminating(pod) && !(hasIdentity(set, pod) && hasRightOwners(pod))) steps.push({ type: 'repair', ordinal, pod });
    return false;
  }
}

/** Deletes outdated pods, highest ordinal first; they come back in the new revision. */
function rollingUpdate({ set, update, nowMs }: PlanInput, byOrdinal: ReadonlyMap<number, Readonly<Pod>>, ordinals: readonly number[]): Step[] {
  const { partition = 0, maxUnavailable } = set.spec.updateStrategy?.rollingUpdate ?? {};
  const steps: Step[] = [];
  const candidates = ordinals.slice(partition).reverse();
  const isOutdated = (pod: Readonly<Pod>): boolean => revisionOf(pod) !== update.name && !isTerminating(pod);
  if (maxUnavailable !== undefined) {
    const most = Math.max(1, resolveIntOrPercent(maxUnavailable, ordinals.length, 'up'));
    const unavailable = ordinals.filter((ordinal) => {
      const pod = byOrdinal.get(ordinal);
      return !pod || !isHealthy(set, pod, nowMs);
    }).length;
    for (const ordinal of candidates) {
      if (steps.length >= most - unavailable) break;
      const pod = byOrdinal.get(ordinal);
      if (pod && isOutdated(pod)) steps.push({ type: 'delete', pod, why: 'update' });
    }
    return steps;
  }
  for (const ordinal of candidates) {
    const pod = byOrdinal.get(ordinal);
    if (pod && isOutdated(pod)) return [{ type: 'delete', pod, why: 'update' }];
    if (!pod || !isHealthy(set, pod, nowMs)) return [];
  }
  return steps;
}

/** `pods`: as they are after the steps. */
export function statefulSetStatus({ set, pods, current, update, nowMs }: Pick<PlanInput, 'set' | 'pods' | 'current' | 'update' | 'nowMs'>, collisionCount: number): StatefulSetStatus {
  const ready = pods.filter(isRunningAndReady);
  const alive = pods.filter((pod) => !isTerminating(pod));
  const status: StatefulSetStatus = {
    observedGeneration: set.metadata.generation,
    replicas: pods.length,
    readyReplicas: ready.length,
    availableReplicas: ready.filter((pod) => isAvailable(pod, set.spec.minReadySeconds ?? 0, nowMs)).length,
    currentReplicas: alive.filter((pod) => revisionOf(pod) === current.name).length,
    updatedReplicas: alive.filter((pod) => revisionOf(pod) === update.name).length,
    currentRevision: current.name,
    updateRevision: update.name,
    collisionCount,
    ...(set.status?.conditions ? { conditions: set.status.conditions } : {}),
  };
  const isComplete = (set.spec.updateStrategy?.type ?? 'RollingUpdate') === 'RollingUpdate'
    && status.updatedReplicas === status.replicas && status.readyReplicas === status.replicas;
  return isComplete ? { ...status, currentReplicas: status.updatedReplicas, currentRevision: update.name } : status;
}
