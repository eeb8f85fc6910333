// Keeps as many pods of each ReplicaSet as it asks for.
import { defineController, done, owned, retryAfterMs, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import type { CacheReader } from '#lib/controller/shared-cache.ts';
import { replicaSetKind } from '#lib/kinds/apps/replica-set.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { ReplicaSet } from '#lib/kinds/types/apps-v1.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { controllerOf } from '#lib/machinery/controller-ref.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { isActive, nextAvailableMs } from '../../core/pod-state.ts';
import { claim } from '../../edge/claim.ts';
import { attempted, BURST_REPLICAS } from '../../edge/pod-control.ts';
import { carryOut } from './carry-out.ts';
import { planReplicaSet, replicaSetStatus } from './plan.ts';

/** ReplicaSets whose selector matches a pod that nobody manages. */
function adoptersOf(pod: Readonly<Pod>, cache: CacheReader): string[] {
  return cache.list(replicaSetKind, pod.metadata.namespace)
    .filter(({ spec }) => !labelSelector(spec.selector).isEmpty && labelSelector(spec.selector).matches(pod.metadata.labels)).map(keyOf);
}

export const replicaSetController = (workers: number): Controller => defineController({
  name: 'replicaset-controller',
  queueName: 'replicaset',
  reconciles: replicaSetKind,
  alsoWatches: [owned(podKind, { adopters: adoptersOf })],
  workers,
  async reconcile({ namespace, name }, context) {
    const { cache, api, clock } = context;
    const replicaSet = cache.get(replicaSetKind, namespace, name);
    if (!replicaSet) return done; // the garbage collector deletes its pods
    const pods = await claim({ owner: replicaSet, ownerKind: replicaSetKind, kind: podKind, selector: labelSelector(replicaSet.spec.selector), isAdoptable: isActive }, cache, api);
    const plan = planReplicaSet(replicaSet, pods, relatedPods(replicaSet, cache), BURST_REPLICAS, clock.nowMs());
    const failure = await attempted(carryOut(plan, { owner: replicaSet, kind: replicaSetKind, template: replicaSet.spec.template }, context));
    await writeStatus(replicaSet, replicaSetStatus(replicaSet, pods, failure && { error: failure, plan }, clock.nowMs()), context);
    if (failure) throw failure;
    const waitMs = nextAvailableMs(pods.filter(isActive), replicaSet.spec.minReadySeconds ?? 0, clock.nowMs());
    return waitMs === undefined ? done : retryAfterMs(waitMs);
  },
});

/** Active pods of this ReplicaSet and of its siblings under the same owner. */
function relatedPods(replicaSet: Readonly<ReplicaSet>, cache: CacheReader): Readonly<Pod>[] {
  const owner = controllerOf(replicaSet);
  const siblings = owner ? cache.list(replicaSetKind, replicaSet.metadata.namespace).filter((other) => controllerOf(other)?.uid === owner.uid) : [replicaSet];
  return siblings.flatMap((sibling) => cache.ownedBy(sibling, podKind)).filter(isActive);
}

async function writeStatus(replicaSet: Readonly<ReplicaSet>, status: ReplicaSet['status'], { api }: ReconcileContext): Promise<void> {
  if (semanticEqual(status, replicaSet.status)) return;
  try {
    await api.updateStatus(replicaSetKind, { ...replicaSet, status });
  } catch (error) {
    if (!isNotFound(error)) throw error; // deleted meanwhile
  }
}
