// Requests and limits: quality of service, cgroup settings, and what a pod takes from its node.
// Source: pkg/apis/core/v1/helper/qos, pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos/policy.go.
import type { Container, Pod } from '#lib/kinds/types/core-v1.ts';
import { integerValue, milliValue } from '#lib/machinery/quantity.ts';
import { initContainersOf, isSidecar, isStaticPod, isMirrorPod, uidOf } from './pod-spec.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

const QOS_RESOURCES = ['cpu', 'memory'] as const;
const isPositive = (quantity: string | undefined): boolean => quantity !== undefined && milliValue(quantity) > 0;

export function qosClassOf(pod: Pod): QosClass {
  if (pod.spec.resources) return qosOfSet([pod.spec.resources]);
  return qosOfSet([...pod.spec.containers, ...initContainersOf(pod)].map(({ resources }) => resources ?? {}));
}
function qosOfSet(all: readonly { readonly limits?: Record<string, string> | undefined; readonly requests?: Record<string, string> | undefined }[]): QosClass {
  let hasAny = false;
  let isGuaranteed = true;
  for (const { limits, requests } of all) {
    for (const name of QOS_RESOURCES) {
      const [limit, request] = [limits?.[name], requests?.[name] ?? limits?.[name]];
      if (isPositive(limit) || isPositive(request)) hasAny = true;
      if (!isPositive(limit) || milliValue(limit) !== milliValue(request)) isGuaranteed = false;
    }
  }
  if (!hasAny) return 'BestEffort';
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}

const MIN_SHARES = 2;
const MAX_SHARES = 262_144;
/** Source: MilliCPUToShares. */
export const cpuShares = (milliCpu: number): number => (milliCpu === 0 ? MIN_SHARES : Math.min(MAX_SHARES, Math.max(MIN_SHARES, Math.floor((milliCpu * 1024) / 1000))));
/** Microseconds per period; 0: no limit. Source: MilliCPUToQuota; the least is 1 ms. */
export const cpuQuota = (milliCpu: number, periodUs: number): number => (milliCpu === 0 ? 0 : Math.max(1000, Math.floor((milliCpu * periodUs) / 1000)));

const SYSTEM_NODE_CRITICAL = 2_000_001_000;

/** `memoryCapacity` in bytes. */
export function oomScoreAdjust(pod: Pod, container: Container, memoryCapacity: number): number {
  if ((pod.spec.priority ?? 0) >= SYSTEM_NODE_CRITICAL || (isStaticPod(pod) && pod.spec.priorityClassName === 'system-node-critical') || isMirrorPod(pod)) return -997;
  switch (qosClassOf(pod)) {
    case 'Guaranteed': return -997;
    case 'BestEffort': return 1000;
    case 'Burstable': {
      const request = integerValue(container.resources?.requests?.['memory']);
      const score = 1000 - Math.floor((1000 * request) / Math.max(1, memoryCapacity));
      return Math.min(999, Math.max(3, score));
    }
  }
}

const joinPath = (root: string, ...parts: readonly string[]): string => `${root.replace(/\/+$/, '')}/${parts.join('/')}`;

/** The parent of the pod's containers' cgroups, below `cgroupRoot`, with the cgroupfs driver. */
export function podCgroupParent(pod: Pod, cgroupRoot: string, perQos: boolean): string {
  if (!perQos) return cgroupRoot === '/' ? '' : cgroupRoot;
  const name = `pod${uidOf(pod)}`;
  switch (qosClassOf(pod)) {
    case 'Guaranteed': return joinPath(cgroupRoot, 'kubepods', name);
    case 'Burstable': return joinPath(cgroupRoot, 'kubepods', 'burstable', name);
    case 'BestEffort': return joinPath(cgroupRoot, 'kubepods', 'besteffort', name);
  }
}

export type Amounts = Readonly<Record<string, number>>;

/** Counts CPU in thousandths, everything else in units. */
export const amountOf = (resource: string, quantity: string | undefined): number => (resource === 'cpu' ? milliValue(quantity) : integerValue(quantity));

function add(into: Record<string, number>, requests: Readonly<Record<string, string>> | undefined): void {
  for (const [name, quantity] of Object.entries(requests ?? {})) into[name] = (into[name] ?? 0) + amountOf(name, quantity);
}

/**
 * What the scheduler reserved for the pod: the containers and sidecars together, or the most that any step of the
 * initialization needs, and the overhead. Source: component-helpers/resource, PodRequests.
 */
export function podRequests(pod: Pod): Amounts {
  const total: Record<string, number> = {};
  for (const { resources } of pod.spec.containers) add(total, resources?.requests);
  const sidecars: Record<string, number> = {};
  const peak: Record<string, number> = {};
  for (const container of initContainersOf(pod)) {
    if (isSidecar(container)) {
      add(total, container.resources?.requests);
      add(sidecars, container.resources?.requests);
    } else {
      const step: Record<string, number> = { ...sidecars };
      add(step, container.resources?.requests);
      for (const [name, amount] of Object.entries(step)) peak[name] = Math.max(peak[name] ?? 0, amount);
    }
  }
  for (const [name, amount] of Object.entries(peak)) total[name] = Math.max(total[name] ?? 0, amount);
  for (const [name, quantity] of Object.entries(pod.spec.resources?.requests ?? {})) total[name] = amountOf(name, quantity);
  add(total, pod.spec.overhead);
  return total;
}
