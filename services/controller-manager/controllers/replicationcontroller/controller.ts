// Keeps as many pods of each ReplicationController as it asks for.
import { keyOf } from '#lib/api-client/informer.ts';
import { defineController, done, owned, retryAfterMs, type Controller } from '#lib/controller/define-controller.ts';
import type { CacheReader } from '#lib/controller/shared-cache.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { replicationControllerKind } from '#lib/kinds/core/replication-controller.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { selectorFromMap } from '#lib/machinery/selectors.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { isActive, nextAvailableMs } from '../../core/pod-state.ts';
import { claim } from '../../edge/claim.ts';
import { attempted, BURST_REPLICAS } from '../../edge/pod-control.ts';
import { carryOut } from '../replicaset/carry-out.ts';
import { planReplicaSet } from '../replicaset/plan.ts';
import { asReplicaSet, replicationControllerStatus } from './plan.ts';

function adoptersOf(pod: Readonly<Pod>, cache: CacheReader): string[] {
  return cache.list(replicationControllerKind, pod.metadata.namespace)
    .filter(({ spec }) => !selectorFromMap(spec?.selector).isEmpty && selectorFromMap(spec?.selector).matches(pod.metadata.labels)).map(keyOf);
}

export const replicationControllerController = (workers: number): Controller => defineController({
  name: 'replicationcontroller-controller',
  serviceAccount: 'replication-controller',
  eventSource: 'replication-controller',
  queueName: 'replicationmanager',
  reconciles: replicationControllerKind,
  alsoWatches: [owned(podKind, { adopters: adoptersOf })],
  workers,
  async reconcile({ namespace, name }, context) {
    const { cache, api, clock } = context;
    const controller = cache.get(replicationControllerKind, namespace, name);
    if (!controller) return done; // the garbage collector deletes its pods
    const pods = await claim({ owner: controller, ownerKind: replicationControllerKind, kind: podKind, selector: selectorFromMap(controller.spec?.selector), isAdoptable: isActive }, cache, api);
    const plan = planReplicaSet(asReplicaSet(controller), pods, pods.filter(isActive), BURST_REPLICAS, clock.nowMs());
    const failure = await attempted(carryOut(plan, { owner: controller, kind: replicationControllerKind, template: controller.spec?.template }, context));
    const status = replicationControllerStatus(controller, pods, failure && { error: failure, plan }, clock.nowMs());
    if (!semanticEqual(status, controller.status)) {
      await api.updateStatus(replicationControllerKind, { ...controller, status }).catch((error: unknown) => {
        if (!isNotFound(error)) throw error; // deleted meanwhile
      });
    }
    if (failure) throw failure;
    const waitMs = nextAvailableMs(pods.filter(isActive), controller.spec?.minReadySeconds ?? 0, clock.nowMs());
    return waitMs === undefined ? done : retryAfterMs(waitMs);
  },
});
