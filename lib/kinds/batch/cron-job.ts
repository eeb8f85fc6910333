// CronJob of batch/v1: Jobs by the clock.
import { ageOf } from '#lib/machinery/human-duration.ts';
import { ageColumn, countColumn, nameColumn, NONE, orNone, selectorColumn, templateColumns, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { CronJob, JobSpec } from '../types/batch-v1.ts';
import { defaultJobTemplateSpec } from './job.ts';

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
