// How one pod of a Job ended, and what the Job's pod failure policy makes of it.
// Source: pkg/controller/job/pod_failure_policy.go, job_controller.go (isPodFailed), backoff_utils.go.
import type { Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern } from '#lib/kinds/types/batch-v1.ts';
import type { ContainerStatus, Pod } from '#lib/kinds/types/core-v1.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { createdMs, isTerminating } from '../../core/pod-state.ts';

export const TRACKING_FINALIZER = 'batch.kubernetes.io/job-tracking';
export const hasTrackingFinalizer = ({ metadata }: Readonly<Pod>): boolean => (metadata.finalizers ?? []).includes(TRACKING_FINALIZER);

/** Whether a pod is replaced only when it has fully ended; with a pod failure policy the exit codes must be known first. */
export const replacesOnlyFailed = ({ spec }: Readonly<Job>): boolean => spec?.podReplacementPolicy === 'Failed' || spec?.podFailurePolicy !== undefined;

export const isSucceeded = ({ status }: Readonly<Pod>): boolean => status?.phase === 'Succeeded';

export function isFailed(pod: Readonly<Pod>, job: Readonly<Job>): boolean {
  if (pod.status?.phase === 'Failed') return true;
  return !replacesOnlyFailed(job) && isTerminating(pod) && !isSucceeded(pod);
}

export type FailureAction = 'Ignore' | 'Count' | 'FailJob' | 'FailIndex';
export interface FailureVerdict {
  /** Undefined: no rule matched, the failure counts as without a policy. */
  readonly action: FailureAction | undefined;
  /** Why the Job fails, with FailJob. */
  readonly message?: string;
}

function matchingContainer(pod: Readonly<Pod>, { containerName, operator, values }: Readonly<PodFailurePolicyOnExitCodesRequirement>): ContainerStatus | undefined {
  return [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find(({ name, state }) => {
    const exitCode = state?.terminated?.exitCode ?? 0;
    if (exitCode === 0 || (containerName !== undefined && containerName !== name)) return false;
    return operator === 'In' ? values.includes(exitCode) : operator === 'NotIn' && !values.includes(exitCode);
  });
}

const matchingCondition = (pod: Readonly<Pod>, patterns: readonly PodFailurePolicyOnPodConditionsPattern[]): PodFailurePolicyOnPodConditionsPattern | undefined =>
  patterns.find(({ type, status = 'True' }) => pod.status?.conditions?.some((condition) => condition.type === type && condition.status === status));

/** The first rule that fits decides. */
export function judgeFailure(job: Readonly<Job>, pod: Readonly<Pod>): FailureVerdict {
  const podName = `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
  for (const [index, { action, onExitCodes, onPodConditions }] of (job.spec?.podFailurePolicy?.rules ?? []).entries()) {
    if (onExitCodes) {
      const container = matchingContainer(pod, onExitCodes);
      if (!container) continue;
      return { action: action as FailureAction, message: `Container ${container.name} for pod ${podName} failed with exit code ${container.state?.terminated?.exitCode ?? 0} matching ${action} rule at index ${index}` };
    }
    const condition = matchingCondition(pod, onPodConditions ?? []);
    if (condition) return { action: action as FailureAction, message: `Pod ${podName} has condition ${condition.type} matching ${action} rule at index ${index}` };
  }
  return { action: undefined };
}

/** When the last container ended; for a pod that never ran, when it was told to go or last changed. Milliseconds. */
export function finishedMs(pod: Readonly<Pod>): number {
  const ends = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].map(({ state }) => parseTimeOrUndefined(state?.terminated?.finishedAt ?? '')).filter((end) => end !== undefined);
  if (ends.length > 0) return Math.max(...ends);
  const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = pod.metadata;
  const deletedMs = parseTimeOrUndefined(deletionTimestamp ?? '');
  if (deletedMs !== undefined) return deletedMs - deletionGracePeriodSeconds * 1000;
  const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
  return parseTimeOrUndefined(ready ?? '') ?? parseTimeOrUndefined(pod.status?.startTime ?? '') ?? createdMs(pod);
}

/** With restartPolicy OnFailure containers fail inside living pods. */
export function restartsExceedLimit(job: Readonly<Job>, pods: readonly Readonly<Pod>[]): boolean {
  if (job.spec?.template.spec?.restartPolicy !== 'OnFailure') return false;
  let restarts = 0;
  for (const { status } of pods) {
    if (status?.phase !== 'Running' && status?.phase !== 'Pending') continue;
    for (const { restartCount } of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]) restarts += restartCount;
  }
  const limit = job.spec.backoffLimit ?? 6;
  return limit === 0 ? restarts > 0 : restarts >= limit;
}
