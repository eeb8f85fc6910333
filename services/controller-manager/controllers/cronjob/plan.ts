// Which run of a CronJob is due, and when the next one is. Source: pkg/controller/cronjob/utils.go.
import type { CronSchedule, EverySchedule } from '#lib/machinery/cron.ts';
import type { CronJob } from '#lib/kinds/types/batch-v1.ts';
import type { Job } from '#lib/kinds/types/batch-v1.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { createdMs } from '../../core/pod-state.ts';
import { nextTime, offsetMinutes } from './next-time.ts';

/** More missed runs than this are worth a warning: the clock may be wrong. */
const MANY_MISSED = 100;
/** The next look is a little late, so that rounding does not make it early. Source: nextScheduleDelta. */
const NEXT_DELTA_MS = 100;

export class InvalidSchedule extends Error {
  override readonly name = 'InvalidSchedule';
}

interface Recent {
  readonly earliestMs: number;
  /** The last time that passed since; undefined when none did. */
  readonly recentMs: number | undefined;
  readonly hasMissedMany: boolean;
}

function recent(cronJob: Readonly<CronJob>, schedule: CronSchedule | EverySchedule, nowMs: number, withDeadline: boolean): Recent {
  const { timeZone = 'UTC', startingDeadlineSeconds } = cronJob.spec;
  let earliestMs = parseTimeOrUndefined(cronJob.status?.lastScheduleTime ?? '') ?? createdMs(cronJob);
  if (withDeadline && startingDeadlineSeconds !== undefined) earliestMs = Math.max(earliestMs, nowMs - startingDeadlineSeconds * 1000);
  const first = nextTime(schedule, earliestMs, timeZone);
  if (first === undefined || nowMs < first) return { earliestMs, recentMs: undefined, hasMissedMany: false };
  const second = nextTime(schedule, first, timeZone);
  if (second === undefined || nowMs < second) return { earliestMs, recentMs: first, hasMissedMany: false };
  const periodMs = Math.round((second - first) / 1000) * 1000;
  if (periodMs < 1000) throw new InvalidSchedule('time difference between two schedules is less than 1 second');
  const missed = Math.floor((nowMs - first) / periodMs) + 1;
  // Not through every one of them: there may be years of minutes.
  let recentMs: number | undefined;
  for (let time = nextTime(schedule, first + (missed - 2) * periodMs, timeZone); time !== undefined && time <= nowMs; time = nextTime(schedule, time, timeZone)) recentMs = time;
  return { earliestMs, recentMs, hasMissedMany: missed > MANY_MISSED };
}

export interface DueRun {
  readonly dueMs: number | undefined;
  readonly hasMissedMany: boolean;
}

/** The run to start now, if any. */
export function dueRun(cronJob: Readonly<CronJob>, schedule: CronSchedule | EverySchedule, nowMs: number): DueRun {
  const { recentMs, hasMissedMany } = recent(cronJob, schedule, nowMs, true);
  return { dueMs: recentMs, hasMissedMany };
}

/** Milliseconds until the next run; undefined when there is none. */
export function untilNextRun(cronJob: Readonly<CronJob>, schedule: CronSchedule | EverySchedule, nowMs: number): number | undefined {
  const { earliestMs, recentMs } = recent(cronJob, schedule, nowMs, false);
  const next = nextTime(schedule, recentMs ?? earliestMs, cronJob.spec.timeZone ?? 'UTC');
  return next === undefined ? undefined : Math.max(next + NEXT_DELTA_MS - nowMs, NEXT_DELTA_MS);
}

export const isTooLate = ({ spec }: Readonly<CronJob>, dueMs: number, nowMs: number): boolean =>
  spec.startingDeadlineSeconds !== undefined && dueMs + spec.startingDeadlineSeconds * 1000 < nowMs;

/** One name per scheduled time: the same run cannot be started twice. */
export const jobNameFor = ({ metadata }: Readonly<CronJob>, dueMs: number): string => `${metadata.name}-${Math.floor(dueMs / 60_000)}`;

/** RFC 3339 with the zone's own offset. */
export function zonedTime(timeMs: number, timeZone: string | undefined): string {
  const offset = offsetMinutes(timeMs, timeZone ?? 'UTC');
  const local = new Date(timeMs + offset * 60_000).toISOString().slice(0, 19);
  const two = (number: number) => String(number).padStart(2, '0');
  return offset === 0 ? `${local}Z` : `${local}${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
}

/** `Mon, 02 Jan 2006 15:04:05 +0000` */
export const rfc1123 = (timeMs: number): string => new Date(timeMs).toUTCString().replace('GMT', '+0000');

/** Jobs beyond the history limit, oldest start first. */
export function beyondHistory(jobs: readonly Readonly<Job>[], limit: number | undefined): Readonly<Job>[] {
  if (limit === undefined || jobs.length <= limit) return [];
  const startOf = ({ status }: Readonly<Job>) => parseTimeOrUndefined(status?.startTime ?? '') ?? Infinity;
  const sorted = [...jobs].sort((left, right) => (startOf(left) === startOf(right) ? (left.metadata.name < right.metadata.name ? -1 : 1) : startOf(left) - startOf(right)));
  return sorted.slice(0, sorted.length - limit);
}
