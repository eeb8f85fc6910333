// Keeps pods off nodes with taints that they do not tolerate; prefers nodes with fewer PreferNoSchedule taints.
import { normalizeToMax, unresolvable, type Plugin } from '../framework.ts';
import { untolerated } from '../tolerations.ts';

export const taintToleration: Plugin = {
  name: 'TaintToleration',
  retryOn: ['Node/Add', 'Node/UpdateTaint', 'Pod/Update'],
  weight: 3,
  prepareFilter: ({ spec }) => ({
    filter: ({ node }) => (untolerated(node?.spec.taints ?? [], spec.tolerations ?? [], ['NoSchedule', 'NoExecute']).length > 0
      ? unresolvable('TaintToleration', 'node(s) had untolerated taint(s)') : undefined),
  }),
  prepareScore: ({ spec }) => {
    const soft = (spec.tolerations ?? []).filter(({ effect }) => effect === undefined || effect === '' || effect === 'PreferNoSchedule');
    return {
      score: ({ node }) => untolerated(node?.spec.taints ?? [], soft, ['PreferNoSchedule']).length,
      normalize: (raw) => normalizeToMax(raw, true),
    };
  },
};
