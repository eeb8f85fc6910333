// Which dead containers and sandboxes may go. Source: pkg/kubelet/kuberuntime/kuberuntime_gc.go.
import type { ContainerState } from '#lib/cri/messages.ts';

export interface KnownContainer {
  readonly id: string;
  readonly podUid: string;
  readonly name: string;
  readonly createdAt: bigint;
  /** Of the CRI. */
  readonly state: ContainerState;
}
export interface KnownSandbox {
  readonly id: string;
  readonly podUid: string;
  readonly createdAt: bigint;
  readonly isReady: boolean;
}
export interface GarbageInputs {
  readonly containers: readonly (KnownContainer & { readonly sandboxId: string })[];
  readonly sandboxes: readonly KnownSandbox[];
  /** Pods that some source has, or that are still being ended. */
  readonly isWanted: (podUid: string) => boolean;
  /** Dead containers kept for each container of a pod. Default of upstream: 1. */
  readonly keepPerContainer: number;
}

const newestFirst = <T extends { readonly createdAt: bigint }>(items: readonly T[]): T[] => [...items].sort((left, right) => (left.createdAt > right.createdAt ? -1 : 1));

export function garbage({ containers, sandboxes, isWanted, keepPerContainer }: GarbageInputs): { readonly containers: string[]; readonly sandboxes: string[] } {
  const removed = new Set<string>();
  const groups = new Map<string, (typeof containers)[number][]>();
  for (const container of containers) {
    // One that was created and never started, because the host went down, is as dead as one that ended.
    if (container.state === 'CONTAINER_RUNNING') continue;
    const key = `${container.podUid}/${container.name}`;
    groups.set(key, [...(groups.get(key) ?? []), container]);
  }
  for (const dead of groups.values()) {
    // A pod that nobody has any more leaves nothing behind.
    const keep = dead[0] && isWanted(dead[0].podUid) ? keepPerContainer : 0;
    for (const { id } of newestFirst(dead).slice(keep)) removed.add(id);
  }
  const goes = sandboxes.filter(({ id, podUid, isReady }) => {
    if (isReady) return false;
    if (containers.some(({ sandboxId, id: containerId }) => sandboxId === id && !removed.has(containerId))) return false;
    const [newest] = newestFirst(sandboxes.filter((one) => one.podUid === podUid));
    return !isWanted(podUid) || newest?.id !== id;
  });
  return { containers: [...removed], sandboxes: goes.map(({ id }) => id) };
}
