// The framework: plugins give verdicts and scores about one pod and one node; this module asks them in order.
// Source: pkg/scheduler/framework, Kubernetes 1.36.
import type { Pod, Service } from '#lib/kinds/types/core-v1.ts';
import type { LabelSelector } from '#lib/kinds/types/meta-v1.ts';
import type { NodeInfo } from './node-info.ts';

/** Changes in the cluster that may make a rejected pod fit. */
export type ClusterEvent =
  | 'Node/Add' | 'Node/Delete' | 'Node/UpdateAllocatable' | 'Node/UpdateLabel' | 'Node/UpdateTaint' | 'Node/UpdateCondition'
  | 'AssignedPod/Add' | 'AssignedPod/Update' | 'AssignedPod/Delete' | 'Pod/Update' | 'Service/Change';

/** `unschedulable`: removing other pods might help; `unresolvable`: it would not. */
export interface Rejection {
  readonly code: 'unschedulable' | 'unresolvable';
  readonly plugin: string;
  readonly reasons: readonly string[];
}

/** What plugins may look at besides the pod and one node. */
export interface ClusterView {
  readonly nodes: readonly NodeInfo[];
  /** Services of a namespace, for default spreading. */
  readonly services: (namespace: string) => readonly Service[];
  /** Selectors of the workload that owns the pod. */
  readonly ownerSelector: (pod: Pod) => LabelSelector | undefined;
  readonly namespaceLabels: (namespace: string) => Readonly<Record<string, string>>;
}

export interface PreFilterResult {
  /** Only these nodes come into question. */
  readonly nodeNames?: ReadonlySet<string>;
}

export interface Plugin {
  readonly name: string;
  readonly retryOn: readonly ClusterEvent[];
  /** Refuses a pod before any node is looked at. Returns a filter with what it has worked out for this pod. */
  readonly prepareFilter?: (pod: Pod, cluster: ClusterView) => NodeFilter | Rejection;
  readonly weight?: number;
  /** Returns undefined when the plugin has no preference about this pod. */
  readonly prepareScore?: (pod: Pod, cluster: ClusterView, feasible: readonly NodeInfo[]) => NodeScorer | undefined;
}

export interface NodeFilter extends PreFilterResult {
  readonly filter: (info: NodeInfo) => Rejection | undefined;
}
export interface NodeScorer {
  readonly score: (info: NodeInfo) => number;
  /** Brings raw scores into 0..100; default: they are. */
  readonly normalize?: (raw: readonly number[]) => number[];
}

export const MAX_NODE_SCORE = 100;

export const isRejection = (value: NodeFilter | Rejection): value is Rejection => 'reasons' in value;
export const unschedulable = (plugin: string, ...reasons: string[]): Rejection => ({ code: 'unschedulable', plugin, reasons });
export const unresolvable = (plugin: string, ...reasons: string[]): Rejection => ({ code: 'unresolvable', plugin, reasons });

/** Scales so that the largest becomes 100. Source: helper.DefaultNormalizeScore. */
export function normalizeToMax(raw: readonly number[], reverse: boolean): number[] {
  const max = Math.max(0, ...raw);
  if (max === 0) return raw.map(() => (reverse ? MAX_NODE_SCORE : 0));
  return raw.map((value) => {
    const scaled = Math.trunc((MAX_NODE_SCORE * value) / max);
    return reverse ? MAX_NODE_SCORE - scaled : scaled;
  });
}

export interface FilterOutcome {
  readonly feasible: readonly NodeInfo[];
  /** Why each other node does not fit. */
  readonly rejections: ReadonlyMap<string, Rejection>;
  /** Set when a plugin refused the pod before any node was looked at. */
  readonly refusedOutright?: Rejection;
}

export function filterNodes(plugins: readonly Plugin[], pod: Pod, cluster: ClusterView): FilterOutcome {
  const filters: { name: string; filter: NodeFilter }[] = [];
  for (const { name, prepareFilter } of plugins) {
    const filter = prepareFilter?.(pod, cluster);
    if (filter === undefined) continue;
    if (isRejection(filter)) return { feasible: [], rejections: new Map(cluster.nodes.map((info) => [info.name, filter])), refusedOutright: filter };
    filters.push({ name, filter });
  }
  const narrowing = filters.filter(({ filter }) => filter.nodeNames !== undefined);
  const feasible: NodeInfo[] = [];
  const rejections = new Map<string, Rejection>();
  for (const info of cluster.nodes) {
    const outside = narrowing.filter(({ filter }) => !filter.nodeNames?.has(info.name));
    const rejection = outside.length > 0
      ? unresolvable(outside[0]?.name ?? '', `node(s) didn't satisfy plugin(s) [${outside.map(({ name }) => name).join(' ')}]`)
      : firstRejection(filters, info);
    if (rejection) rejections.set(info.name, rejection);
    else feasible.push(info);
  }
  return { feasible, rejections };
}

function firstRejection(filters: readonly { filter: NodeFilter }[], info: NodeInfo): Rejection | undefined {
  for (const { filter } of filters) {
    const rejection = filter.filter(info);
    if (rejection) return rejection;
  }
  return undefined;
}

/** Whether a single node would take the pod; used to try out evictions and nominations. */
export function fits(plugins: readonly Plugin[], pod: Pod, info: NodeInfo, cluster: ClusterView): boolean {
  const view: ClusterView = { ...cluster, nodes: cluster.nodes.map((other) => (other.name === info.name ? info : other)) };
  for (const { prepareFilter } of plugins) {
    const filter = prepareFilter?.(pod, view);
    if (filter === undefined) continue;
    if (isRejection(filter) || filter.nodeNames?.has(info.name) === false || filter.filter(info)) return false;
  }
  return true;
}

/** Weighted sums of all plugins' scores, in the order of `feasible`. */
export function scoreNodes(plugins: readonly Plugin[], pod: Pod, cluster: ClusterView, feasible: readonly NodeInfo[]): number[] {
  const totals = feasible.map(() => 0);
  for (const { prepareScore, weight = 1 } of plugins) {
    const scorer = prepareScore?.(pod, cluster, feasible);
    if (!scorer) continue;
    const raw = feasible.map((info) => scorer.score(info));
    (scorer.normalize?.(raw) ?? raw).forEach((score, index) => (totals[index] = (totals[index] ?? 0) + score * weight));
  }
  return totals;
}
