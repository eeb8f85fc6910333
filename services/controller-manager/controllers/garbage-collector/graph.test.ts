import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectMeta } from '#lib/kinds/types/meta-v1.ts';
import { blockingDependents, Graph } from './graph.ts';

function watched() {
  const attempts: string[] = [];
  const graph = new Graph({
    attemptToDelete: ({ identity }) => attempts.push(`delete ${identity.uid}`),
    attemptToOrphan: ({ identity }) => attempts.push(`orphan ${identity.uid}`),
    invalidOwner: ({ identity }, { uid }) => attempts.push(`invalid ${identity.uid}->${uid}`),
  });
  const object = (uid: string, owners: string[] = [], metadata: Partial<ObjectMeta> = {}) => ({
    apiVersion: 'v1', kind: 'Thing',
    metadata: { uid, name: uid, namespace: 'default', ownerReferences: owners.map((owner) => ({ apiVersion: 'v1', kind: 'Thing', name: owner, uid: owner, controller: true, blockOwnerDeletion: true })), ...metadata },
  });
  const take = (): string[] => attempts.splice(0);
  return { graph, object, take };
}

test('a dependent of a known owner needs no look', () => {
  const { graph, object, take } = watched();
  graph.observe(object('owner'));
  graph.observe(object('child', ['owner']));
  assert.deepEqual(take(), []);
});

test('an owner never seen gets a look, for it may be gone', () => {
  const { graph, object, take } = watched();
  graph.observe(object('child', ['owner']));
  assert.deepEqual(take(), ['delete owner']);
  assert.equal(graph.get('owner')?.isObserved, false);
});

test('when the owner goes its dependents are looked at, and it is remembered as absent', () => {
  const { graph, object, take } = watched();
  graph.observe(object('owner'));
  graph.observe(object('child', ['owner']));
  graph.remove('owner');
  assert.deepEqual(take(), ['delete child']);
  assert.equal(graph.isKnownAbsent('owner'), true);
});

test('foreground deletion looks at all dependents, and at the owner each time one goes', () => {
  const { graph, object, take } = watched();
  graph.observe(object('owner'));
  graph.observe(object('child', ['owner']));
  graph.observe(object('owner', [], { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['foregroundDeletion'] }));
  assert.deepEqual(take(), ['delete child', 'delete owner']);
  const owner = graph.get('owner');
  assert.ok(owner);
  assert.deepEqual(blockingDependents(owner).map(({ identity }) => identity.uid), ['child']);
  graph.remove('child');
  assert.deepEqual(take(), ['delete owner']);
  assert.deepEqual(blockingDependents(owner), []);
});

test('the finalizer orphan asks for the references to be taken away', () => {
  const { graph, object, take } = watched();
  graph.observe(object('owner', [], { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['orphan'] }));
  assert.deepEqual(take(), ['orphan owner']);
});

test('a reference taken away no longer ties, and frees an owner that waits', () => {
  const { graph, object, take } = watched();
  graph.observe(object('owner', [], { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['foregroundDeletion'] }));
  graph.observe(object('child', ['owner']));
  take();
  graph.observe(object('child'));
  assert.deepEqual(take(), ['delete owner']);
  assert.equal(graph.get('owner')?.dependents.size, 0);
});

test('an owner in another namespace is invalid, and its child deserves a look', () => {
  const { graph, object, take } = watched();
  graph.observe(object('owner', [], { namespace: 'other' }));
  graph.observe(object('child', ['owner']));
  assert.deepEqual(take(), ['invalid child->owner', 'delete child']);
});
