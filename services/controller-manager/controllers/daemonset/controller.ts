// Runs one pod of each DaemonSet on every node that its template allows.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import { defineController, done, mapped, owned, retryAfterMs, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import type { CacheReader } from '#lib/controller/shared-cache.ts';
import { controllerRevisionKind } from '#lib/kinds/apps/controller-revision.ts';
import { daemonSetKind } from '#lib/kinds/apps/daemon-set.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { DaemonSet } from '#lib/kinds/types/apps-v1.ts';
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { nextAvailableMs } from '../../core/pod-state.ts';
import { claim } from '../../edge/claim.ts';
import { createPod, deletePods, podFromTemplate, slowStart } from '../../edge/pod-control.ts';
import { FailedPodBackoff } from './failed-pod-backoff.ts';
import { cleanUpHistory, syncHistory } from './history.ts';
import { daemonPodSpec, daemonSetStatus, GENERATION_ANNOTATION, GENERATION_LABEL, HASH_LABEL, planDaemons, planRollingUpdate } from './plan.ts';

/** At most so many pods are created, and as many deleted, in one reconcile. Source: daemon.BurstReplicas. */
const BURST_REPLICAS = 250;

function adoptersOf(pod: Readonly<Pod>, cache: CacheReader): string[] {
  return cache.list(daemonSetKind, pod.metadata.namespace)
    .filter(({ spec }) => !labelSelector(spec.selector).isEmpty && labelSelector(spec.selector).matches(pod.metadata.labels)).map(keyOf);
}

/** Only labels, taints and existence of a node decide where daemons run. */
const affectsPlacement = (next: Node, previous: Node): boolean =>
  !semanticEqual(next.metadata.labels, previous.metadata.labels) || !semanticEqual(next.spec?.taints, previous.spec?.taints);

export function daemonSetController(workers: number): Controller {
  const backoff = new FailedPodBackoff();
  return defineController({
    name: 'daemonset-controller',
    serviceAccount: 'daemon-set-controller',
    queueName: 'daemonset',
    reconciles: daemonSetKind,
    alsoWatches: [
      owned(podKind, { adopters: adoptersOf }),
      owned(controllerRevisionKind),
      mapped(nodeKind, (_, cache) => cache.list(daemonSetKind).map(keyOf), { isRelevantUpdate: affectsPlacement }),
    ],
    workers,
    async reconcile({ namespace, name }, context) {
      const daemonSet = context.cache.get(daemonSetKind, namespace, name);
      if (!daemonSet) return done;
      const selector = labelSelector(daemonSet.spec.selector);
      if (selector.isEmpty) {
        context.events.event(referenceTo(daemonSet), 'Warning', 'SelectingAll', 'This daemon set is selecting all pods. A non-empty selector is required.');
        return done;
      }
      if (daemonSet.metadata.deletionTimestamp !== undefined) return done;
      return reconcileDaemonSet(daemonSet, backoff, context);
    },
  });
}

async function reconcileDaemonSet(daemonSet: Readonly<DaemonSet>, backoff: FailedPodBackoff, context: ReconcileContext) {
  const { cache, api, clock } = context;
  const nodes = cache.list(nodeKind);
  const { current, old } = await syncHistory(daemonSet, context);
  const hash = current.metadata.labels?.[HASH_LABEL] ?? '';
  const pods = await claim({ owner: daemonSet, ownerKind: daemonSetKind, kind: podKind, selector: labelSelector(daemonSet.spec.selector) }, cache, api);

  const plan = planDaemons(daemonSet, nodes, pods, hash, clock.nowMs());
  const due = dueEndedPods(plan, daemonSet, backoff, context);
  let [createOn, remove] = [[...plan.createOn], [...plan.remove, ...due.pods]];
  let failure = await apply(daemonSet, createOn, remove, hash, context);
  const isRolling = (daemonSet.spec.updateStrategy?.type ?? 'RollingUpdate') === 'RollingUpdate';
  // Only from a settled state: what was just created or deleted is not in `pods`, and must be counted.
  if (!failure && isRolling && createOn.length === 0 && remove.length === 0) {
    const update = planRollingUpdate(daemonSet, nodes, pods, hash, clock.nowMs());
    [createOn, remove] = [[...update.createOn], [...update.remove]];
    failure = await apply(daemonSet, createOn, remove, hash, context);
  }
  await cleanUpHistory(daemonSet, old, pods, context);
  const status = daemonSetStatus(daemonSet, nodes, pods, hash, clock.nowMs());
  if (!semanticEqual(status, daemonSet.status)) {
    await api.updateStatus(daemonSetKind, { ...daemonSet, status }).catch((error: unknown) => {
      if (!isNotFound(error)) throw error; // deleted meanwhile
    });
  }
  if (failure) throw failure;
  const waits = [due.waitMs, nextAvailableMs(pods, daemonSet.spec.minReadySeconds ?? 0, clock.nowMs())].filter((wait) => wait !== undefined);
  return waits.length === 0 ? done : retryAfterMs(Math.min(...waits));
}

/** Failed and succeeded pods that may go now; a node whose pods keep failing has to wait longer each time. */
function dueEndedPods({ failed, succeeded }: ReturnType<typeof planDaemons>, daemonSet: Readonly<DaemonSet>, backoff: FailedPodBackoff, { events, clock }: ReconcileContext) {
  const pods: Readonly<Pod>[] = [];
  let waitMs: number | undefined;
  for (const { pod, node } of failed) {
    const leftMs = backoff.tryTake(`${daemonSet.metadata.uid ?? ''}/${daemonSet.status?.observedGeneration ?? 0}/${node}`, clock.nowMs());
    if (leftMs > 0) {
      waitMs = Math.min(waitMs ?? leftMs, leftMs);
      continue;
    }
    events.event(referenceTo(daemonSet), 'Warning', 'FailedDaemonPod', `Found failed daemon pod ${pod.metadata.namespace ?? ''}/${pod.metadata.name} on node ${node}, will try to kill it`);
    pods.push(pod);
  }
  for (const { pod, node } of succeeded) {
    events.event(referenceTo(daemonSet), 'Normal', 'SucceededDaemonPod', `Found succeeded daemon pod ${pod.metadata.namespace ?? ''}/${pod.metadata.name} on node ${node}, will try to delete it`);
    pods.push(pod);
  }
  return { pods, waitMs };
}

/** Creates and deletes; resolves with the first error, for the status to be written before it is thrown. */
async function apply(daemonSet: Readonly<DaemonSet>, createOn: readonly string[], remove: readonly Readonly<Pod>[], hash: string, context: ReconcileContext): Promise<Error | undefined> {
  const generation = daemonSet.metadata.annotations?.[GENERATION_ANNOTATION];
  const template = structuredClone(daemonSet.spec.template);
  const pod = podFromTemplate(template, daemonSet, daemonSetKind);
  const labels = { ...pod.metadata.labels, ...(generation === undefined ? {} : { [GENERATION_LABEL]: generation }), [HASH_LABEL]: hash };
  const nodes = createOn.slice(0, BURST_REPLICAS);
  const results = await Promise.allSettled([
    slowStart(nodes.length, (position) => createPod({ metadata: { ...pod.metadata, labels }, spec: daemonPodSpec(pod.spec, nodes[position] ?? '') }, daemonSet, context)),
    deletePods(remove.slice(0, BURST_REPLICAS), daemonSet, context),
  ]);
  const failed = results.find((result) => result.status === 'rejected');
  return failed && (failed.reason instanceof Error ? failed.reason : new Error(String(failed.reason)));
}

