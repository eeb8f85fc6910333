// Leases: a key stays for the time to live after the newest renewal that was acknowledged, and goes soon after the last that can
// have counted. Locks: at no time two holders, and never one that comes before a later one again.
import type { FaultRecord, Hold, LeaseRecord, Reference, WatchRecord } from './history.ts';

/**
 * How long a key may outlive its lease: leases are looked at twice a second, revoking goes through the log, and members of a
 * cluster elect a leader, who gives every lease its whole time again. Milliseconds.
 */
const LATE_MS = 6_000;

/** Members tell time in whole milliseconds of a clock of their own. */
const CLOCK_MS = 5;

/** When a deletion was first seen by any watch. */
function firstSeen(watches: readonly WatchRecord[]): Map<string, number> {
  const seen = new Map<string, number>();
  for (const { streams } of watches) {
    for (const { messages } of streams) {
      for (const { ms, events } of messages) {
        for (const { type, key, revision } of events) {
          const name = `${revision} ${key}`;
          if (type === 'DELETE') seen.set(name, Math.min(seen.get(name) ?? Infinity, ms));
        }
      }
    }
  }
  return seen;
}

export function checkLeases(leases: readonly LeaseRecord[], watches: readonly WatchRecord[], faults: readonly FaultRecord[], { events }: Reference, endMs: number): string[] {
  const seen = firstSeen(watches);
  const deletions = new Map(events.flatMap(({ type, key, revision }) => (type === 'DELETE' ? [[key, revision] as const] : [])));
  const attached = new Set(events.flatMap(({ type, key }) => (type === 'PUT' ? [key] : [])));
  return leases.flatMap(({ id, key, ttlMs, renewals, attachedRevision, revokeCallMs = Infinity }) => {
    if (!attached.has(key)) return attachedRevision === undefined ? [] : [`lease ${id}: its key was never there`];
    const deletion = deletions.get(key);
    const goneMs = deletion === undefined ? Infinity : seen.get(`${deletion} ${key}`) ?? Infinity;
    // One that was asked for after the key was gone says nothing of before; one that was acknowledged then is an error by itself.
    const acknowledged = renewals.filter(({ acknowledged: isKept }) => isKept);
    const livesUntilMs = Math.max(...acknowledged.map(({ callMs }) => callMs)) + ttlMs;
    const problems: string[] = [];
    if (goneMs + CLOCK_MS < Math.min(livesUntilMs, revokeCallMs)) problems.push(`lease ${id}: its key was gone at ${Math.round(goneMs)} ms, though it was renewed to live until ${Math.round(livesUntilMs)} ms`);
    const mayLiveUntilMs = Math.max(...renewals.map(({ callMs, returnMs }) => (returnMs === Infinity ? callMs + ttlMs : returnMs))) + ttlMs;
    const disturbedMs = Math.max(0, ...faults.filter(({ startMs }) => startMs < Math.min(goneMs, endMs)).map((fault) => Math.min(fault.endMs, goneMs, endMs) + ttlMs));
    const latestMs = Math.max(mayLiveUntilMs, disturbedMs) + LATE_MS;
    if (Math.min(goneMs, endMs) > latestMs) problems.push(`lease ${id} (${ttlMs} ms): its key was there until ${goneMs === Infinity ? 'the end' : `${Math.round(goneMs)} ms`}, though nothing renewed it after ${Math.round(mayLiveUntilMs - ttlMs)} ms and nothing was broken after ${Math.round(disturbedMs - ttlMs)} ms`);
    return problems;
  });
}

export function checkLocks(holds: readonly Hold[], { events }: Reference, lockedKey: string): string[] {
  const problems: string[] = [];
  let last: Hold | undefined;
  for (const hold of [...holds].filter(({ fromMs, untilMs }) => fromMs < untilMs).sort((a, b) => a.fromMs - b.fromMs)) {
    if (last !== undefined && hold.fromMs < last.untilMs) problems.push(`two holders of a lock: ${last.holder} (fence ${last.fence}) from ${Math.round(last.fromMs)} to ${Math.round(last.untilMs)} ms, ${hold.holder} (fence ${hold.fence}) from ${Math.round(hold.fromMs)} ms`);
    if (last === undefined || hold.untilMs > last.untilMs) last = hold;
  }
  let fence = 0;
  for (const { key, kv, revision } of events) {
    if (key !== lockedKey || kv === undefined) continue;
    if (Number(kv.value) < fence) problems.push(`the holder with fence ${kv.value} wrote at revision ${revision}, after that with fence ${fence}`);
    fence = Math.max(fence, Number(kv.value));
  }
  return problems;
}
