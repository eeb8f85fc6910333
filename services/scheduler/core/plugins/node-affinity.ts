// nodeSelector and node affinity, required and preferred.
import { matchesNodeSelectorTerm, podAllowsNode } from '#lib/machinery/selectors.ts';
import type { NodeSelectorTerm, Pod } from '#lib/kinds/types/core-v1.ts';
import { normalizeToMax, unresolvable, type Plugin } from '../framework.ts';

/** Names that a term allows by matchFields; undefined when it does not restrict them. */
function namesOf({ matchFields }: NodeSelectorTerm): string[] | undefined {
  const byName = (matchFields ?? []).filter(({ key, operator }) => key === 'metadata.name' && operator === 'In');
  if (byName.length === 0) return undefined;
  return (byName[0]?.values ?? []).filter((name) => byName.every(({ values }) => values?.includes(name)));
}

/** The only nodes that come into question when every term names its nodes, as those of DaemonSet pods do. */
function namedNodes(pod: Pod): ReadonlySet<string> | undefined {
  const terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  if (terms.length === 0) return undefined;
  const names = new Set<string>();
  for (const term of terms) {
    const own = namesOf(term);
    if (own === undefined) return undefined;
    for (const name of own) names.add(name);
  }
  return names;
}

export const nodeAffinity: Plugin = {
  name: 'NodeAffinity',
  retryOn: ['Node/Add', 'Node/UpdateLabel', 'Pod/Update'],
  weight: 2,
  prepareFilter: (pod) => {
    const nodeNames = namedNodes(pod);
    if (nodeNames?.size === 0) return unresolvable('NodeAffinity', 'pod affinity terms conflict');
    return {
      ...(nodeNames === undefined ? {} : { nodeNames }),
      filter: ({ node }) => (node && podAllowsNode(pod, node) ? undefined : unresolvable('NodeAffinity', "node(s) didn't match Pod's node affinity/selector")),
    };
  },
  prepareScore: ({ spec }) => {
    const preferred = spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    if (preferred.length === 0) return undefined;
    return {
      score: ({ node }) => preferred.reduce((sum, { weight, preference }) => (node && weight !== 0 && matchesNodeSelectorTerm(preference, node) ? sum + weight : sum), 0),
      normalize: (raw) => normalizeToMax(raw, false),
    };
  },
};
