// Reads that any member may answer: what they show was the state at one revision, not one from the future, and for one client
// asking one member (as long as that runs) never an older one than before.
import type { LocalRead, Reference, StoreEvent } from './history.ts';
import { writtenAt, type KeyState, type Operation } from './kv-model.ts';

/** Every version of every key. */
export class Timeline {
  private readonly versions = new Map<string, { revision: number; kv: KeyState | undefined }[]>();

  constructor(events: readonly StoreEvent[]) {
    for (const { key, revision, kv } of events) {
      const versions = this.versions.get(key);
      if (versions === undefined) this.versions.set(key, [{ revision, kv }]);
      else versions.push({ revision, kv });
    }
  }

  at(key: string, revision: number): KeyState | undefined {
    const versions = this.versions.get(key) ?? [];
    let low = 0;
    for (let high = versions.length; low < high;) {
      const middle = (low + high) >> 1;
      if ((versions[middle]?.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return versions[low - 1]?.kv;
  }
}

export function checkLocalReads(reads: readonly LocalRead[], operations: readonly Operation[], { events, lastRevision }: Reference): string[] {
  const problems: string[] = [];
  const timeline = new Timeline(events);
  const calls = new Map(operations.flatMap((operation) => {
    const revision = writtenAt(operation);
    return revision === undefined ? [] : [[revision, operation.call] as const];
  }));
  const newest = new Map<string, LocalRead>();
  for (const read of [...reads].sort((a, b) => a.callTick - b.callTick)) {
    const { client, member, incarnation, keys, revision, atRevision = revision } = read;
    const who = `read of ${keys.length} keys by client ${client} at member ${member}, answered at revision ${revision}`;
    keys.forEach((key, at) => {
      const expected = timeline.at(key, atRevision);
      const seen = read.kvs[at];
      if (JSON.stringify(seen) !== JSON.stringify(expected)) problems.push(`${who}: ${key} was ${JSON.stringify(expected)} at ${atRevision}, but was read as ${JSON.stringify(seen)}`);
    });
    if (revision > lastRevision) problems.push(`${who}: there was no such revision`);
    if ((calls.get(revision) ?? 0) > read.returnTick) problems.push(`${who}: that was written later`);
    const chain = `${client}/${member}/${incarnation}`;
    const before = newest.get(chain);
    if (before !== undefined && before.returnTick < read.callTick && revision < before.revision) problems.push(`${who}: it had seen ${before.revision} before`);
    if (before === undefined || revision >= before.revision) newest.set(chain, read);
  }
  return problems;
}

/** What was acknowledged is in the store's history with the revision and value that its client was told. */
export function checkAcknowledged(operations: readonly Operation[], { events }: Reference): string[] {
  const found = new Map(events.map(({ type, key, revision, kv }) => [`${revision} ${key}`, type === 'PUT' ? kv?.value : null]));
  return operations.flatMap(({ request, outcome, client, member }) => {
    if (outcome === undefined) return [];
    const changes = outcome.succeeded ? request.success : request.failure;
    return changes.flatMap((change, at) => {
      if (change.type === 'get' || (change.type === 'delete' && outcome.before[at] === undefined)) return [];
      const stored = found.get(`${outcome.revision} ${change.key}`);
      const written = change.type === 'put' ? change.value : null;
      return stored === written ? [] : [`lost: client ${client} was told by member ${member} that ${change.key} became ${String(written)} at revision ${outcome.revision}; the store's history has ${stored === undefined ? 'nothing' : String(stored)} there`];
    });
  });
}
