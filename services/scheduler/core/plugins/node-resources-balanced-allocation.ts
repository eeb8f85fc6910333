// Likes nodes on which the pod brings the shares of cpu and memory closer together.
// Source: noderesources/balanced_allocation.go; since 1.36 it is the change that counts.
import type { Plugin } from '../framework.ts';
import type { NodeInfo } from '../node-info.ts';
import { requestsOf, type Resources } from '../pod-resources.ts';

function balance({ requested, allocatable }: NodeInfo, extra: Resources): number {
  const fractions = ['cpu', 'memory'].flatMap((name) => {
    const total = allocatable[name] ?? 0;
    return total === 0 ? [] : [Math.min(1, ((requested[name] ?? 0) + (extra[name] ?? 0)) / total)];
  });
  const [first = 0, second = 0] = fractions;
  const deviation = fractions.length === 2 ? Math.abs(first - second) / 2 : 0;
  return Math.trunc((1 - deviation) * 100);
}

export const nodeResourcesBalancedAllocation: Plugin = {
  name: 'NodeResourcesBalancedAllocation',
  retryOn: [],
  weight: 1,
  prepareScore: (pod) => {
    const requests = requestsOf(pod);
    if ((requests['cpu'] ?? 0) === 0 && (requests['memory'] ?? 0) === 0) return undefined; // best effort
    return { score: (info) => 50 + Math.trunc((50 + balance(info, requests) - balance(info, {})) / 2) };
  },
};
