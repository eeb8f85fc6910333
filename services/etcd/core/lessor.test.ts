import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHECKPOINT_INTERVAL_MS, Lessor } from './lessor.ts';
import { apply, newStore } from './testing.ts';

function newLessor(store: ReturnType<typeof newStore>): Lessor {
  const lessor = new Lessor(() => store.leases);
  lessor.promote(0, 0);
  return lessor;
}
const grant = (store: ReturnType<typeof newStore>, ID: bigint, TTL: number): void => void apply(store, { type: 'leaseGrant', request: { ID, TTL } });

test('a lease expires after its time, and later when it is renewed', () => {
  const store = newStore();
  const lessor = newLessor(store);
  grant(store, 1n, 10);
  grant(store, 2n, 10);
  lessor.start(1n, 0);
  lessor.start(2n, 0);
  assert.equal(lessor.renew(2n, 9_000), 10);
  assert.deepEqual(lessor.expired(9_999), []);
  assert.deepEqual(lessor.expired(10_000), [1n]);
  assert.equal(lessor.renew(1n, 10_000), undefined);
  assert.equal(lessor.remainingMs(2n, 10_000), 9_000);
});

test('a revoked lease is neither expired nor renewed', () => {
  const store = newStore();
  const lessor = newLessor(store);
  grant(store, 1n, 10);
  lessor.start(1n, 0);
  apply(store, { type: 'leaseRevoke', request: { ID: 1n } });
  assert.equal(lessor.renew(1n, 1), undefined);
  assert.deepEqual(lessor.expired(60_000), []);
});

test('after a restart a lease has the time left of its last checkpoint', () => {
  const store = newStore();
  grant(store, 1n, 3600);
  const before = newLessor(store);
  assert.deepEqual(before.takeCheckpoints(CHECKPOINT_INTERVAL_MS - 1), []);
  const checkpoints = before.takeCheckpoints(CHECKPOINT_INTERVAL_MS);
  assert.deepEqual(checkpoints, [{ ID: 1n, remainingTTL: 3300 }]);
  apply(store, { type: 'leaseCheckpoint', request: { checkpoints } });
  assert.equal(newLessor(store).remainingMs(1n, 0), 3_300_000);
  assert.deepEqual(before.allCheckpoints(600_000), [{ ID: 1n, remainingTTL: 3000 }]);
});

test('only the leader lets leases expire, and a new one gives them the time in which nobody could renew them', () => {
  const store = newStore();
  grant(store, 1n, 10);
  const lessor = new Lessor(() => store.leases);
  assert.deepEqual([lessor.isPrimary, lessor.expired(60_000), lessor.renew(1n, 0)], [false, [], undefined]);
  lessor.promote(50_000, 1_000);
  assert.deepEqual([lessor.expired(60_999), lessor.expired(61_000)], [[], [1n]]);
  lessor.demote();
  assert.deepEqual(lessor.expired(99_000), []);
});
