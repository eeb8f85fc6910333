// Schedules of CronJobs: five fields or a descriptor, as the library robfig/cron reads them, with its error texts.

interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

const MINUTES: Bounds = { min: 0, max: 59 };
const HOURS: Bounds = { min: 0, max: 23 };
const DAYS_OF_MONTH: Bounds = { min: 1, max: 31 };
const MONTHS_OF_YEAR: Bounds = { min: 1, max: 12, names: MONTHS };
const DAYS_OF_WEEK: Bounds = { min: 0, max: 6, names: DAYS };

export interface CronSchedule {
  readonly kind: 'fields';
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly daysOfMonth: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly daysOfWeek: ReadonlySet<number>;
  /** A day has to satisfy both lists of days when one is `*`, else one of them. */
  readonly anyDayOfMonth: boolean;
  readonly anyDayOfWeek: boolean;
  /** From a prefix `TZ=` or `CRON_TZ=`. */
  readonly timeZone?: string;
}
export interface EverySchedule {
  readonly kind: 'every';
  readonly seconds: number;
  readonly timeZone?: string;
}

export class CronError extends Error {
  override readonly name = 'CronError';
}

const DESCRIPTORS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *', '@annually': '0 0 1 1 *', '@monthly': '0 0 1 * *', '@weekly': '0 0 * * 0', '@daily': '0 0 * * *', '@midnight': '0 0 * * *', '@hourly': '0 * * * *',
};

const LARGEST_INTEGER = 2 ** 63;

function integerOf(text: string): number {
  const fail = (why: string): CronError => new CronError(`failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: ${why}`);
  if (!/^[+-]?\d+$/.test(text)) throw fail('invalid syntax');
  const number = Number(text);
  if (Math.abs(number) >= LARGEST_INTEGER) throw fail('value out of range');
  if (number < 0) throw new CronError(`negative number (${number}) not allowed: ${text}`);
  return number;
}

function integerOrName(text: string, { min, names }: Bounds): number {
  const index = names?.indexOf(text.toLowerCase()) ?? -1;
  return index < 0 ? integerOf(text) : index + min;
}

interface Range {
  readonly values: readonly number[];
  readonly isStar: boolean;
}

/** `*`, `5`, `1-5`, each with an optional `/step`. */
function rangeOf(text: string, bounds: Bounds): Range {
  const [span = '', stepText, ...moreSteps] = text.split('/');
  const [lowText = '', highText, ...moreHyphens] = span.split('-');
  let isStar = lowText === '*' || lowText === '?';
  let low = bounds.min;
  let high = bounds.max;
  if (!isStar) {
    low = integerOrName(lowText, bounds);
    if (moreHyphens.length > 0) throw new CronError(`too many hyphens: ${text}`);
    high = highText === undefined ? low : integerOrName(highText, bounds);
  }
  if (moreSteps.length > 0) throw new CronError(`too many slashes: ${text}`);
  let step = 1;
  if (stepText !== undefined) {
    step = integerOf(stepText);
    if (highText === undefined) high = bounds.max;
    if (step > 1) isStar = false;
  }
  if (low < bounds.min) throw new CronError(`beginning of range (${low}) below minimum (${bounds.min}): ${text}`);
  if (high > bounds.max) throw new CronError(`end of range (${high}) above maximum (${bounds.max}): ${text}`);
  if (low > high) throw new CronError(`beginning of range (${low}) beyond end of range (${high}): ${text}`);
  if (step === 0) throw new CronError(`step of range should be a positive number: ${text}`);
  const values: number[] = [];
  for (let value = low; value <= high; value += step) values.push(value);
  return { values, isStar };
}

function fieldOf(text: string, bounds: Bounds): { readonly values: ReadonlySet<number>; readonly isStar: boolean } {
  const ranges = text.split(',').filter((part) => part !== '').map((part) => rangeOf(part, bounds));
  return { values: new Set(ranges.flatMap(({ values }) => values)), isStar: ranges.some(({ isStar }) => isStar) };
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { ns: 1e-9, us: 1e-6, 'µs': 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };

/** A Go duration such as `1h30m`; whole seconds, at least one. */
function everySeconds(descriptor: string, text: string): number {
  const parts = [...text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)/g)];
  const isWhole = parts.length > 0 && parts.map(([whole]) => whole).join('') === text.replace(/^[+-]/, '');
  if (!isWhole) throw new CronError(`failed to parse duration ${descriptor}: time: invalid duration ${JSON.stringify(text)}`);
  const sign = text.startsWith('-') ? -1 : 1;
  const seconds = sign * parts.reduce((sum, [, amount = '0', unit = 's']) => sum + Number(amount) * (UNIT_SECONDS[unit] ?? 0), 0);
  return Math.max(1, Math.floor(seconds));
}

/** Throws CronError. */
export function parseCron(schedule: string): CronSchedule | EverySchedule {
  if (schedule === '') throw new CronError('empty spec string');
  let text = schedule;
  let zone: { timeZone?: string } = {};
  if (text.startsWith('TZ=') || text.startsWith('CRON_TZ=')) {
    const space = text.indexOf(' ');
    if (space < 0) throw new CronError(`provided bad location ${text.slice(text.indexOf('=') + 1)}: unknown time zone`);
    zone = { timeZone: text.slice(text.indexOf('=') + 1, space) };
    if (!isTimeZone(zone.timeZone ?? '')) throw new CronError(`provided bad location ${zone.timeZone ?? ''}: unknown time zone ${zone.timeZone ?? ''}`);
    text = text.slice(space).trim();
  }
  if (text.startsWith('@every ')) return { kind: 'every', seconds: everySeconds(text, text.slice('@every '.length)), ...zone };
  if (text.startsWith('@')) {
    const fields = DESCRIPTORS[text];
    if (fields === undefined) throw new CronError(`unrecognized descriptor: ${text}`);
    text = fields;
  }
  const fields = text.split(/\s+/).filter((field) => field !== '');
  if (fields.length !== 5) throw new CronError(`expected exactly 5 fields, found ${fields.length}: [${fields.join(' ')}]`);
  const [minute = '', hour = '', dayOfMonth = '', month = '', dayOfWeek = ''] = fields;
  const [minutes, hours, daysOfMonth, months, daysOfWeek] = [fieldOf(minute, MINUTES), fieldOf(hour, HOURS), fieldOf(dayOfMonth, DAYS_OF_MONTH), fieldOf(month, MONTHS_OF_YEAR), fieldOf(dayOfWeek, DAYS_OF_WEEK)];
  return {
    kind: 'fields', minutes: minutes.values, hours: hours.values, daysOfMonth: daysOfMonth.values, months: months.values, daysOfWeek: daysOfWeek.values,
    anyDayOfMonth: daysOfMonth.isStar, anyDayOfWeek: daysOfWeek.isStar, ...zone,
  };
}

/** What is wrong with a schedule; undefined when nothing is. */
export function cronProblem(schedule: string): string | undefined {
  try {
    parseCron(schedule);
    return undefined;
  } catch (error) {
    if (error instanceof CronError) return error.message;
    throw error;
  }
}

/** A name of the IANA data base. */
export function isTimeZone(name: string): boolean {
  // Offsets such as `+05:00`, which some engines take, are no names.
  if (!/^[A-Za-z][A-Za-z0-9_+\-/]*$/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
