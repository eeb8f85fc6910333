// Starts Jobs by the clock.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import type { NewObject } from '#lib/api-client/client.ts';
import { defineController, done, owned, retryAfterMs, type Controller, type Outcome, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { cronJobKind } from '#lib/kinds/batch/cron-job.ts';
import { jobKind } from '#lib/kinds/batch/job.ts';
import type { CronJob, CronJobStatus, Job } from '#lib/kinds/types/batch-v1.ts';
import { controllerReference, isControlledBy } from '#lib/machinery/controller-ref.ts';
import { CronError, isTimeZone, parseCron, type CronSchedule, type EverySchedule } from '#lib/machinery/cron.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { isAlreadyExists, isNotFound } from '#lib/machinery/status-error.ts';
import { formatTime, parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { isNamespaceTerminating } from '../../edge/pod-control.ts';
import { isFinished, jobCondition } from '../job/plan.ts';
import { beyondHistory, dueRun, InvalidSchedule, isTooLate, jobNameFor, rfc1123, untilNextRun, zonedTime } from './plan.ts';

const SCHEDULED_AT = 'batch.kubernetes.io/cronjob-scheduled-timestamp';

export const cronJobController = (workers: number): Controller => defineController({
  name: 'cronjob-controller',
  queueName: 'cronjob',
  reconciles: cronJobKind,
  alsoWatches: [owned(jobKind)],
  workers,
  async reconcile({ namespace, name }, context) {
    const cronJob = context.cache.get(cronJobKind, namespace, name);
    if (!cronJob) return done;
    const run = new Run(structuredClone(cronJob), context);
    const outcome = await run.sync();
    await run.cleanUp();
    await run.writeStatus(cronJob.status);
    return outcome;
  },
});

/** One pass over a CronJob; `status` is what will be written. */
class Run {
  readonly #cronJob: CronJob;
  readonly #context: ReconcileContext;
  readonly #jobs: readonly Readonly<Job>[];
  readonly #status: CronJobStatus;

  constructor(cronJob: CronJob, context: ReconcileContext) {
    this.#cronJob = cronJob;
    this.#context = context;
    this.#jobs = context.cache.ownedBy(cronJob, jobKind);
    this.#status = cronJob.status ??= {};
  }

  async sync(): Promise<Outcome> {
    const { clock } = this.#context;
    const { metadata, spec } = this.#cronJob;
    this.#followJobs();
    await this.#forgetMissing();
    if (metadata.deletionTimestamp !== undefined) return done;
    if (spec.timeZone !== undefined && !isTimeZone(spec.timeZone)) {
      this.#tell('Warning', 'UnknownTimeZone', `invalid timeZone: ${JSON.stringify(spec.timeZone)}: unknown time zone ${spec.timeZone}`);
      return done;
    }
    if (spec.suspend === true) return done;
    const schedule = this.#schedule();
    if (!schedule) return done;
    const nowMs = clock.nowMs();
    try {
      const { dueMs, hasMissedMany } = dueRun(this.#cronJob, schedule, nowMs);
      if (hasMissedMany) this.#tell('Warning', 'TooManyMissedTimes', 'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew');
      if (dueMs !== undefined) await this.#start(dueMs, nowMs);
      const waitMs = untilNextRun(this.#cronJob, schedule, nowMs);
      return waitMs === undefined ? done : retryAfterMs(waitMs);
    } catch (error) {
      if (!(error instanceof InvalidSchedule)) throw error;
      this.#tell('Warning', 'InvalidSchedule', `invalid schedule: ${spec.schedule} : ${error.message}`);
      return done;
    }
  }

  #schedule(): CronSchedule | EverySchedule | undefined {
    const { schedule } = this.#cronJob.spec;
    if (schedule.includes('TZ')) this.#tell('Warning', 'UnsupportedSchedule', `CRON_TZ or TZ used in schedule ${JSON.stringify(schedule)} is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details`);
    try {
      return parseCron(schedule);
    } catch (error) {
      if (!(error instanceof CronError)) throw error;
      this.#tell('Warning', 'UnparseableSchedule', `unparseable schedule: ${JSON.stringify(schedule)} : ${error.message}`);
      return undefined;
    }
  }

  /** Takes Jobs that have ended off the list of active ones. */
  #followJobs(): void {
    for (const job of this.#jobs) {
      const isListed = this.#isActive(job.metadata.uid);
      if (!isFinished(job)) {
        if (!isListed) this.#tell('Warning', 'UnexpectedJob', `Saw a job that the controller did not create or forgot: ${job.metadata.name}`);
        continue;
      }
      const hasSucceeded = jobCondition(job, 'Complete') !== undefined;
      if (isListed) {
        this.#forget(job.metadata.uid);
        this.#tell('Normal', 'SawCompletedJob', `Saw completed job: ${job.metadata.name}, condition: ${hasSucceeded ? 'Complete' : 'Failed'}`);
      }
      const endedMs = parseTimeOrUndefined(job.status?.completionTime ?? '');
      const before = parseTimeOrUndefined(this.#status.lastSuccessfulTime ?? '') ?? -Infinity;
      if (hasSucceeded && endedMs !== undefined && endedMs > before) this.#status.lastSuccessfulTime = job.status?.completionTime;
    }
  }

  async #forgetMissing(): Promise<void> {
    const known = new Set(this.#jobs.map(({ metadata }) => metadata.uid));
    for (const { namespace, name = '', uid } of this.#status.active ?? []) {
      if (known.has(uid)) continue;
      try {
        await this.#context.api.getLive(jobKind, namespace, name);
      } catch (error) {
        if (!isNotFound(error)) throw error;
        this.#tell('Normal', 'MissingJob', `Active job went missing: ${name}`);
        this.#forget(uid);
      }
    }
  }

  async #start(dueMs: number, nowMs: number): Promise<void> {
    const { spec, metadata } = this.#cronJob;
    if (isTooLate(this.#cronJob, dueMs, nowMs)) return this.#tell('Warning', 'MissSchedule', `Missed scheduled time to start a job: ${rfc1123(dueMs)}`);
    const name = jobNameFor(this.#cronJob, dueMs);
    const active = this.#status.active ?? [];
    if (active.some((reference) => reference.name === name) || parseTimeOrUndefined(this.#status.lastScheduleTime ?? '') === dueMs) return;
    if (spec.concurrencyPolicy === 'Forbid' && active.length > 0) return this.#tell('Normal', 'JobAlreadyActive', 'Not starting job because prior execution is running and concurrency policy is Forbid');
    if (spec.concurrencyPolicy === 'Replace') for (const reference of active) await this.#replace(reference.name ?? '');
    const job = await this.#create(name, dueMs);
    if (!job) return;
    const { uid, resourceVersion } = job.metadata;
    this.#status.active = [...(this.#status.active ?? []), { apiVersion: 'batch/v1', kind: 'Job', name, namespace: metadata.namespace, uid, resourceVersion }];
    this.#status.lastScheduleTime = formatTime(dueMs);
  }

  async #replace(name: string): Promise<void> {
    const { api } = this.#context;
    const { namespace } = this.#cronJob.metadata;
    try {
      await this.#delete(await api.getLive(jobKind, namespace, name));
    } catch (error) {
      this.#tell('Warning', 'FailedGet', `Get job: ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
  }

  /** Undefined when there is nothing to note: somebody else's job has the name, or it is noted already. */
  async #create(name: string, dueMs: number): Promise<Readonly<Job> | undefined> {
    const { api } = this.#context;
    const { metadata: { namespace }, spec } = this.#cronJob;
    const template = structuredClone(spec.jobTemplate);
    const job: NewObject<Job> = {
      metadata: {
        name, namespace, labels: { ...template.metadata?.labels }, annotations: { ...template.metadata?.annotations, [SCHEDULED_AT]: zonedTime(dueMs, spec.timeZone) },
        ownerReferences: [controllerReference(this.#cronJob, cronJobKind)],
      },
      spec: template.spec ?? { template: {} },
    };
    try {
      const created = await api.create(jobKind, job);
      this.#tell('Normal', 'SuccessfulCreate', `Created job ${name}`);
      return created;
    } catch (error) {
      if (isAlreadyExists(error)) {
        const existing = await api.getLive(jobKind, namespace, name);
        return isControlledBy(existing, this.#cronJob) && !this.#isActive(existing.metadata.uid) ? existing : undefined;
      }
      if (!isNamespaceTerminating(error)) this.#tell('Warning', 'FailedCreate', `Error creating job: ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
  }

  /** Deletes finished Jobs beyond the history limits. */
  async cleanUp(): Promise<void> {
    const { successfulJobsHistoryLimit, failedJobsHistoryLimit } = this.#cronJob.spec;
    const alive = this.#jobs.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const of = (type: string) => alive.filter((job) => jobCondition(job, type) !== undefined);
    for (const job of [...beyondHistory(of('Complete'), successfulJobsHistoryLimit), ...beyondHistory(of('Failed'), failedJobsHistoryLimit)]) await this.#delete(job);
  }

  async #delete(job: Readonly<Job>): Promise<void> {
    try {
      await this.#context.api.delete(jobKind, job, { propagationPolicy: 'Background' });
    } catch (error) {
      if (isNotFound(error)) return this.#forget(job.metadata.uid);
      this.#tell('Warning', 'FailedDelete', `Deleted job: ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
    this.#forget(job.metadata.uid);
    this.#tell('Normal', 'SuccessfulDelete', `Deleted job ${job.metadata.name}`);
  }

  async writeStatus(before: CronJobStatus | undefined): Promise<void> {
    if (semanticEqual(before, this.#status)) return;
    await this.#context.api.updateStatus(cronJobKind, this.#cronJob).catch((error: unknown) => {
      if (!isNotFound(error)) throw error; // deleted meanwhile
    });
  }

  #isActive(uid: string | undefined): boolean {
    return (this.#status.active ?? []).some((reference) => reference.uid === uid);
  }
  #forget(uid: string | undefined): void {
    this.#status.active = (this.#status.active ?? []).filter((reference) => reference.uid !== uid);
  }
  #tell(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#context.events.event(referenceTo(this.#cronJob), type, reason, message);
  }
}
