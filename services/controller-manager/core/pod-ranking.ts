// Which pods to remove first when there are too many. Source: ActivePodsWithRanks in pkg/controller/controller_utils.go.
import type { ContainerStatus, Pod } from '#lib/kinds/types/core-v1.ts';
import { createdMs, isReady, readySinceMs } from './pod-state.ts';

const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';
const PHASE_ORDER: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

function deletionCost(pod: Readonly<Pod>): number {
  const text = pod.metadata.annotations?.[DELETION_COST];
  return text !== undefined && /^(0|-?[1-9]\d*)$/.test(text) ? Number(text) : 0;
}

/** Ages compare by powers of two, so that pods made together are equal. */
function ageBucket(sinceMs: number, nowMs: number): number {
  const seconds = Math.floor((nowMs - sinceMs) / 1000);
  return seconds <= 0 ? 0 : Math.floor(Math.log2(seconds)) + 1;
}

const restarts = (statuses: readonly ContainerStatus[] | undefined): number => Math.max(0, ...(statuses ?? []).map(({ restartCount }) => restartCount));
/** Restarts of sidecars: init containers that restart always. */
function sidecarRestarts(pod: Readonly<Pod>): number {
  const sidecars = new Set((pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always').map(({ name }) => name));
  return restarts(pod.status?.initContainerStatuses?.filter(({ name }) => sidecars.has(name)));
}

const byUid = (left: Readonly<Pod>, right: Readonly<Pod>): number => ((left.metadata.uid ?? '') < (right.metadata.uid ?? '') ? -1 : 1);

/** Negative: `left` goes first. `rankOf` gives how many related pods run on the pod's node. */
export function compareForDeletion(left: Readonly<Pod>, right: Readonly<Pod>, rankOf: (pod: Readonly<Pod>) => number, nowMs: number): number {
  const isAssigned = (pod: Readonly<Pod>) => Number((pod.spec?.nodeName ?? '') !== '');
  const phase = (pod: Readonly<Pod>) => PHASE_ORDER[pod.status?.phase ?? ''] ?? 0;
  const steps = [
    () => isAssigned(left) - isAssigned(right),
    () => phase(left) - phase(right),
    () => Number(isReady(left)) - Number(isReady(right)),
    () => deletionCost(left) - deletionCost(right),
    () => rankOf(right) - rankOf(left),
    () => {
      const [leftMs, rightMs] = [readySinceMs(left), readySinceMs(right)];
      if (leftMs === undefined || rightMs === undefined || leftMs === rightMs) return 0;
      return ageBucket(leftMs, nowMs) - ageBucket(rightMs, nowMs) || byUid(left, right);
    },
    () => restarts(right.status?.containerStatuses) - restarts(left.status?.containerStatuses),
    () => sidecarRestarts(right) - sidecarRestarts(left),
    () => (createdMs(left) === createdMs(right) ? 0 : ageBucket(createdMs(left), nowMs) - ageBucket(createdMs(right), nowMs) || byUid(left, right)),
  ];
  for (const step of steps) {
    const order = step();
    if (order !== 0) return order;
  }
  return 0;
}

/** The `count` pods to delete. `related`: pods of sibling ReplicaSets too; crowded nodes give up theirs first. */
export function podsToDelete(pods: readonly Readonly<Pod>[], related: readonly Readonly<Pod>[], count: number, nowMs: number): Readonly<Pod>[] {
  if (count >= pods.length) return [...pods];
  const readyOnNode = new Map<string, number>();
  for (const pod of related) {
    const node = pod.spec?.nodeName ?? '';
    if (isReady(pod)) readyOnNode.set(node, (readyOnNode.get(node) ?? 0) + 1);
  }
  const rankOf = (pod: Readonly<Pod>) => readyOnNode.get(pod.spec?.nodeName ?? '') ?? 0;
  return [...pods].sort((left, right) => compareForDeletion(left, right, rankOf, nowMs)).slice(0, count);
}
