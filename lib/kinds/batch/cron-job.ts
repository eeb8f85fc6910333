// CronJob of batch/v1: Jobs by the clock.
import { cronProblem, isTimeZone } from '#lib/machinery/cron.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { ageOf } from '#lib/machinery/human-duration.ts';
import { byteLength, dnsSubdomainProblems, tooManyCharacters } from '#lib/machinery/names.ts';
import { ageColumn, countColumn, nameColumn, NONE, orNone, selectorColumn, templateColumns, textColumn } from '../columns.ts';
import { podNameWarnings, podSpecWarnings } from '../core/pod-warnings.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { CronJob, CronJobSpec, JobSpec } from '../types/batch-v1.ts';
import { notNegative, oneOf } from '../validation.ts';
import { defaultJobTemplateSpec } from './job.ts';
import { validateJobTemplateSpec } from './job-validation.ts';

function applyDefaults(cronJob: CronJob): void {
  // A body may leave out what the type requires.
  const spec = (cronJob.spec ??= {} as CronJob['spec']);
  spec.concurrencyPolicy ||= 'Allow';
  spec.suspend ??= false;
  spec.successfulJobsHistoryLimit ??= 3;
  spec.failedJobsHistoryLimit ??= 1;
  spec.jobTemplate ??= {};
  spec.jobTemplate.metadata ??= {};
  defaultJobTemplateSpec((spec.jobTemplate.spec ??= {} as JobSpec));
}

/** Of the 63 of a label; the rest is for the time that a job's name ends in. */
const MAX_NAME = 52;

function validateTimeZone(timeZone: string | undefined): FieldError[] {
  if (timeZone === undefined) return [];
  if (timeZone === '') return [invalid('spec.timeZone', timeZone, 'timeZone must be nil or non-empty string')];
  if (timeZone.toLowerCase() === 'local') return [invalid('spec.timeZone', timeZone, 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones')];
  return isTimeZone(timeZone) ? [] : [invalid('spec.timeZone', timeZone, `unknown time zone ${timeZone}`)];
}

function validateSchedule({ schedule, timeZone }: CronJobSpec, mayNameZone: boolean): FieldError[] {
  if (!schedule) return [];
  const problem = cronProblem(schedule);
  const errors = problem === undefined ? [] : [invalid('spec.schedule', schedule, problem)];
  if (schedule.includes('TZ') && timeZone !== undefined) errors.push(invalid('spec.schedule', schedule, 'cannot use both timeZone field and TZ or CRON_TZ in schedule'));
  else if (schedule.includes('TZ') && !mayNameZone) errors.push(invalid('spec.schedule', schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead'));
  return errors;
}

function validate({ spec }: CronJob): FieldError[] {
  const errors: FieldError[] = [
    ...(spec.schedule ? [] : [required('spec.schedule')]),
    ...(['startingDeadlineSeconds', 'successfulJobsHistoryLimit', 'failedJobsHistoryLimit'] as const).flatMap((name) => notNegative(spec[name], `spec.${name}`)),
    ...validateTimeZone(spec.timeZone),
    ...oneOf(spec.concurrencyPolicy, ['Allow', 'Forbid', 'Replace'], 'spec.concurrencyPolicy'),
  ];
  const job = spec.jobTemplate.spec;
  if (job === undefined) return errors;
  errors.push(...validateJobTemplateSpec(job, 'spec.jobTemplate.spec'));
  if (job.selector !== undefined) errors.push(invalid('spec.jobTemplate.spec.selector', job.selector, '`selector` will be auto-generated'));
  if (job.manualSelector === true) errors.push(notSupported('spec.jobTemplate.spec.manualSelector', true, ['nil', 'false']));
  return errors;
}

function warnings({ metadata, spec }: CronJob, previous?: CronJob): string[] {
  const template = spec.jobTemplate.spec?.template;
  const texts = previous !== undefined && semanticEqual(previous.spec.jobTemplate.spec?.template, template) ? [] : podSpecWarnings(template?.spec, 'spec.jobTemplate.spec.template.spec');
  const zone = spec.schedule?.includes('TZ') === true ? ['CRON_TZ or TZ used in spec.schedule is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details'] : [];
  return [...(previous === undefined ? podNameWarnings(metadata.name) : []), ...texts, ...zone];
}

const SUSPEND_TEXT = new Map<boolean | undefined, string>([[true, 'True'], [false, 'False'], [undefined, '<unset>']]);

export const cronJobKind = defineKind<CronJob>({
  group: 'batch', version: 'v1', kind: 'CronJob', plural: 'cronjobs', singular: 'cronjob', scope: 'Namespaced',
  schema: 'io.k8s.api.batch.v1.CronJob',
  shortNames: ['cj'],
  categories: ['all'],
  storageVersionHash: 'sd5LIXh4Fjs=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForCreate: (cronJob) => { cronJob.status = {}; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate,
  validateCreate: ({ metadata: { name }, spec }) => [
    ...(byteLength(name) > MAX_NAME && dnsSubdomainProblems(name).length === 0 ? [invalid('metadata.name', name, tooManyCharacters(MAX_NAME))] : []),
    ...validateSchedule(spec, false),
  ],
  validateUpdate: ({ spec: next }, { spec: previous }) => validateSchedule(next, previous.schedule?.includes('TZ') === true),
  warnings,
  generation: 'spec-change',
  columns: [
    nameColumn(),
    textColumn('Schedule', ({ spec }) => spec.schedule ?? ''),
    textColumn('Timezone', ({ spec }) => orNone(spec.timeZone)),
    { name: 'Suspend', type: 'boolean', value: ({ spec }) => SUSPEND_TEXT.get(spec.suspend) ?? '' },
    countColumn('Active', ({ status }) => status?.active?.length),
    textColumn('Last Schedule', ({ status }, nowMs) => (status?.lastScheduleTime === undefined ? NONE : ageOf(status.lastScheduleTime, nowMs))),
    ageColumn(),
    ...templateColumns<CronJob>(({ spec }) => spec.jobTemplate.spec?.template),
    selectorColumn(({ spec }) => spec.jobTemplate.spec?.selector),
  ],
});
