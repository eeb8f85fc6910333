// Times as the API writes them: RFC 3339 in UTC, whole seconds (meta/v1 Time) or microseconds (MicroTime).
// Within the code base a time is a number of milliseconds since the epoch.

const RFC3339 = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})([.,]\d+)?(Z|[+-]\d{2}:\d{2})$/;

/** `2006-01-02T15:04:05Z`; fractions of a second are cut off. */
export function formatTime(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19)}Z`;
}
/** `2006-01-02T15:04:05.000000Z` */
export function formatMicroTime(timeMs: number): string {
  const micros = Math.round((timeMs - Math.floor(timeMs / 1000) * 1000) * 1000);
  return `${new Date(timeMs).toISOString().slice(0, 19)}.${String(micros).padStart(6, '0')}Z`;
}

/** Milliseconds since the epoch, with fractions of a millisecond kept, or undefined when the text is no RFC 3339 time. */
export function parseTimeOrUndefined(text: string): number | undefined {
  const match = RFC3339.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone = 'Z'] = match;
  const wholeMs = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  const date = new Date(wholeMs);
  // Date.UTC carries 31 February over into March; Go refuses it.
  if (date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day) || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const fractionMs = fraction === undefined ? 0 : Number(`0.${fraction.slice(1)}`) * 1000;
  const offsetMinutes = zone === 'Z' ? 0 : (zone.startsWith('-') ? -1 : 1) * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6)));
  return wholeMs - offsetMinutes * 60_000 + fractionMs;
}

/** As Go's time.Parse(time.RFC3339, text); throws with its text. */
export function parseTime(text: string): number {
  const timeMs = parseTimeOrUndefined(text);
  if (timeMs === undefined) {
    throw new Error(`parsing time ${JSON.stringify(text)} as "2006-01-02T15:04:05Z07:00": cannot parse ${JSON.stringify(text)} as "2006"`);
  }
  return timeMs;
}
