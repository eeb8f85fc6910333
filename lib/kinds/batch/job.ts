// Job of batch/v1: pods that run until enough of them have succeeded.
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { humanDuration } from '#lib/machinery/human-duration.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { ageColumn, nameColumn, selectorColumn, templateColumns, textColumn } from '../columns.ts';
import { defaultPodTemplate } from '../core/pod-defaults.ts';
import { podNameWarnings, podSpecWarnings } from '../core/pod-warnings.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { Job, JobSpec } from '../types/batch-v1.ts';
import { JOB_LABELS } from './job-labels.ts';
import { validateJob, validateJobCreate, validateJobStatusUpdate, validateJobUpdate } from './job-validation.ts';

const NO_LIMIT = 2_147_483_647;

/** What Jobs and the templates of CronJobs share. */
export function defaultJobTemplateSpec(spec: JobSpec): void {
  spec.template ??= {};
  defaultPodTemplate(spec.template);
}

function applyDefaults(job: Job): void {
  // A body may leave out what the type requires.
  const spec = (job.spec ??= {} as JobSpec);
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : NO_LIMIT;
  defaultJobTemplateSpec(spec);
  const labels = spec.template.metadata?.labels;
  if (Object.keys(labels ?? {}).length > 0 && Object.keys(job.metadata.labels ?? {}).length === 0) job.metadata.labels = { ...labels };
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  for (const rule of spec.podFailurePolicy?.rules ?? []) {
    for (const pattern of rule.onPodConditions ?? []) pattern.status ||= 'True';
  }
  spec.manualSelector ??= false;
  spec.podReplacementPolicy ??= spec.podFailurePolicy === undefined ? 'TerminatingOrFailed' : 'Failed';
}

/** A job finds its pods by its uid, unless the user said how. */
function generateSelector({ metadata: { name, uid = '' }, spec }: Job): void {
  if (spec.manualSelector === true) return;
  const metadata = (spec.template.metadata ??= {});
  const labels = (metadata.labels ??= {});
  for (const label of [JOB_LABELS.oldJobName, JOB_LABELS.jobName]) labels[label] ??= name;
  for (const label of [JOB_LABELS.oldControllerUid, JOB_LABELS.controllerUid]) labels[label] ??= uid;
  const selector = (spec.selector ??= {});
  (selector.matchLabels ??= {})[JOB_LABELS.controllerUid] ??= uid;
}

const hasCondition = ({ status }: Job, type: string): boolean => status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;

function statusText(job: Job): string {
  if (hasCondition(job, 'Complete')) return 'Complete';
  if (hasCondition(job, 'Failed')) return 'Failed';
  if (job.metadata.deletionTimestamp !== undefined) return 'Terminating';
  return ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'].find((type) => hasCondition(job, type)) ?? 'Running';
}

function completionsText({ spec, status }: Job): string {
  const succeeded = status?.succeeded ?? 0;
  if (spec.completions !== undefined) return `${succeeded}/${spec.completions}`;
  const parallelism = spec.parallelism ?? 0;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function durationText({ status }: Job, nowMs: number): string {
  const start = parseTimeOrUndefined(status?.startTime ?? '');
  if (start === undefined) return '';
  return humanDuration((parseTimeOrUndefined(status?.completionTime ?? '') ?? nowMs) - start);
}

export const jobKind = defineKind<Job>({
  group: 'batch', version: 'v1', kind: 'Job', plural: 'jobs', singular: 'job', scope: 'Namespaced',
  schema: 'io.k8s.api.batch.v1.Job',
  categories: ['all'],
  storageVersionHash: 'mudhfqk/qZY=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForCreate: (job) => {
    generateSelector(job);
    job.status = {};
  },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate: validateJob,
  validateCreate: validateJobCreate,
  validateUpdate: validateJobUpdate,
  validateStatusUpdate: validateJobStatusUpdate,
  warnings: ({ metadata, spec }, previous) => [
    ...(previous === undefined ? podNameWarnings(metadata.name) : []),
    ...(previous !== undefined && semanticEqual(previous.spec.template, spec.template) ? [] : podSpecWarnings(spec.template.spec, 'spec.template.spec')),
  ],
  generation: 'spec-change',
  defaultPropagation: 'Orphan',
  selectableFields: { 'status.successful': ({ status }) => String(status?.succeeded ?? 0) },
  columns: [
    nameColumn(),
    textColumn('Status', statusText),
    textColumn('Completions', completionsText),
    textColumn('Duration', durationText),
    ageColumn(),
    ...templateColumns<Job>(({ spec }) => spec.template),
    selectorColumn(({ spec }) => spec.selector),
  ],
});
