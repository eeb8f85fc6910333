// Pods that want to be, or not to be, in the same topology domain as other pods. Source: plugins/interpodaffinity.
import type { Pod, PodAffinityTerm } from '#lib/kinds/types/core-v1.ts';
import { labelSelector, type Selector } from '#lib/machinery/selectors.ts';
import { unresolvable, unschedulable, type ClusterView, type NodeFilter, type Plugin } from '../framework.ts';
import type { NodeInfo } from '../node-info.ts';

const NAME = 'InterPodAffinity';
/** Score that an existing pod's required affinity gives. Source: InterPodAffinityArgs. */
const HARD_POD_AFFINITY_WEIGHT = 1;

interface Term {
  readonly topologyKey: string;
  readonly matches: (pod: Pod) => boolean;
}

function termOf(term: PodAffinityTerm, owner: Pod, { namespaceLabels }: ClusterView): Term {
  const selector: Selector = labelSelector(term.labelSelector);
  const named = new Set(term.namespaces ?? []);
  const byLabels = term.namespaceSelector === undefined ? undefined : labelSelector(term.namespaceSelector);
  if (named.size === 0 && byLabels === undefined) named.add(owner.metadata.namespace ?? '');
  return {
    topologyKey: term.topologyKey,
    matches: ({ metadata }) => {
      const namespace = metadata.namespace ?? '';
      return (named.has(namespace) || (byLabels?.matches(namespaceLabels(namespace)) ?? false)) && selector.matches(metadata.labels ?? {});
    },
  };
}

const labelOf = ({ node }: NodeInfo, key: string): string | undefined => node?.metadata.labels?.[key];

/** How many pods each domain has of what a list of terms is about, as `key=value`. */
type DomainCounts = Map<string, number>;
const count = (counts: DomainCounts, key: string, value: string | undefined, amount: number): void => {
  if (value !== undefined) counts.set(`${key}=${value}`, (counts.get(`${key}=${value}`) ?? 0) + amount);
};
const at = (counts: DomainCounts, info: NodeInfo, key: string): number => counts.get(`${key}=${labelOf(info, key) ?? ''}`) ?? 0;

export const interPodAffinity: Plugin = {
  name: NAME,
  retryOn: ['AssignedPod/Add', 'AssignedPod/Update', 'AssignedPod/Delete', 'Node/Add', 'Node/UpdateLabel', 'Pod/Update'],
  weight: 2,
  prepareFilter: (pod, cluster): NodeFilter => {
    const terms = (list: readonly PodAffinityTerm[] | undefined, owner: Pod) => (list ?? []).map((term) => termOf(term, owner, cluster));
    const wanted = terms(pod.spec.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution, pod);
    const unwanted = terms(pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution, pod);
    const affinity: DomainCounts = new Map();
    const antiAffinity: DomainCounts = new Map();
    const othersAntiAffinity: DomainCounts = new Map();
    for (const info of cluster.nodes) {
      for (const other of info.pods) {
        if (wanted.length > 0 && wanted.every((term) => term.matches(other))) for (const { topologyKey } of wanted) count(affinity, topologyKey, labelOf(info, topologyKey), 1);
        for (const term of unwanted) if (term.matches(other)) count(antiAffinity, term.topologyKey, labelOf(info, term.topologyKey), 1);
        for (const term of terms(other.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution, other)) {
          if (term.matches(pod)) count(othersAntiAffinity, term.topologyKey, labelOf(info, term.topologyKey), 1);
        }
      }
    }
    /** The first pod of a group that wants its own kind near has nobody to join: it is let through. */
    const isFirstOfItsKind = affinity.size === 0 && wanted.length > 0 && wanted.every((term) => term.matches(pod));
    const domainsTaken = [...othersAntiAffinity.keys()].map((domain) => domain.slice(0, domain.indexOf('=')));
    return {
      filter: (info) => {
        const hasDomains = wanted.every(({ topologyKey }) => labelOf(info, topologyKey) !== undefined);
        const isNearWanted = hasDomains && wanted.every(({ topologyKey }) => at(affinity, info, topologyKey) > 0);
        if (wanted.length > 0 && !isNearWanted && !(hasDomains && isFirstOfItsKind)) return unresolvable(NAME, "node(s) didn't match pod affinity rules");
        if (unwanted.some(({ topologyKey }) => labelOf(info, topologyKey) !== undefined && at(antiAffinity, info, topologyKey) > 0)) {
          return unschedulable(NAME, "node(s) didn't match pod anti-affinity rules");
        }
        if (domainsTaken.some((key) => at(othersAntiAffinity, info, key) > 0)) return unschedulable(NAME, "node(s) didn't satisfy existing pods anti-affinity rules");
        return undefined;
      },
    };
  },
  prepareScore: (pod, cluster, feasible) => {
    const preferences = ({ spec }: Pod) => [
      ...(spec.affinity?.podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ weight, podAffinityTerm }) => ({ weight, term: podAffinityTerm })),
      ...(spec.affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ weight, podAffinityTerm }) => ({ weight: -weight, term: podAffinityTerm })),
    ];
    const own = preferences(pod).map(({ weight, term }) => ({ weight, term: termOf(term, pod, cluster) }));
    const sums: DomainCounts = new Map();
    const keys = new Set<string>();
    const note = (info: NodeInfo, key: string, amount: number) => {
      keys.add(key);
      count(sums, key, labelOf(info, key), amount);
    };
    for (const info of cluster.nodes) {
      for (const other of info.pods) {
        for (const { weight, term } of own) if (term.matches(other)) note(info, term.topologyKey, weight);
        for (const { weight, term } of preferences(other)) if (termOf(term, other, cluster).matches(pod)) note(info, term.topologyKey, weight);
        for (const term of other.spec.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
          if (termOf(term, other, cluster).matches(pod)) note(info, term.topologyKey, HARD_POD_AFFINITY_WEIGHT);
        }
      }
    }
    if (keys.size === 0 || feasible.length === 0) return undefined;
    return {
      score: (info) => [...keys].reduce((sum, key) => sum + at(sums, info, key), 0),
      normalize: (raw) => {
        const [min, max] = [Math.min(...raw), Math.max(...raw)];
        return raw.map((value) => (max === min ? 0 : Math.trunc((100 * (value - min)) / (max - min))));
      },
    };
  },
};
