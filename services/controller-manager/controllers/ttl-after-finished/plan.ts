// How long a finished Job may stay.
import type { Job } from '#lib/kinds/types/batch-v1.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { jobCondition } from '../job/plan.ts';

/** Milliseconds until the Job goes, 0 or less: now; undefined when it is not finished, stays for ever or goes already. */
export function leftMs(job: Readonly<Job>, nowMs: number): number | undefined {
  const end = jobCondition(job, 'Complete') ?? jobCondition(job, 'Failed');
  const ttlSeconds = job.spec?.ttlSecondsAfterFinished;
  const endedMs = parseTimeOrUndefined(end?.lastTransitionTime ?? '');
  if (ttlSeconds === undefined || endedMs === undefined || job.metadata.deletionTimestamp !== undefined) return undefined;
  return endedMs + ttlSeconds * 1000 - nowMs;
}
