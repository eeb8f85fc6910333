// Whether an eviction may take a pod away, by the disruption budgets that cover it.
// Source: pkg/registry/core/pod/storage/eviction.go.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { PodDisruptionBudget } from '#lib/kinds/types/policy-v1.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { failure, forbidden, tooManyRequests } from '#lib/machinery/status-error.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { isConditionTrue } from '#lib/machinery/conditions.ts';

/** `kubectl drain` before 1.22 sends v1beta1. Source: EvictionREST.AcceptsGroupVersion. */
export const EVICTION_BODY = { group: 'policy', version: 'v1', alsoVersions: ['v1beta1'], kind: 'Eviction', schema: 'io.k8s.api.policy.v1.Eviction' } as const;

/** Evictions under way that a budget remembers at most. Source: MaxDisruptedPodSize. */
const MAX_DISRUPTED_PODS = 2000;
const REFUSED = "Cannot evict pod as it would violate the pod's disruption budget.";

/** A pod that is not running (any more) harms no budget. */
export function needsNoBudget({ metadata, status }: Readonly<Pod>): boolean {
  return metadata.deletionTimestamp !== undefined || ['Succeeded', 'Failed', 'Pending'].includes(status?.phase ?? '');
}

const isReady = ({ status }: Readonly<Pod>): boolean => isConditionTrue(status?.conditions, 'Ready');

/** The budget to charge; undefined: evict freely. Throws when more than one covers the pod. */
export function budgetFor(pod: Readonly<Pod>, budgets: readonly Readonly<PodDisruptionBudget>[]): Readonly<PodDisruptionBudget> | undefined {
  const covering = budgets.filter(({ spec }) => spec?.selector !== undefined && labelSelector(spec.selector).matches(pod.metadata.labels));
  if (covering.length > 1) throw failure(500, 'InternalError', 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.');
  const [budget] = covering;
  if (!budget || isReady(pod)) return budget;
  // an unready pod is not what keeps the budget
  if (budget.spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return undefined;
  const { currentHealthy = 0, desiredHealthy = 0 } = budget.status ?? {};
  return currentHealthy >= desiredHealthy && desiredHealthy > 0 ? undefined : budget;
}

/** The budget with one disruption fewer left. Throws TooManyRequests when there is none. */
export function chargeBudget(budget: Readonly<PodDisruptionBudget>, podName: string, nowMs: number): PodDisruptionBudget {
  const { name, generation = 0 } = budget.metadata;
  const status = budget.status ?? { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 };
  const cause = (message: string) => [{ reason: 'DisruptionBudget', message }];
  if ((status.observedGeneration ?? 0) < generation) {
    throw tooManyRequests(REFUSED, 10, cause(`The disruption budget ${name} is still being processed by the server.`));
  }
  const resource = { group: 'policy', plural: 'poddisruptionbudget' };
  const allowed = status.disruptionsAllowed ?? 0;
  if (allowed < 0) throw forbidden(resource, name, 'pdb disruptions allowed is negative');
  if (Object.keys(status.disruptedPods ?? {}).length > MAX_DISRUPTED_PODS) throw forbidden(resource, name, 'DisruptedPods map too big - too many evictions not confirmed by PDB controller');
  if (allowed === 0) {
    throw tooManyRequests(REFUSED, 0, cause(`The disruption budget ${name} needs ${status.desiredHealthy} healthy pods and has ${status.currentHealthy} currently`));
  }
  return {
    ...budget,
    status: { ...status, disruptionsAllowed: allowed - 1, disruptedPods: { ...status.disruptedPods, [podName]: formatTime(nowMs) } },
  };
}
