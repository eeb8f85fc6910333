// Keeps the status of PodDisruptionBudgets, which evictions are measured by.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import { defineController, done, mapped, retryAfterMs, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { replicaSetKind } from '#lib/kinds/apps/replica-set.ts';
import { statefulSetKind } from '#lib/kinds/apps/stateful-set.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { replicationControllerKind } from '#lib/kinds/core/replication-controller.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { podDisruptionBudgetKind } from '#lib/kinds/policy/pod-disruption-budget.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { PodDisruptionBudget } from '#lib/kinds/types/policy-v1.ts';
import { controllerOf } from '#lib/machinery/controller-ref.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { labelSelector, labelSelectorText } from '#lib/machinery/selectors.ts';
import { isConflict, isNotFound, StatusError } from '#lib/machinery/status-error.ts';
import { formatTime, parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { isTerminal, isTerminating, podCondition } from '../../core/pod-state.ts';
import { DELETION_TIMEOUT_MS, expectation, failedStatus, planDisruption } from './plan.ts';

const matches = ({ spec }: Readonly<PodDisruptionBudget>, { metadata }: Readonly<Pod>): boolean => labelSelector(spec?.selector).matches(metadata.labels);
const common = { name: 'disruption-controller', eventSource: 'controllermanager' } as const;

const budgets = (): Controller => defineController({
  ...common,
  queueName: 'disruption',
  reconciles: podDisruptionBudgetKind,
  alsoWatches: [
    mapped(podKind, (pod, cache) => cache.list(podDisruptionBudgetKind, pod.metadata.namespace).filter((budget) => matches(budget, pod)).map(keyOf)),
    // A change of size changes what percentages mean.
    mapped(deploymentKind, ({ metadata }, cache) => cache.list(podDisruptionBudgetKind, metadata.namespace).map(keyOf), { isRelevantUpdate: (next, previous) => next.spec.replicas !== previous.spec.replicas }),
    mapped(statefulSetKind, ({ metadata }, cache) => cache.list(podDisruptionBudgetKind, metadata.namespace).map(keyOf), { isRelevantUpdate: (next, previous) => next.spec.replicas !== previous.spec.replicas }),
  ],
  reads: [anyKind(replicaSetKind), anyKind(replicationControllerKind)],
  async reconcile({ namespace, name }, context) {
    const { cache, events, clock } = context;
    const budget = cache.get(podDisruptionBudgetKind, namespace, name);
    if (!budget) return done;
    const pods = cache.list(podKind, namespace).filter((pod) => matches(budget, pod));
    if (pods.length === 0) events.event(referenceTo(budget), 'Normal', 'NoPods', 'No matching pods found');
    try {
      const expected = expectation(budget, pods, () => totalScale(budget, pods, context));
      const { status, recheckMs, notDeleted } = planDisruption(budget, pods, expected, clock.nowMs());
      for (const pod of notDeleted) events.event(referenceTo(pod), 'Warning', 'NotDeleted', `Pod was expected by PDB ${namespace}/${name} to be deleted but it wasn't`);
      await write(budget, status, context);
      return recheckMs === undefined ? done : retryAfterMs(recheckMs);
    } catch (error) {
      if (isConflict(error) || !(error instanceof StatusError || error instanceof UnknownScale)) throw error;
      const status = failedStatus(budget, error.message, clock.nowMs());
      events.event(referenceTo(budget), 'Warning', 'CalculateExpectedPodCountFailed', `Failed to calculate the number of expected pods: ${error.message}`);
      await write(budget, status, context);
      throw error instanceof UnknownScale ? new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: error.message, code: 500 }) : error;
    }
  },
});

async function write(budget: Readonly<PodDisruptionBudget>, status: NonNullable<PodDisruptionBudget['status']>, { api }: ReconcileContext): Promise<void> {
  if (semanticEqual(status, budget.status)) return;
  await api.updateStatus(podDisruptionBudgetKind, { ...budget, status }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
}

class UnknownScale extends Error {
  override readonly name = 'UnknownScale';
}

/** The replicas of all controllers of the pods, each once. Throws UnknownScale for a pod whose controller has none. */
function totalScale(budget: Readonly<PodDisruptionBudget>, pods: readonly Readonly<Pod>[], { cache, events }: ReconcileContext): number {
  const scales = new Map<string, number>();
  const unmanaged: string[] = [];
  for (const pod of pods) {
    const owner = controllerOf(pod);
    if (!owner) {
      unmanaged.push(pod.metadata.name);
      continue;
    }
    if (scales.has(owner.uid)) continue;
    const { namespace } = pod.metadata;
    const plain = owner.kind === 'StatefulSet' ? cache.get(statefulSetKind, namespace, owner.name) : owner.kind === 'ReplicationController' ? cache.get(replicationControllerKind, namespace, owner.name) : undefined;
    if (plain && plain.metadata.uid === owner.uid) {
      scales.set(owner.uid, plain.spec?.replicas ?? 1);
      continue;
    }
    const replicaSet = owner.kind === 'ReplicaSet' ? cache.get(replicaSetKind, namespace, owner.name) : undefined;
    if (!replicaSet || replicaSet.metadata.uid !== owner.uid) throw new UnknownScale(`${owner.kind.toLowerCase()}s.${owner.apiVersion.split('/')[0] ?? ''} does not implement the scale subresource`);
    const above = controllerOf(replicaSet);
    const deployment = above?.kind === 'Deployment' ? cache.get(deploymentKind, namespace, above.name) : undefined;
    if (deployment && deployment.metadata.uid === above?.uid) scales.set(deployment.metadata.uid ?? '', deployment.spec.replicas ?? 1);
    else scales.set(owner.uid, replicaSet.spec.replicas ?? 1);
  }
  if (unmanaged.length > 0) {
    events.event(referenceTo(budget), 'Warning', 'UnmanagedPods', `Pods selected by this PodDisruptionBudget (selector: ${labelSelectorText(budget.spec?.selector)}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.`);
  }
  return [...scales.values()].reduce((sum, scale) => sum + scale, 0);
}

/** A pod marked for disruption that was not deleted after all loses the mark. */
const staleMarks = (): Controller => defineController({
  ...common,
  queueName: 'stale_pod_disruption',
  reconciles: podKind,
  isRelevantUpdate: (next, previous) => podCondition(next, 'DisruptionTarget')?.status !== podCondition(previous, 'DisruptionTarget')?.status,
  async reconcile({ namespace, name }, { cache, api, clock }) {
    const pod = cache.get(podKind, namespace, name);
    const mark = pod && podCondition(pod, 'DisruptionTarget');
    if (!pod || mark?.status !== 'True' || isTerminating(pod) || isTerminal(pod) || mark.reason === 'TerminationByKubelet') return done;
    const leftMs = (parseTimeOrUndefined(mark.lastTransitionTime ?? '') ?? 0) + DELETION_TIMEOUT_MS - clock.nowMs();
    if (leftMs > 0) return retryAfterMs(leftMs);
    const condition = { type: 'DisruptionTarget', status: 'False', reason: '', message: '', lastTransitionTime: formatTime(clock.nowMs()) };
    await api.patch(podKind, namespace, name, { metadata: { uid: pod.metadata.uid }, status: { conditions: [condition] } }, { type: 'strategic', subresource: 'status' }).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
    return done;
  },
});

export const disruptionControllers = (): Controller[] => [budgets(), staleMarks()];
