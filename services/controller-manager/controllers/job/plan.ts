// What a Job's pods amount to, and what to do about it: which to create, delete and count. Source: pkg/controller/job.
import type { Job, JobCondition, JobStatus, UncountedTerminatedPods } from '#lib/kinds/types/batch-v1.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { formatTime, parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { podsToDelete } from '../../core/pod-ranking.ts';
import { isActive, isReady, isTerminal, isTerminating } from '../../core/pod-state.ts';
import { nextRecord, remainingMs, type BackoffRecord } from './backoff.ts';
import { completionIndexOf, firstFreeIndexes, formatIndexes, parseIndexes } from './indexes.ts';
import { finishedMs, hasTrackingFinalizer, isFailed, isSucceeded, judgeFailure, replacesOnlyFailed, restartsExceedLimit } from './pod-outcome.ts';

export const FAILURE_COUNT = 'batch.kubernetes.io/job-index-failure-count';
export const IGNORED_FAILURE_COUNT = 'batch.kubernetes.io/job-index-ignored-failure-count';
/** At most so many pods are created or deleted in one pass. Source: MaxPodCreateDeletePerSync. */
const MOST_AT_ONCE = 500;
/** At most so many pods wait in the status to be counted. Source: MaxUncountedPods. */
const MOST_UNCOUNTED = 500;

const isIndexed = ({ spec }: Readonly<Job>): boolean => spec?.completionMode === 'Indexed';
const limitsIndexes = ({ spec }: Readonly<Job>): boolean => spec?.completionMode === 'Indexed' && spec.backoffLimitPerIndex !== undefined;
export const isSuspended = ({ spec }: Readonly<Job>): boolean => spec?.suspend === true;
export const jobCondition = ({ status }: { readonly status?: JobStatus | undefined }, type: string): JobCondition | undefined =>
  status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');
export const isFinished = (job: Readonly<Job>): boolean => jobCondition(job, 'Complete') !== undefined || jobCondition(job, 'Failed') !== undefined;

export interface NewJobPod {
  /** Completion index, of an Indexed Job. */
  readonly index: number | undefined;
  /** Of a Job with backoffLimitPerIndex. */
  readonly annotations: Readonly<Record<string, string>>;
}

interface Verdict {
  readonly type: 'FailureTarget' | 'SuccessCriteriaMet';
  readonly reason: string;
  readonly message: string;
}

export interface JobPlan {
  readonly create: readonly NewJobPod[];
  readonly delete: readonly Readonly<Pod>[];
  /** When to look again though nothing may have changed. */
  readonly waitMs: number | undefined;
  /** Set when the Job is decided: all its pods go. */
  readonly verdict: Verdict | undefined;
  readonly record: BackoffRecord;
  /** Whether the Job was suspended or resumed by this pass. */
  readonly suspension: 'Suspended' | 'Resumed' | undefined;
  readonly hasTooManySuccesses: boolean;
  readonly status: JobStatus;
  /** Ended pods that `status` takes account of: once it is written they may go. */
  readonly release: readonly Readonly<Pod>[];
  /** Not all ended pods fitted into the status. */
  readonly hasMoreToCount: boolean;
}

/** Everything one pass decides. `record`: failures so far, as memory has them. */
export function planJob(job: Readonly<Job>, pods: readonly Readonly<Pod>[], record: BackoffRecord, nowMs: number): JobPlan {
  return new Pass(job, pods, record, nowMs).plan();
}

class Pass {
  readonly job: Readonly<Job>;
  readonly pods: readonly Readonly<Pod>[];
  readonly nowMs: number;
  readonly active: readonly Readonly<Pod>[];
  readonly completions: number | undefined;
  readonly record: BackoffRecord;
  readonly uncounted: { readonly succeeded: ReadonlySet<string>; readonly failed: ReadonlySet<string> };
  readonly knownSuccesses: ReadonlySet<number>;
  readonly successes: ReadonlySet<number>;
  readonly failures: ReadonlySet<number>;
  readonly succeeded: number;
  readonly failed: number;
  /** The newest failed pod of an index keeps its finalizer until its successor has taken over its count. */
  readonly heldByIndex: ReadonlyMap<number, Readonly<Pod>>;

  constructor(job: Readonly<Job>, pods: readonly Readonly<Pod>[], record: BackoffRecord, nowMs: number) {
    this.job = job;
    this.pods = pods;
    this.nowMs = nowMs;
    this.active = pods.filter(isActive);
    this.completions = job.spec?.completions;
    const { uncountedTerminatedPods = {}, succeeded = 0, failed = 0 } = job.status ?? {};
    this.uncounted = { succeeded: new Set(uncountedTerminatedPods.succeeded), failed: new Set(uncountedTerminatedPods.failed) };
    const fresh = pods.filter((pod) => hasTrackingFinalizer(pod) && this.#hasValidIndex(pod));
    const newSucceeded = fresh.filter((pod) => isSucceeded(pod) && !this.uncounted.succeeded.has(uidOf(pod)));
    const newFailed = fresh.filter((pod) => isFailed(pod, job) && !this.uncounted.failed.has(uidOf(pod)));
    this.record = nextRecord(record, newSucceeded, newFailed);
    this.failed = failed + this.uncounted.failed.size + newFailed.filter((pod) => judgeFailure(job, pod).action !== 'Ignore').length;
    this.knownSuccesses = parseIndexes(isIndexed(job) ? job.status?.completedIndexes : '', this.completions ?? 0);
    this.successes = new Set([...this.knownSuccesses, ...newSucceeded.map((pod) => completionIndexOf(pod) ?? -1)].filter((index) => index >= 0));
    this.succeeded = isIndexed(job) ? this.successes.size : succeeded + this.uncounted.succeeded.size + newSucceeded.length;
    this.failures = limitsIndexes(job) ? new Set([
      ...parseIndexes(job.status?.failedIndexes, this.completions ?? 0),
      ...fresh.filter((pod) => this.#exhaustsIndex(pod)).map((pod) => completionIndexOf(pod) ?? -1),
    ].filter((index) => index >= 0)) : new Set();
    this.heldByIndex = this.#held(fresh);
  }

  plan(): JobPlan {
    const { job, pods, nowMs } = this;
    const suspendedNow = jobCondition(job, 'Suspended') !== undefined;
    let verdict = this.#verdict();
    let managed: Pick<JobPlan, 'create' | 'delete' | 'waitMs'> = { create: [], delete: [], waitMs: this.#deadlineMs() };
    let hasTooManySuccesses = false;
    let suspension: JobPlan['suspension'];
    if (verdict) {
      managed = { create: [], delete: this.active, waitMs: undefined };
    } else {
      if (job.metadata.deletionTimestamp === undefined) {
        const next = this.#manage();
        managed = { ...next, waitMs: earliest(managed.waitMs, next.waitMs) };
      }
      const left = this.active.length - managed.delete.length + managed.create.length;
      const enough = this.completions === undefined ? this.succeeded > 0 : this.succeeded >= this.completions;
      if (enough && left === 0 && this.active.length === 0) {
        verdict = { type: 'SuccessCriteriaMet', reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' };
        hasTooManySuccesses = this.completions !== undefined && this.succeeded > this.completions;
      } else if (isSuspended(job) !== suspendedNow && job.metadata.deletionTimestamp === undefined) {
        suspension = isSuspended(job) ? 'Suspended' : 'Resumed';
      }
    }
    const { status, release, hasMoreToCount } = this.#count(verdict);
    const remaining = this.active.filter((pod) => !managed.delete.includes(pod));
    const terminating = pods.filter((pod) => isTerminating(pod) && !isTerminal(pod)).length + managed.delete.length;
    Object.assign(status, { active: remaining.length + managed.create.length, ready: remaining.filter(isReady).length, terminating });
    if (verdict) status.conditions = withCondition(status.conditions, { ...verdict, status: 'True' }, nowMs);
    if (suspension === 'Suspended') {
      status.conditions = withCondition(status.conditions, { type: 'Suspended', status: 'True', reason: 'JobSuspended', message: 'Job suspended' }, nowMs);
      delete status.startTime;
    } else if (suspension === 'Resumed') {
      status.conditions = withCondition(status.conditions, { type: 'Suspended', status: 'False', reason: 'JobResumed', message: 'Job resumed' }, nowMs);
      status.startTime = formatTime(nowMs); // the deadline does not run while a Job is suspended
    } else if (status.startTime === undefined && !isSuspended(job)) {
      status.startTime = formatTime(nowMs);
    }
    return { ...managed, verdict, record: this.record, suspension, hasTooManySuccesses, status: trimmed(status), release, hasMoreToCount };
  }

  #hasValidIndex(pod: Readonly<Pod>): boolean {
    if (!isIndexed(this.job)) return true;
    const index = completionIndexOf(pod);
    return index !== undefined && index < (this.completions ?? 0);
  }

  /** Whether the pod's failure is the last that its index may have. */
  #exhaustsIndex(pod: Readonly<Pod>): boolean {
    if (!isFailed(pod, this.job)) return false;
    if (judgeFailure(this.job, pod).action === 'FailIndex') return true;
    const failures = annotatedCount(pod, FAILURE_COUNT);
    return judgeFailure(this.job, pod).action !== 'Ignore' && failures >= (this.job.spec?.backoffLimitPerIndex ?? 0);
  }

  #held(fresh: readonly Readonly<Pod>[]): Map<number, Readonly<Pod>> {
    const held = new Map<number, Readonly<Pod>>();
    if (!limitsIndexes(this.job)) return held;
    const replaced = new Set(this.active.map(completionIndexOf));
    for (const pod of fresh) {
      const index = completionIndexOf(pod) ?? -1;
      if (!isFailed(pod, this.job) || this.successes.has(index) || this.failures.has(index) || replaced.has(index)) continue;
      const other = held.get(index);
      if (!other || totalFailures(other) < totalFailures(pod)) held.set(index, pod);
    }
    return held;
  }

  #verdict(): Verdict | undefined {
    const { job, pods, completions = 0 } = this;
    for (const type of ['SuccessCriteriaMet', 'FailureTarget'] as const) {
      const decided = jobCondition(job, type);
      if (decided) return { type, reason: decided.reason ?? '', message: decided.message ?? '' };
    }
    const failure = (reason: string, message: string): Verdict => ({ type: 'FailureTarget', reason, message });
    if (job.spec?.podFailurePolicy) {
      for (const pod of pods) {
        const { action, message = '' } = isFailed(pod, job) ? judgeFailure(job, pod) : { action: undefined };
        if (action === 'FailJob') return failure('PodFailurePolicy', message);
      }
    }
    const limit = job.spec?.backoffLimit ?? (limitsIndexes(job) ? 0x7fffffff : 6);
    if (this.failed > limit || restartsExceedLimit(job, pods)) return failure('BackoffLimitExceeded', 'Job has reached the specified backoff limit');
    if (this.#deadlineMs() === 0) return failure('DeadlineExceeded', 'Job was active longer than specified deadline');
    if (limitsIndexes(job)) {
      if (job.spec?.maxFailedIndexes !== undefined && this.failures.size > job.spec.maxFailedIndexes) return failure('MaxFailedIndexesExceeded', 'Job has exceeded the specified maximal number of failed indexes');
      if (this.failures.size > 0 && this.failures.size + this.successes.size >= completions) return failure('FailedIndexes', 'Job has failed indexes');
    }
    const rule = isIndexed(job) ? this.#successRule() : undefined;
    return rule === undefined ? undefined : { type: 'SuccessCriteriaMet', reason: 'SuccessPolicy', message: `Matched rules at index ${rule}` };
  }

  /** The first rule of the success policy that is met. */
  #successRule(): number | undefined {
    const rules = this.job.spec?.successPolicy?.rules ?? [];
    if (this.successes.size === 0) return undefined;
    const index = rules.findIndex(({ succeededIndexes, succeededCount }) => {
      if (succeededIndexes === undefined) return succeededCount !== undefined && this.successes.size >= succeededCount;
      const wanted = parseIndexes(succeededIndexes, this.completions ?? 0);
      const met = [...wanted].filter((one) => this.successes.has(one)).length;
      return met >= (succeededCount ?? wanted.size);
    });
    return index < 0 ? undefined : index;
  }

  /** Time left until activeDeadlineSeconds have passed; undefined when there is no deadline. */
  #deadlineMs(): number | undefined {
    const { spec, status } = this.job;
    const startMs = parseTimeOrUndefined(status?.startTime ?? '');
    if (spec?.activeDeadlineSeconds === undefined || isSuspended(this.job)) return undefined;
    return Math.max(0, (startMs ?? this.nowMs) + spec.activeDeadlineSeconds * 1000 - this.nowMs);
  }

  #manage(): Pick<JobPlan, 'create' | 'delete' | 'waitMs'> {
    const { job, active, completions, nowMs } = this;
    if (isSuspended(job)) return { create: [], delete: active.slice(0, MOST_AT_ONCE), waitMs: undefined };
    const terminating = replacesOnlyFailed(job) ? this.pods.filter((pod) => isTerminating(pod) && !isTerminal(pod)) : [];
    const parallelism = job.spec?.parallelism ?? 1;
    let wanted = parallelism;
    if (completions === undefined) wanted = this.succeeded > 0 ? active.length : parallelism;
    else wanted = Math.max(0, Math.min(parallelism, completions - this.succeeded));
    const surplus = this.#surplus(Math.max(0, active.length - wanted));
    if (surplus.length > 0) return { create: [], delete: surplus.slice(0, MOST_AT_ONCE), waitMs: undefined };
    const missing = Math.min(wanted - active.length - terminating.length, MOST_AT_ONCE);
    if (missing <= 0) return { create: [], delete: [], waitMs: undefined };
    if (!limitsIndexes(job)) {
      const waitMs = remainingMs(this.record.failuresAfterLastSuccess, this.record.lastFailureMs, nowMs);
      if (waitMs > 0) return { create: [], delete: [], waitMs };
      if (!isIndexed(job)) return { create: Array.from({ length: missing }, () => ({ index: undefined, annotations: {} })), delete: [], waitMs: undefined };
    }
    return this.#newIndexes(missing, terminating);
  }

  #newIndexes(missing: number, terminating: readonly Readonly<Pod>[]): Pick<JobPlan, 'create' | 'delete' | 'waitMs'> {
    const taken = new Set([...this.active, ...terminating].map(completionIndexOf));
    const limits = limitsIndexes(this.job);
    const create: NewJobPod[] = [];
    let waitMs: number | undefined;
    const free = firstFreeIndexes(limits ? this.completions ?? 0 : missing, this.completions ?? 0, (index) => taken.has(index) || this.successes.has(index) || this.failures.has(index));
    for (const index of free) {
      if (create.length >= missing) break;
      const last = this.heldByIndex.get(index);
      const leftMs = last ? remainingMs(totalFailures(last) + 1, finishedMs(last), this.nowMs) : 0;
      if (leftMs > 0) waitMs = earliest(waitMs, leftMs);
      else create.push({ index, annotations: limits ? this.#failureCounts(last) : {} });
    }
    return { create, delete: [], waitMs };
  }

  /** What a pod tells of its predecessors. */
  #failureCounts(last: Readonly<Pod> | undefined): Record<string, string> {
    if (!last) return { [FAILURE_COUNT]: '0' };
    const isIgnored = judgeFailure(this.job, last).action === 'Ignore';
    const [counted, ignored] = [annotatedCount(last, FAILURE_COUNT) + Number(!isIgnored), annotatedCount(last, IGNORED_FAILURE_COUNT) + Number(isIgnored)];
    return { [FAILURE_COUNT]: String(counted), ...(ignored > 0 ? { [IGNORED_FAILURE_COUNT]: String(ignored) } : {}) };
  }

  /** Pods to remove: second ones of an index and indexes out of range in any case, then the least useful ones. */
  #surplus(atLeast: number): Readonly<Pod>[] {
    const remove: Readonly<Pod>[] = [];
    let rest = [...this.active];
    if (isIndexed(this.job)) {
      const byIndex = new Map<number, Readonly<Pod>[]>();
      for (const pod of this.active) {
        const index = completionIndexOf(pod);
        if (index === undefined || index >= (this.completions ?? 0)) remove.push(pod);
        else byIndex.set(index, [...(byIndex.get(index) ?? []), pod]);
      }
      rest = [];
      for (const same of byIndex.values()) {
        const surplus = podsToDelete(same, [], same.length - 1, this.nowMs);
        remove.push(...surplus);
        rest.push(...same.filter((pod) => !surplus.includes(pod)));
      }
    }
    if (remove.length < atLeast) remove.push(...podsToDelete(rest, [], atLeast - remove.length, this.nowMs));
    return remove;
  }

  /** Ended pods become numbers: first by uid in the status, and when their finalizers are gone, in the counters. */
  #count(verdict: Verdict | undefined): { status: JobStatus; release: Readonly<Pod>[]; hasMoreToCount: boolean } {
    const { job } = this;
    const status: JobStatus = settled(structuredClone(job.status ?? {}), this.pods, isIndexed(job));
    const waiting = status.uncountedTerminatedPods ?? {};
    const uncounted = { succeeded: [...(waiting.succeeded ?? [])], failed: [...(waiting.failed ?? [])] };
    const release: Readonly<Pod>[] = [];
    const newIndexes = new Set<number>();
    let hasMoreToCount = false;
    for (const pod of this.pods) {
      if (!hasTrackingFinalizer(pod)) continue;
      const hasFailed = isFailed(pod, job);
      if (!this.#mayRelease(pod, hasFailed, verdict)) continue;
      release.push(pod);
      const uid = uidOf(pod);
      const index = completionIndexOf(pod);
      if (isSucceeded(pod) && !uncounted.failed.includes(uid)) {
        if (isIndexed(job)) {
          if (index !== undefined && index < (this.completions ?? 0) && !this.knownSuccesses.has(index)) newIndexes.add(index);
        } else if (!uncounted.succeeded.includes(uid)) uncounted.succeeded.push(uid);
      } else if (hasFailed || verdict?.type === 'FailureTarget') {
        if (!uncounted.failed.includes(uid) && this.#hasValidIndex(pod) && judgeFailure(job, pod).action !== 'Ignore') uncounted.failed.push(uid);
      }
      if (newIndexes.size + uncounted.succeeded.length + uncounted.failed.length >= MOST_UNCOUNTED) {
        hasMoreToCount = true;
        break;
      }
    }
    if (isIndexed(job)) {
      const all = new Set([...this.knownSuccesses, ...newIndexes]);
      Object.assign(status, { completedIndexes: formatIndexes(all), succeeded: all.size });
      if (limitsIndexes(job)) status.failedIndexes = formatIndexes(this.failures);
    }
    status.uncountedTerminatedPods = { ...(uncounted.succeeded.length > 0 ? { succeeded: uncounted.succeeded } : {}), ...(uncounted.failed.length > 0 ? { failed: uncounted.failed } : {}) };
    return { status, release, hasMoreToCount };
  }

  #mayRelease(pod: Readonly<Pod>, hasFailed: boolean, verdict: Verdict | undefined): boolean {
    if (this.job.metadata.deletionTimestamp !== undefined || verdict !== undefined || isSucceeded(pod)) return true;
    return hasFailed && this.heldByIndex.get(completionIndexOf(pod) ?? -1) !== pod;
  }
}

const uidOf = ({ metadata }: Readonly<Pod>): string => metadata.uid ?? '';
const earliest = (left: number | undefined, right: number | undefined): number | undefined => (left === undefined ? right : right === undefined ? left : Math.min(left, right));
const annotatedCount = ({ metadata }: Readonly<Pod>, name: string): number => Number(metadata.annotations?.[name] ?? '0') || 0;
const totalFailures = (pod: Readonly<Pod>): number => annotatedCount(pod, FAILURE_COUNT) + annotatedCount(pod, IGNORED_FAILURE_COUNT);

/** Sets a condition; its time changes with its status only. One that would be False from the beginning is not set. */
function withCondition(conditions: readonly JobCondition[] | undefined, next: Omit<JobCondition, 'lastProbeTime' | 'lastTransitionTime'>, nowMs: number): JobCondition[] {
  const known = conditions?.find(({ type }) => type === next.type);
  if (known?.status === next.status && known.reason === next.reason && known.message === next.message) return [...(conditions ?? [])];
  if (!known && next.status !== 'True') return [...(conditions ?? [])];
  const time = formatTime(nowMs);
  const made = { ...next, lastProbeTime: time, lastTransitionTime: known?.status === next.status ? known.lastTransitionTime ?? time : time };
  return known ? (conditions ?? []).map((condition) => (condition === known ? made : condition)) : [...(conditions ?? []), made];
}

/** Counts the pods whose uid waits in the status and whose finalizer is gone. Exported for the second half of a pass. */
export function settled(status: JobStatus, pods: readonly Readonly<Pod>[], isIndexedJob: boolean, released: readonly Readonly<Pod>[] = []): JobStatus {
  const gone = new Set(released.map(uidOf));
  const held = new Set(pods.filter((pod) => hasTrackingFinalizer(pod)).map(uidOf).filter((uid) => !gone.has(uid)));
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  const stay: UncountedTerminatedPods = { succeeded: succeeded.filter((uid) => held.has(uid)), failed: failed.filter((uid) => held.has(uid)) };
  return {
    ...status,
    succeeded: isIndexedJob ? status.succeeded : (status.succeeded ?? 0) + succeeded.length - (stay.succeeded?.length ?? 0),
    failed: (status.failed ?? 0) + failed.length - (stay.failed?.length ?? 0),
    uncountedTerminatedPods: { ...(stay.succeeded?.length ? { succeeded: stay.succeeded } : {}), ...(stay.failed?.length ? { failed: stay.failed } : {}) },
  };
}

/** The status of a Job that is decided, once no pod of it is left to end or to count; else as it is. */
export function finished(status: JobStatus, nowMs: number): JobStatus {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  const decided = jobCondition({ status }, 'SuccessCriteriaMet') ?? jobCondition({ status }, 'FailureTarget');
  if (!decided || (status.terminating ?? 0) > 0 || (status.active ?? 0) > 0 || succeeded.length + failed.length > 0) return status;
  const type = decided.type === 'SuccessCriteriaMet' ? 'Complete' : 'Failed';
  const conditions = withCondition(status.conditions, { type, status: 'True', reason: decided.reason, message: decided.message }, nowMs);
  return { ...status, conditions, ...(type === 'Complete' ? { completionTime: formatTime(nowMs) } : {}) };
}

/** Counters of 0 are left out, as Go's omitempty does, but for the two that are pointers there. */
export function trimmed(status: JobStatus): JobStatus {
  const { active, succeeded, failed, completedIndexes, ...rest } = status;
  return { ...rest, ...(active ? { active } : {}), ...(succeeded ? { succeeded } : {}), ...(failed ? { failed } : {}), ...(completedIndexes ? { completedIndexes } : {}) };
}

