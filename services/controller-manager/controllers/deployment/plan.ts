// How a Deployment's ReplicaSets are to be scaled next: rolling update, recreate, proportional scaling, clean-up.
// Source: pkg/controller/deployment: rolling.go, recreate.go, sync.go.
import type { Deployment, ReplicaSet } from '#lib/kinds/types/apps-v1.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { isTerminal } from '../../core/pod-state.ts';
import {
  DESIRED_REPLICAS, isRollingUpdate, MAX_REPLICAS, oldestFirst, replicasAnnotations, replicasOf, revisionOf, rollingLimits,
  sumOfAvailable, sumOfReplicas,
} from './replica-sets.ts';

/** Set a ReplicaSet's replicas, together with its annotations about the Deployment's size. */
export interface Scale {
  readonly replicaSet: Readonly<ReplicaSet>;
  readonly replicas: number;
}

export interface Rollout {
  readonly deployment: Readonly<Deployment>;
  readonly newReplicaSet: Readonly<ReplicaSet> | undefined;
  /** All others, oldest first. */
  readonly oldReplicaSets: readonly Readonly<ReplicaSet>[];
}

const NOTHING: readonly Scale[] = [];
const all = ({ newReplicaSet, oldReplicaSets }: Rollout): Readonly<ReplicaSet>[] => [...oldReplicaSets, ...(newReplicaSet ? [newReplicaSet] : [])];
const active = (replicaSets: readonly Readonly<ReplicaSet>[]): Readonly<ReplicaSet>[] => replicaSets.filter((replicaSet) => replicasOf(replicaSet) > 0);

/** Whether the size annotation of an active ReplicaSet shows that the Deployment's replicas were changed since. */
export function isScalingEvent(rollout: Rollout): boolean {
  return active(all(rollout)).some(({ metadata }) => {
    const desired = metadata.annotations?.[DESIRED_REPLICAS];
    return desired !== undefined && Number(desired) !== replicasOf(rollout.deployment);
  });
}

/** Replicas of the new ReplicaSet: as many as surge allows. Source: NewRSNewReplicas. */
export function replicasOfNew(deployment: Readonly<Deployment>, replicaSets: readonly Readonly<ReplicaSet>[], current: number): number {
  const wanted = replicasOf(deployment);
  if (!isRollingUpdate(deployment)) return wanted;
  const room = wanted + rollingLimits(deployment).maxSurge - sumOfReplicas(replicaSets);
  return room <= 0 ? current : current + Math.min(room, wanted - current);
}

/** One step of a rolling update: first up, and when there is nothing to go up, down. */
export function planRollingUpdate(rollout: Rollout): readonly Scale[] {
  const { deployment, newReplicaSet } = rollout;
  if (!newReplicaSet) return NOTHING;
  const wanted = replicasOf(deployment);
  const current = replicasOf(newReplicaSet);
  if (current > wanted) return [{ replicaSet: newReplicaSet, replicas: wanted }];
  if (current < wanted) {
    const replicas = replicasOfNew(deployment, all(rollout), current);
    if (replicas !== current) return [{ replicaSet: newReplicaSet, replicas }];
  }
  return planScaleDownOfOld(rollout, newReplicaSet);
}

function planScaleDownOfOld(rollout: Rollout, newReplicaSet: Readonly<ReplicaSet>): readonly Scale[] {
  const { deployment } = rollout;
  const olds = rollout.oldReplicaSets;
  if (sumOfReplicas(olds) === 0) return NOTHING;
  const minAvailable = replicasOf(deployment) - rollingLimits(deployment).maxUnavailable;
  const newUnavailable = replicasOf(newReplicaSet) - (newReplicaSet.status?.availableReplicas ?? 0);
  const maxScaledDown = sumOfReplicas(all(rollout)) - minAvailable - newUnavailable;
  if (maxScaledDown <= 0) return NOTHING;

  // Unhealthy pods first: they serve nobody, and a rollback must be able to get past them.
  const left = new Map(olds.map((replicaSet) => [replicaSet, replicasOf(replicaSet)]));
  let cleaned = 0;
  for (const replicaSet of olds) {
    const spec = replicasOf(replicaSet);
    const available = replicaSet.status?.availableReplicas ?? 0;
    if (cleaned >= maxScaledDown) break;
    if (spec === 0 || spec === available) continue;
    const count = Math.min(maxScaledDown - cleaned, spec - available);
    left.set(replicaSet, spec - count);
    cleaned += count;
  }
  // Then healthy ones, oldest ReplicaSet first, as long as enough stay available.
  let spare = sumOfAvailable(all(rollout)) - minAvailable;
  for (const replicaSet of olds) {
    if (spare <= 0) break;
    const replicas = left.get(replicaSet) ?? 0;
    if (replicas === 0) continue;
    const count = Math.min(replicas, spare);
    left.set(replicaSet, replicas - count);
    spare -= count;
  }
  return [...left].filter(([replicaSet, replicas]) => replicas !== replicasOf(replicaSet)).map(([replicaSet, replicas]) => ({ replicaSet, replicas }));
}

export type RecreateStep =
  | { readonly type: 'scale-down'; readonly scales: readonly Scale[] }
  | { readonly type: 'wait' }
  | { readonly type: 'scale-up' };

/** Recreate: all old ones to nothing, wait until their pods are gone, then the new one. */
export function planRecreate({ newReplicaSet, oldReplicaSets }: Rollout, podsOf: (replicaSet: Readonly<ReplicaSet>) => readonly Readonly<Pod>[]): RecreateStep {
  const running = active(oldReplicaSets);
  if (running.length > 0) return { type: 'scale-down', scales: running.map((replicaSet) => ({ replicaSet, replicas: 0 })) };
  const oldPods = oldReplicaSets.filter((replicaSet) => replicaSet.metadata.uid !== newReplicaSet?.metadata.uid).flatMap((replicaSet) => podsOf(replicaSet));
  return oldPods.some((pod) => !isTerminal(pod)) ? { type: 'wait' } : { type: 'scale-up' };
}

/** Spreads a change of size over the ReplicaSets of an unfinished rollout. Source: scale() in sync.go. */
export function planScale(rollout: Rollout): readonly Scale[] {
  const { deployment, newReplicaSet, oldReplicaSets } = rollout;
  const wanted = replicasOf(deployment);
  const only = activeOrLatest(rollout);
  if (only) return replicasOf(only) === wanted && !annotationsDiffer(only, deployment) ? NOTHING : [{ replicaSet: only, replicas: wanted }];
  if (newReplicaSet && isSaturated(deployment, newReplicaSet)) return active(oldReplicaSets).map((replicaSet) => ({ replicaSet, replicas: 0 }));
  if (!isRollingUpdate(deployment)) return NOTHING;

  const replicaSets = active(all(rollout));
  const allowed = wanted > 0 ? wanted + rollingLimits(deployment).maxSurge : 0;
  const toAdd = allowed - sumOfReplicas(replicaSets);
  // Biggest first; on ties the newer one when growing, the older one when shrinking.
  replicaSets.sort((left, right) => replicasOf(right) - replicasOf(left) || (toAdd > 0 ? oldestFirst(right, left) : oldestFirst(left, right)));
  let added = 0;
  const sizes = new Map<Readonly<ReplicaSet>, number>();
  for (const replicaSet of replicaSets) {
    const share = toAdd === 0 ? 0 : proportion(replicaSet, deployment, toAdd, added);
    sizes.set(replicaSet, replicasOf(replicaSet) + share);
    added += share;
  }
  const [first] = replicaSets;
  if (first && toAdd !== 0) sizes.set(first, Math.max(0, (sizes.get(first) ?? 0) + toAdd - added));
  return [...sizes].filter(([replicaSet, replicas]) => replicas !== replicasOf(replicaSet) || annotationsDiffer(replicaSet, deployment)).map(([replicaSet, replicas]) => ({ replicaSet, replicas }));
}

export function annotationsDiffer({ metadata }: Readonly<ReplicaSet>, deployment: Readonly<Deployment>): boolean {
  return Object.entries(replicasAnnotations(deployment)).some(([key, value]) => metadata.annotations?.[key] !== value);
}

/** The one active ReplicaSet, or the latest when none is active; undefined when several are. */
function activeOrLatest({ newReplicaSet, oldReplicaSets }: Rollout): Readonly<ReplicaSet> | undefined {
  if (!newReplicaSet && oldReplicaSets.length === 0) return undefined;
  const newestFirst = [...oldReplicaSets].sort(oldestFirst).reverse();
  const running = active([...(newReplicaSet ? [newReplicaSet] : []), ...newestFirst]);
  if (running.length === 0) return newReplicaSet ?? newestFirst[0];
  return running.length === 1 ? running[0] : undefined;
}

function isSaturated(deployment: Readonly<Deployment>, replicaSet: Readonly<ReplicaSet>): boolean {
  const wanted = replicasOf(deployment);
  return replicasOf(replicaSet) === wanted && Number(replicaSet.metadata.annotations?.[DESIRED_REPLICAS]) === wanted && (replicaSet.status?.availableReplicas ?? 0) === wanted;
}

/** Source: GetReplicaSetProportion. */
function proportion(replicaSet: Readonly<ReplicaSet>, deployment: Readonly<Deployment>, toAdd: number, added: number): number {
  const replicas = replicasOf(replicaSet);
  if (replicas === 0) return 0;
  const fraction = replicaSetFraction(replicaSet, deployment);
  const left = toAdd - added;
  return toAdd > 0 ? Math.min(fraction, left) : Math.max(fraction, left);
}
function replicaSetFraction(replicaSet: Readonly<ReplicaSet>, deployment: Readonly<Deployment>): number {
  const wanted = replicasOf(deployment);
  const replicas = replicasOf(replicaSet);
  if (wanted === 0) return -replicas;
  const annotated = Number(replicaSet.metadata.annotations?.[MAX_REPLICAS]);
  const before = Number.isSafeInteger(annotated) && annotated > 0 ? annotated : deployment.status?.replicas ?? 0;
  if (before === 0) return 0;
  const size = (replicas * (wanted + rollingLimits(deployment).maxSurge)) / before;
  return Math.round(size) - replicas;
}

/** Old ReplicaSets beyond the history limit, oldest revision first. */
export function planCleanUp({ deployment, oldReplicaSets }: Rollout): readonly Readonly<ReplicaSet>[] {
  const limit = deployment.spec.revisionHistoryLimit ?? 10;
  if (limit === 2147483647) return [];
  const alive = oldReplicaSets.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const excess = alive.length - limit;
  if (excess <= 0) return [];
  return [...alive].sort((left, right) => revisionOf(left) - revisionOf(right) || oldestFirst(left, right)).slice(0, excess)
    .filter((replicaSet) => (replicaSet.status?.replicas ?? 0) === 0 && replicasOf(replicaSet) === 0
      && (replicaSet.metadata.generation ?? 0) <= (replicaSet.status?.observedGeneration ?? 0));
}
