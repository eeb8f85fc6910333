// Durations of drills: `1m30s`, and sums with times of the cluster, `${node-monitor-grace-period} + 10s`.

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
export const LONGEST_MS = 3_600_000;

/** Times by name, in milliseconds. */
export type ClusterTimes = ReadonlyMap<string, number>;

/** Milliseconds; throws RangeError for a text that is none, an unknown time, or one beyond an hour or below nothing. */
export function durationMs(text: string, times: ClusterTimes): number {
  let total = 0;
  for (const [, sign, term] of ` + ${text}`.matchAll(/ ([+-]) (\S+)/g)) total += (sign === '-' ? -1 : 1) * termMs(term ?? '', times);
  if (total < 0 || total > LONGEST_MS) throw new RangeError(`"${text}" is ${total / 1000} s: a duration of a drill is between 0 and 1h`);
  return total;
}

function termMs(term: string, times: ClusterTimes): number {
  const name = /^\$\{(.+)\}$/.exec(term)?.[1];
  if (name !== undefined) {
    const known = times.get(name);
    if (known === undefined) throw new RangeError(`no time of the cluster is called "${name}"; there are ${[...times.keys()].join(', ')}`);
    return known;
  }
  if (!/^(0|(\d+(\.\d+)?(ms|s|m|h))+)$/.test(term)) throw new RangeError(`"${term}" is no duration such as 30s, 1m30s or 500ms`);
  let sum = 0;
  for (const [, amount, unit] of term.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) sum += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
  return sum;
}

/** For people: 0.4 s, 12.3 s, 3m12s. */
export function inSeconds(durationInMs: number): string {
  if (durationInMs < 100_000) return `${(durationInMs / 1000).toFixed(1)} s`;
  const seconds = Math.round(durationInMs / 1000);
  return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`;
}
