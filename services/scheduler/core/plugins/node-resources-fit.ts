// The pod's requests must fit into what the node has left; among those that fit, the least allocated node is liked best.
import { unresolvable, unschedulable, type Plugin } from '../framework.ts';
import type { NodeInfo } from '../node-info.ts';
import { nonZeroRequestsOf, requestsOf, type Resources } from '../pod-resources.ts';

/** What the node lacks; `isHopeless` when even an empty node would. */
export function resourcesLacking(requests: Resources, { requested, allocatable, podCount }: NodeInfo): { reasons: string[]; isHopeless: boolean } {
  const reasons: string[] = [];
  let isHopeless = false;
  if (podCount + 1 > (allocatable['pods'] ?? 0)) reasons.push('Too many pods');
  for (const [name, amount] of Object.entries(requests)) {
    if (amount === 0) continue;
    const total = allocatable[name] ?? 0;
    if (amount > total - (requested[name] ?? 0)) {
      reasons.push(`Insufficient ${name}`);
      isHopeless ||= amount > total;
    }
  }
  return { reasons, isHopeless };
}

/** Source: noderesources/least_allocated.go, integer arithmetic. */
function leastAllocated(requests: Resources, { nonZeroRequested, allocatable }: NodeInfo): number {
  let sum = 0;
  let weights = 0;
  for (const name of ['cpu', 'memory']) {
    const total = allocatable[name] ?? 0;
    if (total === 0) continue;
    const used = (nonZeroRequested[name] ?? 0) + (requests[name] ?? 0);
    sum += used > total ? 0 : Math.trunc(((total - used) * 100) / total);
    weights += 1;
  }
  return weights === 0 ? 0 : Math.trunc(sum / weights);
}

export const nodeResourcesFit: Plugin = {
  name: 'NodeResourcesFit',
  retryOn: ['Node/Add', 'Node/UpdateAllocatable', 'AssignedPod/Delete', 'AssignedPod/Update'],
  weight: 1,
  prepareFilter: (pod) => {
    const requests = requestsOf(pod);
    return {
      filter: (info) => {
        const { reasons, isHopeless } = resourcesLacking(requests, info);
        if (reasons.length === 0) return undefined;
        return (isHopeless ? unresolvable : unschedulable)('NodeResourcesFit', ...reasons);
      },
    };
  },
  prepareScore: (pod) => {
    const requests = nonZeroRequestsOf(pod);
    return { score: (info) => leastAllocated(requests, info) };
  },
};
