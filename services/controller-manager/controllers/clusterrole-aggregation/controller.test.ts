import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterRole } from '#lib/kinds/types/rbac-v1.ts';
import { aggregatedRules } from './controller.ts';

test('an aggregating role is the union of the roles it selects, by name and without doubles', () => {
  const role = (name: string, resource: string, labels: Record<string, string> = { toView: 'true' }): ClusterRole => ({ metadata: { name, labels }, rules: [{ apiGroups: [''], resources: [resource], verbs: ['get'] }] });
  const view: ClusterRole = { metadata: { name: 'view', labels: { toView: 'true' } }, aggregationRule: { clusterRoleSelectors: [{ matchLabels: { toView: 'true' } }] }, rules: [] };
  assert.deepEqual(aggregatedRules(view, [view, role('b', 'pods'), role('a', 'services'), role('c', 'pods'), role('other', 'secrets', {})]).map(({ resources }) => resources), [['services'], ['pods']]);
});
