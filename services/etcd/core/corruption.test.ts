// Cases of etcd v3.6, server/etcdserver/corrupt_test.go.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differing, findingsOf, judgeCompaction, type PeerHash } from './corruption.ts';
import { KeptHashes, KeyValueHasher, type KeyValueHash } from './kv-hash.ts';

const hashOf = (hash: number, compactRevision = 1, revision = 5): KeyValueHash => ({ hash, compactRevision, revision });
const peer = (id: bigint, hash: number, compactRevision = 1, newest = 5): PeerHash => ({ id, answer: { ...hashOf(hash, compactRevision), newest } });
const silent = (id: bigint): PeerHash => ({ id, answer: undefined });

test('before it serves a member finds those with other data for the same history', () => {
  assert.deepEqual(differing(hashOf(1), [peer(2n, 1), peer(3n, 9), peer(4n, 9, 2), silent(5n)]), [3n]);
});

test('the leader finds members that are ahead of it, compacted more, or differ', () => {
  const check = (peers: PeerHash[], after = hashOf(2, 1, 6)): unknown => findingsOf({ self: 1n, before: hashOf(1), after, newestAfter: 6, peers }).map(({ member, reason }) => `${member} ${reason}`);
  assert.deepEqual(check([peer(2n, 1), peer(3n, 1), silent(4n)]), []);
  assert.deepEqual(check([peer(2n, 1, 1, 7)]), ["2 revision from follower must be less than or equal to leader's"]);
  assert.deepEqual(check([peer(2n, 9, 2)]), ["2 compact revision from follower must be less than or equal to leader's"]);
  assert.deepEqual(check([peer(2n, 9), peer(3n, 1)]), ['2 same compact revision then hashes must match']);
  assert.deepEqual(check([peer(2n, 9, 0)]), []);
  assert.deepEqual(check([], hashOf(2)), ['1 found hash mismatch']);
});

test('after a compaction whoever is not with the majority is corrupt, and without one it is not known who', () => {
  assert.deepEqual(judgeCompaction(1n, hashOf(1), [peer(2n, 1), peer(3n, 1)]), { isDone: true, isConfirmed: true, corrupt: [] });
  assert.deepEqual(judgeCompaction(1n, hashOf(1), [peer(2n, 1), silent(3n)]), { isDone: false, isConfirmed: false, corrupt: [] });
  assert.deepEqual(judgeCompaction(1n, hashOf(1), [peer(2n, 1), peer(3n, 1, 4)]), { isDone: false, isConfirmed: false, corrupt: [] });
  assert.deepEqual(judgeCompaction(1n, hashOf(1), [peer(2n, 1), peer(3n, 9)]), { isDone: true, isConfirmed: false, corrupt: [3n] });
  assert.deepEqual(judgeCompaction(1n, hashOf(9), [peer(2n, 1), peer(3n, 1)]), { isDone: true, isConfirmed: false, corrupt: [1n] });
  assert.deepEqual(judgeCompaction(1n, hashOf(1), [peer(2n, 2), peer(3n, 3)]), { isDone: true, isConfirmed: false, corrupt: [0n] });
  assert.deepEqual(judgeCompaction(1n, hashOf(1), [peer(2n, 2), silent(3n)]), { isDone: true, isConfirmed: false, corrupt: [0n] });
});

test('the ten newest hashes of compactions are kept', () => {
  const kept = new KeptHashes();
  for (let revision = 1; revision <= 12; revision += 1) kept.keep(hashOf(revision, revision - 1, revision));
  assert.equal(kept.at(2), undefined);
  assert.equal(kept.at(3)?.hash, 3);
  assert.deepEqual(kept.after(10).map(({ revision }) => revision), [12, 11]);
});

test('what a compaction may or may not have removed does not count', () => {
  const change = (revision: number, isDeletion = false): [Buffer, Buffer] => {
    const key = Buffer.alloc(isDeletion ? 18 : 17, isDeletion ? 't' : '_');
    key.writeBigUInt64BE(BigInt(revision), 0);
    key.writeBigUInt64BE(0n, 9);
    return [key, Buffer.from(`record ${revision}`)];
  };
  const hash = (changes: [Buffer, Buffer][], held: number[]): number => {
    const hasher = new KeyValueHasher({ compactRevision: 4, revision: 7, holds: (revision) => held.includes(revision), anythingHolds: () => held.length > 0 });
    for (const [key, record] of changes) hasher.add(key, record);
    return hasher.hash.hash;
  };
  const all = [change(2), change(3), change(4, true), change(5), change(6), change(8)];
  assert.equal(hash(all, [3, 6]), hash([change(3), change(5), change(6)], [3, 6]));
  assert.notEqual(hash(all, [3, 6]), hash(all, [2, 6]));
  assert.equal(hash(all, []), hash([change(2), change(3), change(5), change(6)], []));
});
