// Keeps pods off cordoned nodes.
import { unresolvable, type Plugin } from '../framework.ts';
import { tolerates } from '../tolerations.ts';

const CORDONED = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

export const nodeUnschedulable: Plugin = {
  name: 'NodeUnschedulable',
  retryOn: ['Node/Add', 'Node/UpdateTaint', 'Pod/Update'],
  prepareFilter: (pod) => {
    const isTolerated = (pod.spec.tolerations ?? []).some((toleration) => tolerates(toleration, CORDONED));
    return { filter: ({ node }) => (node?.spec.unschedulable === true && !isTolerated ? unresolvable('NodeUnschedulable', 'node(s) were unschedulable') : undefined) };
  },
};
