// One scheduling decision: which node takes this pod, or why none does.
import { integerBelow, type Random } from '#lib/environment/random.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { NO_PLAN, type VolumePlan } from './storage.ts';
import { filterNodes, scoreNodes, type ClusterView, type FilterOutcome, type Plugin } from './framework.ts';

export type Decision =
  | { readonly kind: 'placed'; readonly nodeName: string; readonly score: number; readonly evaluatedNodes: number; readonly feasibleNodes: number; readonly volumePlan: VolumePlan }
  | { readonly kind: 'unschedulable'; readonly outcome: FilterOutcome };

/** Ties go to a random one of the best. */
export function chooseNode(plugins: readonly Plugin[], pod: Pod, cluster: ClusterView, random: Random): Decision {
  const outcome = filterNodes(plugins, pod, cluster);
  const { feasible } = outcome;
  const [only] = feasible;
  if (only === undefined) return { kind: 'unschedulable', outcome };
  const counts = { evaluatedNodes: cluster.nodes.length, feasibleNodes: feasible.length };
  const placed = (nodeName: string, score: number): Decision => ({ kind: 'placed', nodeName, score, ...counts, volumePlan: outcome.volumePlan?.(nodeName) ?? NO_PLAN });
  // Room was made for the pod there.
  const nominated = feasible.find(({ name }) => name === pod.status?.nominatedNodeName);
  if (nominated || feasible.length === 1) return placed((nominated ?? only).name, 0);
  const scores = scoreNodes(plugins, pod, cluster, feasible);
  const best = Math.max(...scores);
  const winners = feasible.filter((_, index) => scores[index] === best);
  return placed((winners[integerBelow(random, winners.length)] ?? only).name, best);
}
