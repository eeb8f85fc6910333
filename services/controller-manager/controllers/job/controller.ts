// Runs pods until enough of them have succeeded.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import type { NewObject } from '#lib/api-client/client.ts';
import { defineController, done, index, owned, retryAfterMs, type Controller, type Outcome, type ReconcileContext } from '#lib/controller/define-controller.ts';
import type { CacheReader } from '#lib/controller/shared-cache.ts';
import { jobKind } from '#lib/kinds/batch/job.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Job, JobStatus } from '#lib/kinds/types/batch-v1.ts';
import type { Container, Pod } from '#lib/kinds/types/core-v1.ts';
import { controllerOf } from '#lib/machinery/controller-ref.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { isInvalid, isNotFound } from '#lib/machinery/status-error.ts';
import { claim } from '../../edge/claim.ts';
import { attempted, createPod, deletePods, podFromTemplate, slowStart } from '../../edge/pod-control.ts';
import { NO_FAILURES, type BackoffRecord } from './backoff.ts';
import { COMPLETION_INDEX } from './indexes.ts';
import { finished, isFinished, planJob, settled, trimmed, type JobPlan, type NewJobPod } from './plan.ts';
import { hasTrackingFinalizer, TRACKING_FINALIZER } from './pod-outcome.ts';

/** Pod events wait so long, so that many become one pass. Source: syncJobBatchPeriod. */
const BATCH_MS = 1_000;
/** Source: DefaultJobApiBackOff, MaxJobApiBackOff. */
const BACKOFF = { backoffFirstMs: 1_000, backoffLongestMs: 60_000 };
const JOB_NAME = 'batch.kubernetes.io/job-name';
const CONTROLLER_NAME = 'kubernetes.io/job-controller';
const JOB_INDEX = 'job';
/** A generated name keeps room for five random characters. */
const LONGEST_PREFIX = 58;

function adoptersOf(pod: Readonly<Pod>, cache: CacheReader): string[] {
  const adopters = cache.list(jobKind, pod.metadata.namespace).filter(({ spec }) => spec?.selector && labelSelector(spec.selector).matches(pod.metadata.labels)).map(keyOf);
  return [...new Set([...adopters, ...formerJobOf(pod)])];
}

/** The Job that left its finalizer on a pod which nobody manages any more. */
function formerJobOf(pod: Readonly<Pod>): string[] {
  const name = pod.metadata.labels?.[JOB_NAME];
  return hasTrackingFinalizer(pod) && name !== undefined ? [`${pod.metadata.namespace ?? ''}/${name}`] : [];
}

/** Pods by the Job they belong to, or did. */
function jobOf(pod: Readonly<Pod>): string[] {
  const owner = controllerOf(pod);
  if (!owner) return formerJobOf(pod);
  return owner.kind === 'Job' && owner.apiVersion.startsWith('batch/') ? [`${pod.metadata.namespace ?? ''}/${owner.name}`] : [];
}

export function jobController(workers: number): Controller {
  const records = new Map<string, BackoffRecord>();
  return defineController({
    name: 'job-controller',
    queueName: 'job',
    reconciles: jobKind,
    alsoWatches: [owned(podKind, { adopters: adoptersOf, delayMs: BATCH_MS })],
    indexes: [index(podKind, JOB_INDEX, jobOf)],
    workers,
    backoff: BACKOFF,
    async reconcile({ namespace, name }, context) {
      const job = context.cache.get(jobKind, namespace, name);
      const key = `${namespace}/${name}`;
      if (job?.spec?.managedBy !== undefined && job.spec.managedBy !== CONTROLLER_NAME) return done;
      if (!job || isFinished(job)) {
        records.delete(key);
        await releasePods(context.cache.byIndex(podKind, JOB_INDEX, key), context);
        return done;
      }
      const pods = await claim({ owner: job, ownerKind: jobKind, kind: podKind, selector: labelSelector(job.spec?.selector) }, context.cache, context.api);
      // Of an earlier Job of the name, or orphaned: nobody counts them any more.
      await releasePods(context.cache.byIndex(podKind, JOB_INDEX, key).filter((pod) => !pods.some(({ metadata }) => metadata.uid === pod.metadata.uid)), context);
      return reconcileJob(job, pods, { read: () => records.get(key) ?? NO_FAILURES, write: (record) => records.set(key, record) }, context);
    },
  });
}

interface Memory {
  readonly read: () => BackoffRecord;
  readonly write: (record: BackoffRecord) => void;
}

async function reconcileJob(job: Readonly<Job>, pods: readonly Readonly<Pod>[], memory: Memory, context: ReconcileContext): Promise<Outcome> {
  const { clock, events } = context;
  const plan = planJob(job, pods, memory.read(), clock.nowMs());
  await deletePods(plan.delete, job, context);
  const { created, failure } = await createPods(plan.create, job, context);
  const reference = referenceTo(job);
  if (plan.suspension) events.event(reference, 'Normal', plan.suspension, `Job ${plan.suspension.toLowerCase()}`);

  // Written down first, counted after: a crash in between neither loses a pod nor counts one twice.
  const isIndexed = job.spec?.completionMode === 'Indexed';
  let live: Readonly<Job> = job;
  let status: JobStatus = { ...plan.status, active: (plan.status.active ?? 0) - (plan.create.length - created) };
  if (plan.release.length > 0) {
    live = await writeStatus(live, status, context);
    memory.write(plan.record);
    await releasePods(plan.release, context);
    status = settled(status, pods, isIndexed, plan.release);
  }
  memory.write(plan.record);
  if (!plan.hasMoreToCount) status = finished(status, clock.nowMs());
  live = await writeStatus(live, trimmed(status), context);
  if (isFinished(live)) tellEnd(live, plan, context);
  if (failure) throw failure;
  return plan.hasMoreToCount ? retryAfterMs(0) : plan.waitMs === undefined ? done : retryAfterMs(plan.waitMs);
}

/** Creates what it can; who failed does not keep the others from being counted. */
async function createPods(wanted: JobPlan['create'], job: Readonly<Job>, context: ReconcileContext): Promise<{ created: number; failure: Error | undefined }> {
  let created = 0;
  const failure = await attempted(slowStart(wanted.length, async (position) => {
    await createPod(newPod(job, wanted[position] as NewJobPod), job, context);
    created += 1;
  }));
  return { created, failure };
}

function newPod(job: Readonly<Job>, { index: completion, annotations }: NewJobPod): NewObject<Pod> {
  const { metadata, spec, ...rest } = podFromTemplate(job.spec?.template ?? {}, job, jobKind);
  const finalizers = [...new Set([...(metadata.finalizers ?? []), TRACKING_FINALIZER])];
  if (completion === undefined) return { ...rest, metadata: { ...metadata, finalizers }, spec };
  const text = String(completion);
  const { name } = job.metadata;
  return {
    ...rest,
    metadata: {
      ...metadata, finalizers,
      generateName: `${name.slice(0, LONGEST_PREFIX - text.length - 2)}-${text}-`,
      annotations: { ...metadata.annotations, ...annotations, [COMPLETION_INDEX]: text },
      labels: { ...metadata.labels, [COMPLETION_INDEX]: text },
    },
    spec: {
      ...spec, hostname: `${name}-${text}`,
      containers: spec.containers.map(withIndex),
      ...(spec.initContainers ? { initContainers: spec.initContainers.map(withIndex) } : {}),
    },
  };
}

function withIndex(container: Container): Container {
  const name = 'JOB_COMPLETION_INDEX';
  if (container.env?.some((variable) => variable.name === name)) return container;
  return { ...container, env: [...(container.env ?? []), { name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: `metadata.labels['${COMPLETION_INDEX}']` } } }] };
}

/** Takes the finalizer off; who is gone already needs nothing. Throws the first error after all have been tried. */
async function releasePods(pods: readonly Readonly<Pod>[], { api }: ReconcileContext): Promise<void> {
  const results = await Promise.allSettled(pods.filter(hasTrackingFinalizer).map(({ metadata: { namespace, name, uid } }) =>
    api.patch(podKind, namespace, name, { metadata: { uid, '$deleteFromPrimitiveList/finalizers': [TRACKING_FINALIZER] } }, { type: 'strategic' }).catch((error: unknown) => {
      if (!isNotFound(error) && !isInvalid(error)) throw error;
    })));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

async function writeStatus(job: Readonly<Job>, status: JobStatus, { api }: ReconcileContext): Promise<Readonly<Job>> {
  const wanted = trimmed(status);
  if (semanticEqual(wanted, job.status)) return job;
  try {
    return await api.updateStatus(jobKind, { ...job, status: wanted });
  } catch (error) {
    if (isNotFound(error)) return job; // deleted meanwhile
    throw error;
  }
}

function tellEnd(job: Readonly<Job>, { hasTooManySuccesses }: JobPlan, { events }: ReconcileContext): void {
  const reference = referenceTo(job);
  const failed = job.status?.conditions?.find(({ type, status }) => type === 'Failed' && status === 'True');
  if (failed) return events.event(reference, 'Warning', failed.reason ?? '', failed.message ?? '');
  if (hasTooManySuccesses) events.event(reference, 'Warning', 'TooManySucceededPods', 'Too many succeeded pods running after completion count reached');
  events.event(reference, 'Normal', 'Completed', 'Job completed');
}
