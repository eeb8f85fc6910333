// What the conditions of a namespace say while it is emptied. Source: namespace/deletion/status_condition_utils.go.
import type { NamespaceCondition } from '#lib/kinds/types/core-v1.ts';
import { formatTime } from '#lib/machinery/time.ts';

export interface Emptying {
  /** Group versions that discovery could not tell about, with reasons. */
  readonly undiscovered: ReadonlyMap<string, string>;
  /** Why content could not be deleted. */
  readonly errors: readonly string[];
  /** `pods.` or `deployments.apps` to the number left. */
  readonly remaining: ReadonlyMap<string, number>;
  /** Finalizer to the number of objects that have it. */
  readonly finalizers: ReadonlyMap<string, number>;
}

const listed = (counts: ReadonlyMap<string, number>, text: (name: string, count: number) => string): string =>
  [...counts].filter(([, count]) => count > 0).map(([name, count]) => text(name, count)).sort().join(', ');

/** All five conditions, with the times of those that did not change. */
export function namespaceConditions(previous: readonly NamespaceCondition[], { undiscovered, errors, remaining, finalizers }: Emptying, nowMs: number): NamespaceCondition[] {
  const remainingText = listed(remaining, (resource, count) => `${resource} has ${count} resource instances`);
  const finalizersText = listed(finalizers, (finalizer, count) => `${finalizer} in ${count} resource instances`);
  const sortedErrors = [...errors].sort();
  const undiscoveredText = [...undiscovered].map(([version, reason]) => `${version}: ${reason}`).join(', ');
  const rows: [string, boolean, string, string][] = [
    undiscovered.size > 0
      ? ['NamespaceDeletionDiscoveryFailure', true, 'DiscoveryFailed', `Discovery failed for some groups, ${undiscovered.size} failing: unable to retrieve the complete list of server APIs: ${undiscoveredText}`]
      : ['NamespaceDeletionDiscoveryFailure', false, 'ResourcesDiscovered', 'All resources successfully discovered'],
    ['NamespaceDeletionGroupVersionParsingFailure', false, 'ParsedGroupVersions', 'All legacy kube types successfully parsed'],
    sortedErrors.length > 0
      ? ['NamespaceDeletionContentFailure', true, 'ContentDeletionFailed', `Failed to delete all resource types, ${sortedErrors.length} remaining: ${sortedErrors.join(', ')}`]
      : ['NamespaceDeletionContentFailure', false, 'ContentDeleted', 'All content successfully deleted, may be waiting on finalization'],
    remainingText !== ''
      ? ['NamespaceContentRemaining', true, 'SomeResourcesRemain', `Some resources are remaining: ${remainingText}`]
      : ['NamespaceContentRemaining', false, 'ContentRemoved', 'All content successfully removed'],
    finalizersText !== ''
      ? ['NamespaceFinalizersRemaining', true, 'SomeFinalizersRemain', `Some content in the namespace has finalizers remaining: ${finalizersText}`]
      : ['NamespaceFinalizersRemaining', false, 'ContentHasNoFinalizers', 'All content-preserving finalizers finished'],
  ];
  const ours = new Set(rows.map(([type]) => type));
  return [...previous.filter(({ type }) => !ours.has(type)), ...rows.map(([type, isTrue, reason, message]) => {
    const status = isTrue ? 'True' : 'False';
    const before = previous.find((condition) => condition.type === type);
    const isSame = before?.status === status && before.reason === reason && before.message === message;
    return isSame ? before : { type, status, reason, message, lastTransitionTime: formatTime(nowMs) };
  })];
}
