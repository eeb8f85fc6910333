// Which pod has to go first, and what it is told. Source: pkg/kubelet/eviction/helpers.go.
import type { Container, Pod } from '#lib/kinds/types/core-v1.ts';
import { formatQuantity, integerValue } from '#lib/machinery/quantity.ts';
import { uidOf } from '../pod-spec.ts';
import { podRequests } from '../resources.ts';
import { amountOf, resourceOf, type Observations, type StarvedResource, type Threshold } from './thresholds.ts';

/** What a pod uses; bytes and numbers. */
export interface PodUsage {
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly inodes: number;
  readonly processes: number;
  readonly containers: ReadonlyMap<string, { readonly memoryBytes: number; readonly diskBytes: number }>;
  /** emptyDir volumes on disk or in memory, by name. */
  readonly emptyDirs: ReadonlyMap<string, number>;
}
export type UsageOf = (pod: Pod) => PodUsage | undefined;

type Compare = (left: Pod, right: Pod) => number;
const inOrder = (...compares: readonly Compare[]): Compare => (left, right) => {
  for (const compare of compares) {
    const result = compare(left, right);
    if (result !== 0) return result;
  }
  return uidOf(left) < uidOf(right) ? -1 : 1;
};

/** Pods that have to go, first one first. */
export function ranked(pods: readonly Pod[], resource: StarvedResource, usageOf: UsageOf): Pod[] {
  const request = (pod: Pod, name: string): number => podRequests(pod)[name] ?? 0;
  /** One of which nothing is known goes first, as upstream. */
  const known: Compare = (left, right) => Number(usageOf(left) !== undefined) - Number(usageOf(right) !== undefined);
  const most = (value: (pod: Pod, usage: PodUsage) => number): Compare => (left, right) => {
    const [a, b] = [usageOf(left), usageOf(right)];
    return a && b ? value(right, b) - value(left, a) : 0;
  };
  const priority: Compare = (left, right) => (left.spec.priority ?? 0) - (right.spec.priority ?? 0);
  const aboveRequest = (name: string, used: (usage: PodUsage) => number): Compare => most((pod, usage) => Number(used(usage) > request(pod, name)));
  const memory = (usage: PodUsage): number => usage.memoryBytes;
  const disk = (usage: PodUsage): number => usage.diskBytes;
  const order: Readonly<Record<StarvedResource, Compare>> = {
    'memory': inOrder(known, aboveRequest('memory', memory), priority, most((pod, usage) => memory(usage) - request(pod, 'memory'))),
    'ephemeral-storage': inOrder(known, aboveRequest('ephemeral-storage', disk), priority, most((pod, usage) => disk(usage) - request(pod, 'ephemeral-storage'))),
    'inodes': inOrder(known, priority, most((_, usage) => usage.inodes)),
    'pids': inOrder(known, priority, most((_, usage) => usage.processes)),
  };
  return [...pods].sort(order[resource]);
}

const binary = (bytes: number): string => formatQuantity({ nanos: BigInt(Math.floor(bytes)) * 1_000_000_000n, format: 'BinarySI' });
/** Memory and storage are told in binary units, the rest are numbers. */
const quantityText = (resource: StarvedResource, amount: number): string => (resource === 'memory' || resource === 'ephemeral-storage' ? binary(amount) : String(Math.floor(amount)));

/** What the pod's status and event say. */
export function evictionMessage(resource: StarvedResource, pod: Pod, threshold: Threshold, observations: Observations, usage: PodUsage | undefined): string {
  const seen = observations.get(threshold.signal);
  const met = seen ? `Threshold quantity: ${quantityText(resource, amountOf(threshold.value, seen.capacity))}, available: ${quantityText(resource, seen.available)}. ` : '';
  const parts = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map(({ name, resources }) => {
    const of = usage?.containers.get(name);
    const used = resource === 'memory' ? of?.memoryBytes : resource === 'ephemeral-storage' ? of?.diskBytes : undefined;
    const request = resources?.requests?.[resource];
    if (used === undefined || used <= integerValue(request)) return '';
    return `Container ${name} was using ${binary(used)}, request is ${request ?? '0'}, has larger consumption of ${resource}. `;
  });
  return `The node was low on resource: ${resource}. ${met}${parts.join('')}`;
}

export const reclaimText = (threshold: Threshold): string => `Attempting to reclaim ${resourceOf(threshold.signal)}`;

/** Why a pod has used up the local storage it may use; undefined: it has not. Source: localStorageEviction. */
export function storageExcess(pod: Pod, usage: PodUsage): string | undefined {
  for (const { name, emptyDir } of pod.spec.volumes ?? []) {
    const limit = integerValue(emptyDir?.sizeLimit);
    if (limit > 0 && (usage.emptyDirs.get(name) ?? 0) > limit) return `Usage of EmptyDir volume ${JSON.stringify(name)} exceeds the limit ${JSON.stringify(emptyDir?.sizeLimit)}. `;
  }
  const limitText = ({ resources }: Container): string | undefined => resources?.limits?.['ephemeral-storage'];
  const limits = pod.spec.containers.map((container) => integerValue(limitText(container)));
  const total = limits.reduce((sum, limit) => sum + limit, 0);
  if (limits.length > 0 && limits.every((limit) => limit > 0) && usage.diskBytes > total) return `Pod ephemeral local storage usage exceeds the total limit of containers ${binary(total)}. `;
  for (const container of pod.spec.containers) {
    const limit = integerValue(limitText(container));
    if (limit > 0 && (usage.containers.get(container.name)?.diskBytes ?? 0) > limit) return `Container ${container.name} exceeded its local ephemeral storage limit ${JSON.stringify(limitText(container))}. `;
  }
  return undefined;
}
