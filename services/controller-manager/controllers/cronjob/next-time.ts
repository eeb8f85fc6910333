// When a schedule is due next, by the wall clock of a time zone. A minute that the clock skips in spring is skipped, one
// that comes twice in autumn counts twice, as in robfig/cron.
import type { CronSchedule, EverySchedule } from '#lib/machinery/cron.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** A schedule without any time in so many years, such as 31 February, is never due. Source: robfig/cron. */
const YEARS_AHEAD = 5;

interface WallClock {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly day: number;
  /** 0: Sunday. */
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

/** Minutes that the zone's clocks are ahead of UTC at this time. */
export function offsetMinutes(timeMs: number, timeZone: string): number {
  if (timeZone === 'UTC') return 0;
  let formatter = formatters.get(timeZone);
  if (!formatter) formatters.set(timeZone, formatter = new Intl.DateTimeFormat('en-US', { timeZone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' }));
  const parts: Record<string, number> = {};
  for (const { type, value } of formatter.formatToParts(timeMs)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Math.round((Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(timeMs / SECOND) * SECOND) / MINUTE);
}

function wallClock(timeMs: number, timeZone: string): WallClock {
  const local = new Date(timeMs + offsetMinutes(timeMs, timeZone) * MINUTE);
  return { year: local.getUTCFullYear(), month: local.getUTCMonth() + 1, day: local.getUTCDate(), weekday: local.getUTCDay(), hour: local.getUTCHours(), minute: local.getUTCMinutes() };
}

function isDay({ daysOfMonth, daysOfWeek, anyDayOfMonth, anyDayOfWeek }: CronSchedule, { day, weekday }: WallClock): boolean {
  const [byMonth, byWeek] = [daysOfMonth.has(day), daysOfWeek.has(weekday)];
  return anyDayOfMonth || anyDayOfWeek ? byMonth && byWeek : byMonth || byWeek;
}

/** The first time after `afterMs`; undefined when there is none. */
export function nextTime(schedule: CronSchedule | EverySchedule, afterMs: number, timeZone: string): number | undefined {
  if (schedule.kind === 'every') return Math.floor(afterMs / SECOND) * SECOND + schedule.seconds * SECOND;
  const zone = schedule.timeZone ?? timeZone;
  let timeMs = Math.floor(afterMs / MINUTE) * MINUTE + MINUTE;
  const lastYear = wallClock(timeMs, zone).year + YEARS_AHEAD;
  for (;;) {
    const clock = wallClock(timeMs, zone);
    if (clock.year > lastYear) return undefined;
    if (!schedule.months.has(clock.month) || !isDay(schedule, clock)) {
      // To the last hour of the day, then over midnight: no change of the clock can make us miss a day that way.
      timeMs += clock.hour < 22 ? (22 - clock.hour) * HOUR : HOUR - clock.minute * MINUTE;
    } else if (!schedule.hours.has(clock.hour)) {
      timeMs += HOUR - clock.minute * MINUTE;
    } else if (!schedule.minutes.has(clock.minute)) {
      timeMs += MINUTE;
    } else {
      return timeMs;
    }
  }
}
