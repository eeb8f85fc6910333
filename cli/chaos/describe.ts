// The figures of a run as people read them.
import { totalOf } from './memory.ts';
import type { SoakReport } from './soak.ts';

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const mib = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;

export function describe({ seed, brokenForMs, wholeAfterMs, faults, writes, requests, memory, problems }: SoakReport): string[] {
  const kinds = Object.entries(faults.byKind).map(([kind, { made, refused }]) => `${kind} ${made}${refused > 0 ? ` (and ${refused} refused)` : ''}`).join(', ');
  const causes = requests && requests.failed > 0 ? ` (${Object.entries(requests.failures).map(([what, count]) => `${what} ${count}`).join(', ')})` : '';
  return [
    `seed ${seed}: broken for ${seconds(brokenForMs)}, ${wholeAfterMs === null ? 'not whole since' : `whole ${seconds(wholeAfterMs)} after it was healed`}`,
    `faults: ${faults.made} made, ${faults.perMinute} a minute (never fewer than ${faults.fewestInAMinute}), up to ${faults.mostAtOnce} at once: ${kinds}`,
    `writes: ${writes.created} created, ${writes.updated} updated, ${writes.deleted} deleted and acknowledged; ${writes.unanswered} without an answer; at most ${seconds(writes.longestGapMs)} between two answers`,
    ...(requests ? [`requests to a Service: ${requests.requests}, ${requests.failed} failed${causes}; at most ${seconds(requests.longestGapMs)} without an answer for one client, ${seconds(requests.longestOutageMs)} for all`] : []),
    ...(memory ? [`memory: ${mib(totalOf(memory.first))} before, ${mib(totalOf(memory.last))} after`] : []),
    ...problems.map((problem) => `FAILED: ${problem}`),
    ...(problems.length === 0 ? ['nothing acknowledged is lost, what was asked for is there, nothing is left over'] : []),
  ];
}
