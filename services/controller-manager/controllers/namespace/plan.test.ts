import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namespaceConditions } from './plan.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');

test('an empty namespace has all five conditions False', () => {
  const conditions = namespaceConditions([], { undiscovered: new Map(), errors: [], remaining: new Map(), finalizers: new Map() }, NOW);
  assert.deepEqual(conditions.map(({ type, status, reason }) => `${type}=${status} ${reason ?? ''}`), [
    'NamespaceDeletionDiscoveryFailure=False ResourcesDiscovered', 'NamespaceDeletionGroupVersionParsingFailure=False ParsedGroupVersions',
    'NamespaceDeletionContentFailure=False ContentDeleted', 'NamespaceContentRemaining=False ContentRemoved', 'NamespaceFinalizersRemaining=False ContentHasNoFinalizers',
  ]);
});

test('what remains is named and counted, in order', () => {
  const conditions = namespaceConditions([], {
    undiscovered: new Map(), errors: [], remaining: new Map([['widgets.example.com', 2], ['pods.', 1]]), finalizers: new Map([['example.com/hold', 2]]),
  }, NOW);
  assert.equal(conditions[3]?.message, 'Some resources are remaining: pods. has 1 resource instances, widgets.example.com has 2 resource instances');
  assert.equal(conditions[4]?.message, 'Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances');
});

test('a condition that stays keeps its time', () => {
  const nothing = { undiscovered: new Map<string, string>(), errors: [], remaining: new Map<string, number>(), finalizers: new Map<string, number>() };
  const before = namespaceConditions([], nothing, NOW);
  assert.deepEqual(namespaceConditions(before, nothing, NOW + 60_000), before);
});
