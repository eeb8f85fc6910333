// Fills the rules of aggregating ClusterRoles (admin, edit, view) with those of the roles that they select.
// Source: pkg/controller/clusterroleaggregation.
import { objectPath } from '#lib/api-client/client.ts';
import { defineController, done, mapped, type Controller } from '#lib/controller/define-controller.ts';
import type { CacheReader } from '#lib/controller/shared-cache.ts';
import { clusterRoleKind } from '#lib/kinds/rbac/cluster-role.ts';
import type { ClusterRole, PolicyRule } from '#lib/kinds/types/rbac-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';

/** The union of the rules of all selected roles, by name, each rule once. */
export function aggregatedRules(role: Readonly<ClusterRole>, roles: readonly Readonly<ClusterRole>[]): PolicyRule[] {
  const rules: PolicyRule[] = [];
  for (const selector of role.aggregationRule?.clusterRoleSelectors ?? []) {
    const selected = roles.filter(({ metadata }) => metadata.name !== role.metadata.name && labelSelector(selector).matches(metadata.labels));
    selected.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    for (const { rules: theirs } of selected) for (const rule of theirs ?? []) if (!rules.some((known) => semanticEqual(known, rule))) rules.push(rule);
  }
  return rules;
}

const aggregating = (cache: CacheReader): string[] => cache.list(clusterRoleKind).filter(({ aggregationRule }) => aggregationRule !== undefined).map(({ metadata }) => metadata.name);

export const clusterRoleAggregation: Controller = defineController({
  name: 'clusterrole-aggregation-controller',
  queueName: 'ClusterRoleAggregator',
  reconciles: clusterRoleKind,
  alsoWatches: [mapped(clusterRoleKind, (_, cache) => aggregating(cache), { delayMs: 50 })],
  workers: 5,
  async reconcile({ name }, { cache, api }) {
    const role = cache.get(clusterRoleKind, undefined, name);
    if (!role?.aggregationRule) return done;
    const rules = aggregatedRules(role, cache.list(clusterRoleKind));
    if (semanticEqual(rules, role.rules)) return done;
    await api.request('PATCH', `${objectPath(clusterRoleKind, undefined, name)}?fieldManager=clusterrole-aggregation-controller`, { metadata: { uid: role.metadata.uid, resourceVersion: role.metadata.resourceVersion }, rules }, 'application/merge-patch+json');
    return done;
  },
});
