// What hashes of several members tell: whose data differ from the others'. Members apply the same log, so nobody's may.
// Source: etcd v3.6, server/etcdserver/corrupt.go.
import type { KeyValueHash } from './kv-hash.ts';

export interface PeerHash {
  readonly id: bigint;
  /** undefined: it did not tell. `newest`: the revision that it had then. */
  readonly answer: (KeyValueHash & { readonly newest: number }) | undefined;
}

/** Those that differ from a member that is about to start. A different compaction says nothing. */
export const differing = (own: KeyValueHash, peers: readonly PeerHash[]): bigint[] =>
  peers.filter(({ answer }) => answer !== undefined && answer.hash !== own.hash && answer.compactRevision === own.compactRevision).map(({ id }) => id);

export interface PeriodicCheck {
  readonly self: bigint;
  readonly before: KeyValueHash;
  /** Taken once everything was applied that the peers may have seen. */
  readonly after: KeyValueHash;
  readonly newestAfter: number;
  readonly peers: readonly PeerHash[];
}

export interface Finding {
  readonly member: bigint;
  readonly reason: string;
}

/** What the leader finds; the first one is told to all. */
export function findingsOf({ self, before, after, newestAfter, peers }: PeriodicCheck): Finding[] {
  const findings: Finding[] = [];
  const find = (member: bigint, reason: string): void => { findings.push({ member, reason }); };
  if (after.hash !== before.hash && after.revision === before.revision && after.compactRevision === before.compactRevision) find(self, 'found hash mismatch');
  for (const { id, answer } of peers) {
    if (answer === undefined) continue;
    if (answer.newest > newestAfter) find(id, "revision from follower must be less than or equal to leader's");
    if (answer.compactRevision > after.compactRevision) find(id, "compact revision from follower must be less than or equal to leader's");
    if (answer.compactRevision === before.compactRevision && answer.hash !== before.hash) find(id, 'same compact revision then hashes must match');
  }
  return findings;
}

export interface CompactionVerdict {
  /** No older hash need be looked at. */
  readonly isDone: boolean;
  /** Everybody has this one. */
  readonly isConfirmed: boolean;
  /** 0: nobody knows whose data are wrong. */
  readonly corrupt: readonly bigint[];
}

/** Whoever is not with the majority is corrupt. */
export function judgeCompaction(self: bigint, own: KeyValueHash, peers: readonly PeerHash[]): CompactionVerdict {
  const byHash = new Map<number, bigint[]>([[own.hash, [self]]]);
  let checked = 0;
  for (const { id, answer } of peers) {
    if (answer?.compactRevision !== own.compactRevision) continue;
    checked += 1;
    byHash.set(answer.hash, [...byHash.get(answer.hash) ?? [], id]);
  }
  if (byHash.size === 1) return { isDone: checked === peers.length, isConfirmed: checked === peers.length, corrupt: [] };
  const quorum = Math.floor((peers.length + 1) / 2) + 1;
  const groups = [...byHash.values()];
  const right = groups.find((ids) => ids.length >= quorum);
  return { isDone: true, isConfirmed: false, corrupt: right === undefined ? [0n] : groups.filter((ids) => ids !== right).flat() };
}
