// Changing the resources of a running pod: what it has been given, whether it may have more, and what to do to its
// containers. Source: pkg/kubelet/allocation, pkg/kubelet/kuberuntime doPodResizeAction, Kubernetes 1.36.
import type { Container, Node, Pod, PodCondition, PodStatus, ResourceRequirements } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { integerValue, milliValue } from '#lib/machinery/quantity.ts';
import { isSidecar, isStaticPod } from './pod-spec.ts';
import { amountOf, cpuQuota, cpuShares, podRequests } from './resources.ts';
import { newestContainer, type RuntimeContainer, type RuntimePod } from './runtime-pod.ts';

/** What each container that can be resized has been given, by name. */
export type Allocation = ReadonlyMap<string, ResourceRequirements>;

const resizable = ({ spec }: Pod): Container[] => [...spec.containers, ...(spec.initContainers ?? []).filter(isSidecar)];
const sizes = ({ limits, requests }: ResourceRequirements = {}): unknown => ({ limits: limits ?? {}, requests: requests ?? {} });

export const allocationOf = (pod: Pod): Allocation => new Map(resizable(pod).map(({ name, resources }) => [name, resources ?? {}]));

/** As the API server has it of an earlier kubelet: what its containers run with, else what they ask for. */
export function knownAllocation(pod: Pod, status: PodStatus | undefined): Allocation {
  const statuses = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  return new Map(resizable(pod).map(({ name, resources = {} }) => {
    const known = statuses.find((one) => one.name === name);
    return [name, known?.state?.running && known.resources?.requests ? { ...resources, ...known.resources } : resources];
  }));
}

/** The pod with the resources it has been given in place of those it asks for. */
export function withAllocation(pod: Pod, allocation: Allocation): Pod {
  if (isAllocated(pod, allocation)) return pod;
  const given = <T extends Container>(container: T): T => {
    const resources = allocation.get(container.name);
    return resources ? { ...container, resources } : container;
  };
  return { ...pod, spec: { ...pod.spec, containers: pod.spec.containers.map(given), ...(pod.spec.initContainers ? { initContainers: pod.spec.initContainers.map(given) } : {}) } };
}

export const isAllocated = (pod: Pod, allocation: Allocation): boolean =>
  resizable(pod).every(({ name, resources }) => !allocation.has(name) || semanticEqual(sizes(resources), sizes(allocation.get(name))));

export interface ResizeRefusal {
  readonly reason: 'Infeasible' | 'Deferred';
  readonly message: string;
}

/** Why the pod cannot have what it asks for now; undefined: it can. `others` with what they have been given. */
export function resizeRefusal(pod: Pod, others: readonly Pod[], node: Node): ResizeRefusal | undefined {
  if (isStaticPod(pod)) return { reason: 'Infeasible', message: 'In-place resize of static-pods is not supported' };
  const wanted = podRequests(pod);
  const allocatable = node.status?.allocatable ?? {};
  for (const name of ['cpu', 'memory']) {
    const capacity = amountOf(name, allocatable[name]);
    if (allocatable[name] !== undefined && (wanted[name] ?? 0) > capacity) return { reason: 'Infeasible', message: `Node didn't have enough capacity: ${name}, requested: ${wanted[name] ?? 0}, capacity: ${capacity}` };
  }
  for (const name of ['cpu', 'memory']) {
    const capacity = amountOf(name, allocatable[name]);
    const used = others.reduce((sum, other) => sum + (podRequests(other)[name] ?? 0), 0);
    if (allocatable[name] !== undefined && (wanted[name] ?? 0) + used > capacity) return { reason: 'Deferred', message: `Node didn't have enough resource: ${name}, requested: ${wanted[name] ?? 0}, used: ${used}, capacity: ${capacity}` };
  }
  return undefined;
}

/** CPU and memory settings of a container as the runtime knows them. */
export interface RuntimeResources {
  readonly cpuShares: number;
  readonly cpuQuota: number;
  readonly cpuPeriod: number;
  readonly memoryLimitInBytes: number;
}
export interface ContainerResize {
  readonly container: Container;
  readonly id: string;
  readonly resources: RuntimeResources;
  /** Its policy for what changes says so. */
  readonly needsRestart: boolean;
}

export function runtimeResources({ resources }: Container, periodUs: number): RuntimeResources {
  const limit = milliValue(resources?.limits?.['cpu']);
  const quota = cpuQuota(limit, periodUs);
  const request = resources?.requests?.['cpu'] === undefined ? limit : milliValue(resources.requests['cpu']);
  return { cpuShares: cpuShares(request), cpuQuota: quota > 0 ? quota : 0, cpuPeriod: quota > 0 ? periodUs : 0, memoryLimitInBytes: integerValue(resources?.limits?.['memory']) };
}

/** Running containers that do not have what their pod has been given. `pod`: with its allocation. */
export function pendingResizes(pod: Pod, runtimePod: RuntimePod, periodUs: number): ContainerResize[] {
  return resizable(pod).flatMap((container): ContainerResize[] => {
    const newest = newestContainer(runtimePod, container.name);
    if (newest?.state !== 'running' || !newest.resources) return [];
    const [has, wants] = [newest.resources, runtimeResources(container, periodUs)];
    const changesCpu = has.cpuShares !== wants.cpuShares || quotaOf(has) !== quotaOf(wants);
    const changesMemory = memoryOf(has) !== memoryOf(wants);
    if (!changesCpu && !changesMemory) return [];
    const restarts = (name: string): boolean => (container.resizePolicy ?? []).some((policy) => policy.resourceName === name && policy.restartPolicy === 'RestartContainer');
    return [{ container, id: newest.id, resources: wants, needsRestart: (changesCpu && restarts('cpu')) || (changesMemory && restarts('memory')) }];
  });
}
const quotaOf = ({ cpuQuota: quota, cpuPeriod }: RuntimeResources): number => (quota > 0 ? quota / (cpuPeriod || 100_000) : 0);
const memoryOf = ({ memoryLimitInBytes }: RuntimeResources): number => Math.max(0, memoryLimitInBytes);

/** Whether a running container has what its pod has been given. */
export const isActuated = (container: Container, { resources }: RuntimeContainer, periodUs: number): boolean => {
  if (!resources) return true; // a runtime that does not tell
  const wants = runtimeResources(container, periodUs);
  return resources.cpuShares === wants.cpuShares && quotaOf(resources) === quotaOf(wants) && memoryOf(resources) === memoryOf(wants);
};

/** How a resize stands, as conditions and events tell it. */
export interface ResizeState {
  readonly pending?: ResizeRefusal & { readonly generation: number | undefined };
  readonly inProgress?: { readonly generation: number | undefined; readonly error?: string };
}

export function resizeConditions({ pending, inProgress }: ResizeState): PodCondition[] {
  return [
    ...(pending ? [{ type: 'PodResizePending', status: 'True', reason: pending.reason, message: pending.message, observedGeneration: pending.generation }] : []),
    ...(inProgress ? [{ type: 'PodResizeInProgress', status: 'True', ...(inProgress.error === undefined ? {} : { reason: 'Error', message: inProgress.error }), observedGeneration: inProgress.generation }] : []),
  ];
}

/** The JSON that events about a resize carry. */
export function resizeEventText(pod: Pod, generation: number | undefined, error?: string): string {
  return JSON.stringify({ containers: resizable(pod).map(({ name, resources = {} }) => ({ name, resources: { limits: resources.limits, requests: resources.requests } })), generation, error });
}
