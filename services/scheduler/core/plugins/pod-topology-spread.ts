// Keeps the pods of a group evenly spread over topology domains. Source: plugins/podtopologyspread.
import type { Node, Pod, TopologySpreadConstraint } from '#lib/kinds/types/core-v1.ts';
import type { LabelSelector } from '#lib/kinds/types/meta-v1.ts';
import { labelSelector, podAllowsNode, type Selector } from '#lib/machinery/selectors.ts';
import { MAX_NODE_SCORE, unresolvable, unschedulable, type ClusterView, type Plugin } from '../framework.ts';
import type { NodeInfo } from '../node-info.ts';
import { untolerated } from '../tolerations.ts';

const NAME = 'PodTopologySpread';
const HOSTNAME = 'kubernetes.io/hostname';
/** Used for pods without constraints of their own. Source: podtopologyspread systemDefaultConstraints. */
const SYSTEM_DEFAULTS: readonly TopologySpreadConstraint[] = [
  { topologyKey: HOSTNAME, maxSkew: 3, whenUnsatisfiable: 'ScheduleAnyway' },
  { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 5, whenUnsatisfiable: 'ScheduleAnyway' },
];

interface Constraint {
  readonly topologyKey: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  readonly selector: Selector;
  readonly countsNode: (node: Node) => boolean;
}

function constraintsOf(pod: Pod, whenUnsatisfiable: string, list: readonly TopologySpreadConstraint[], fallback: LabelSelector | undefined): Constraint[] {
  return list.filter((constraint) => constraint.whenUnsatisfiable === whenUnsatisfiable).map((constraint) => {
    const keyed = Object.fromEntries((constraint.matchLabelKeys ?? []).flatMap((key) => {
      const value = pod.metadata.labels?.[key];
      return value === undefined ? [] : [[key, value]];
    }));
    const selector = constraint.labelSelector ?? fallback;
    const merged = selector && Object.keys(keyed).length > 0 ? { ...selector, matchLabels: { ...selector.matchLabels, ...keyed } } : selector;
    return {
      topologyKey: constraint.topologyKey, maxSkew: constraint.maxSkew, minDomains: constraint.minDomains ?? 1, selector: labelSelector(merged),
      countsNode: (node) => ((constraint.nodeAffinityPolicy ?? 'Honor') === 'Ignore' || podAllowsNode(pod, node))
        && ((constraint.nodeTaintsPolicy ?? 'Ignore') === 'Ignore' || untolerated(node.spec.taints ?? [], pod.spec.tolerations ?? [], ['NoSchedule', 'NoExecute']).length === 0),
    };
  });
}

function matchingPods({ pods }: NodeInfo, pod: Pod, selector: Selector): number {
  return pods.filter(({ metadata }) => metadata.namespace === pod.metadata.namespace && metadata.deletionTimestamp === undefined && selector.matches(metadata.labels ?? {})).length;
}

const domainOf = ({ node }: NodeInfo, key: string): string | undefined => node?.metadata.labels?.[key];

/** Services and the owning workload of a pod say which pods belong together when the pod itself does not. */
function defaultSelector(pod: Pod, { services, ownerSelector }: ClusterView): LabelSelector | undefined {
  const labels = pod.metadata.labels ?? {};
  const matching = services(pod.metadata.namespace ?? '').flatMap(({ spec: { selector } }) =>
    selector && Object.keys(selector).length > 0 && Object.entries(selector).every(([key, value]) => labels[key] === value) ? [selector] : []);
  const owner = ownerSelector(pod);
  if (matching.length === 0 && !owner) return undefined;
  return { matchLabels: Object.assign({}, ...matching, owner?.matchLabels) as Record<string, string>, matchExpressions: owner?.matchExpressions };
}

export const podTopologySpread: Plugin = {
  name: NAME,
  retryOn: ['AssignedPod/Add', 'AssignedPod/Update', 'AssignedPod/Delete', 'Node/Add', 'Node/Delete', 'Node/UpdateLabel', 'Node/UpdateTaint', 'Pod/Update'],
  weight: 2,
  prepareFilter: (pod, cluster) => {
    const constraints = constraintsOf(pod, 'DoNotSchedule', pod.spec.topologySpreadConstraints ?? [], undefined).map((constraint) => {
      const counts = new Map<string, number>();
      for (const info of cluster.nodes) {
        const domain = domainOf(info, constraint.topologyKey);
        if (domain === undefined || !info.node || !constraint.countsNode(info.node)) continue;
        counts.set(domain, (counts.get(domain) ?? 0) + matchingPods(info, pod, constraint.selector));
      }
      const fewest = counts.size < constraint.minDomains ? 0 : Math.min(...counts.values());
      return { ...constraint, counts, fewest, self: constraint.selector.matches(pod.metadata.labels ?? {}) ? 1 : 0 };
    });
    return {
      filter: (info) => {
        for (const { topologyKey, maxSkew, counts, fewest, self } of constraints) {
          const domain = domainOf(info, topologyKey);
          if (domain === undefined) return unresolvable(NAME, "node(s) didn't match pod topology spread constraints (missing required label)");
          if ((counts.get(domain) ?? 0) + self - fewest > maxSkew) return unschedulable(NAME, "node(s) didn't match pod topology spread constraints");
        }
        return undefined;
      },
    };
  },
  prepareScore: (pod, cluster, feasible) => {
    const own = pod.spec.topologySpreadConstraints ?? [];
    const usesDefaults = own.length === 0;
    const fallback = usesDefaults ? defaultSelector(pod, cluster) : undefined;
    if (usesDefaults && !fallback) return undefined;
    const constraints = constraintsOf(pod, 'ScheduleAnyway', usesDefaults ? SYSTEM_DEFAULTS : own, fallback);
    if (constraints.length === 0) return undefined;
    const lacksLabel = (info: NodeInfo): boolean => !usesDefaults && constraints.some(({ topologyKey }) => domainOf(info, topologyKey) === undefined);
    const prepared = constraints.map((constraint) => {
      const counts = new Map<string, number>();
      for (const info of feasible) {
        const domain = domainOf(info, constraint.topologyKey);
        if (domain !== undefined && !lacksLabel(info)) counts.set(domain, 0);
      }
      for (const info of cluster.nodes) {
        const domain = domainOf(info, constraint.topologyKey);
        if (domain === undefined || !counts.has(domain) || !info.node || !constraint.countsNode(info.node)) continue;
        counts.set(domain, (counts.get(domain) ?? 0) + matchingPods(info, pod, constraint.selector));
      }
      const domains = constraint.topologyKey === HOSTNAME ? feasible.filter((info) => !lacksLabel(info)).length : counts.size;
      return { ...constraint, counts, weight: Math.log(domains + 2) };
    });
    return {
      score: (info) => {
        if (lacksLabel(info)) return Number.NaN;
        return Math.round(prepared.reduce((sum, { topologyKey, maxSkew, counts, weight }) => {
          const domain = domainOf(info, topologyKey);
          return domain === undefined ? sum : sum + (counts.get(domain) ?? 0) * weight + (maxSkew - 1);
        }, 0));
      },
      normalize: (raw) => {
        const known = raw.filter((value) => !Number.isNaN(value));
        const [min, max] = [Math.min(...known), Math.max(...known)];
        return raw.map((value) => {
          if (Number.isNaN(value)) return 0;
          return max === 0 ? MAX_NODE_SCORE : Math.trunc((MAX_NODE_SCORE * (max + min - value)) / max);
        });
      },
    };
  },
};
