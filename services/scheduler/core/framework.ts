// The framework: plugins give verdicts and scores about one pod and one node; this module asks them in order.
// Source: pkg/scheduler/framework, Kubernetes 1.36.
import type { Pod, Service } from '#lib/kinds/types/core-v1.ts';
import type { LabelSelector } from '#lib/kinds/types/meta-v1.ts';
import type { NodeInfo } from './node-info.ts';
import type { Storage, VolumePlan } from './storage.ts';

/** Changes in the cluster that may make a rejected pod fit. */
export type ClusterEvent =
  | 'Node/Add' | 'Node/Delete' | 'Node/UpdateAllocatable' | 'Node/UpdateLabel' | 'Node/UpdateTaint' | 'Node/UpdateCondition'
  | 'AssignedPod/Add' | 'AssignedPod/Update' | 'AssignedPod/Delete' | 'Pod/Update' | 'Service/Change'
  | 'PersistentVolumeClaim/Add' | 'PersistentVolumeClaim/Update' | 'PersistentVolume/Add' | 'PersistentVolume/Update'
  | 'StorageClass/Add' | 'StorageClass/Update' | 'CSINode/Add' | 'CSINode/Update' | 'VolumeAttachment/Delete';

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
  /** Claims and volumes, as they are and as bindings under way will make them. */
  readonly storage: Storage;
  /** Pods that wait for room on a node which others make for them. */
  readonly nominated: (nodeName: string) => readonly Pod[];
}

export interface PreFilterResult {
  /** Only these nodes come into question. */
  readonly nodeNames?: ReadonlySet<string>;
}

export interface Plugin {
  readonly name: string;
  readonly retryOn: readonly ClusterEvent[];
  /** Refuses a pod before any node is looked at. Returns a filter with what it has worked out for this pod; undefined: the pod is no concern of it. */
  readonly prepareFilter?: (pod: Pod, cluster: ClusterView) => NodeFilter | Rejection | undefined;
  readonly weight?: number;
  /** Returns undefined when the plugin has no preference about this pod. */
  readonly prepareScore?: (pod: Pod, cluster: ClusterView, feasible: readonly NodeInfo[]) => NodeScorer | undefined;
}

export interface NodeFilter extends PreFilterResult {
  readonly filter: (info: NodeInfo) => Rejection | undefined;
  /** What has to be written about volumes before the pod is bound to this node, which the filter has let through. */
  readonly volumePlan?: (nodeName: string) => VolumePlan;
}
export interface NodeScorer {
  readonly score: (info: NodeInfo) => number;
  /** Brings raw scores into 0..100; default: they are. */
  readonly normalize?: (raw: readonly number[]) => number[];
}

export const MAX_NODE_SCORE = 100;

export const isRejection = (value: object): value is Rejection => 'reasons' in value;
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
  readonly volumePlan?: (nodeName: string) => VolumePlan;
}

export function filterNodes(plugins: readonly Plugin[], pod: Pod, cluster: ClusterView): FilterOutcome {
  const prepared = prepareFilters(plugins, pod, cluster);
  if (isRejection(prepared)) return { feasible: [], rejections: new Map(cluster.nodes.map((info) => [info.name, prepared])), refusedOutright: prepared };
  const narrowing = prepared.filter(({ filter }) => filter.nodeNames !== undefined);
  const feasible: NodeInfo[] = [];
  const rejections = new Map<string, Rejection>();
  for (const info of cluster.nodes) {
    const outside = narrowing.filter(({ filter }) => !filter.nodeNames?.has(info.name));
    const rejection = outside.length > 0
      ? unresolvable(outside[0]?.name ?? '', `node(s) didn't satisfy plugin(s) [${outside.map(({ name }) => name).join(' ')}]`)
      : rejectionWithNominated(plugins, pod, info, cluster) ?? firstRejection(prepared, info);
    if (rejection) rejections.set(info.name, rejection);
    else feasible.push(info);
  }
  const volumePlan = prepared.find(({ filter }) => filter.volumePlan)?.filter.volumePlan;
  return { feasible, rejections, ...(volumePlan ? { volumePlan } : {}) };
}

interface PreparedFilter {
  readonly name: string;
  readonly filter: NodeFilter;
}

function prepareFilters(plugins: readonly Plugin[], pod: Pod, cluster: ClusterView): PreparedFilter[] | Rejection {
  const filters: PreparedFilter[] = [];
  for (const { name, prepareFilter } of plugins) {
    const filter = prepareFilter?.(pod, cluster);
    if (filter === undefined) continue;
    if (isRejection(filter)) return filter;
    filters.push({ name, filter });
  }
  return filters;
}

function firstRejection(filters: readonly PreparedFilter[], info: NodeInfo): Rejection | undefined {
  for (const { filter } of filters) {
    const rejection = filter.filter(info);
    if (rejection) return rejection;
  }
  return undefined;
}

/**
 * The node must take the pod also when those are there that have been promised room on it, unless they matter less.
 * Source: RunFilterPluginsWithNominatedPods.
 */
function rejectionWithNominated(plugins: readonly Plugin[], pod: Pod, info: NodeInfo, cluster: ClusterView): Rejection | undefined {
  const others = cluster.nominated(info.name).filter(({ metadata, spec }) => metadata.uid !== pod.metadata.uid && (spec.priority ?? 0) >= (pod.spec.priority ?? 0));
  if (others.length === 0) return undefined;
  const crowded = info.copy();
  for (const other of others) crowded.addPod(other);
  return rejectionOn(plugins, pod, crowded, cluster);
}

/** The verdict about a node that is other than the cluster's. */
function rejectionOn(plugins: readonly Plugin[], pod: Pod, info: NodeInfo, cluster: ClusterView): Rejection | undefined {
  const view: ClusterView = { ...cluster, nodes: cluster.nodes.map((other) => (other.name === info.name ? info : other)) };
  const prepared = prepareFilters(plugins, pod, view);
  if (isRejection(prepared)) return prepared;
  const outside = prepared.find(({ filter }) => filter.nodeNames?.has(info.name) === false);
  return outside ? unresolvable(outside.name, `node(s) didn't satisfy plugin(s) [${outside.name}]`) : firstRejection(prepared, info);
}

/** Whether a single node would take the pod; used to try out evictions. */
export function fits(plugins: readonly Plugin[], pod: Pod, info: NodeInfo, cluster: ClusterView): boolean {
  return rejectionWithNominated(plugins, pod, info, cluster) === undefined && rejectionOn(plugins, pod, info, cluster) === undefined;
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
