// Limits of the node's cgroups from its declared or real size. Source: pkg/kubelet/cm/node_container_manager_linux.go,
// qos_container_manager_linux.go; the CPU limit of a declared size is ours.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { integerValue, milliValue } from '#lib/machinery/quantity.ts';
import type { CgroupSettings } from './cgroup-settings.ts';
import { capacities, type CapacitySettings, type MachineFacts } from './node-status.ts';
import { cpuQuota, cpuShares, podRequests, qosClassOf } from './resources.ts';

/**
 * For the cgroup of all pods: memory up to what is not reserved (eviction acts before that), CPU by weight. A declared
 * number of CPUs is a limit, too: the machine has more, and pods would get them.
 */
export function kubepodsLimits(facts: MachineFacts, settings: CapacitySettings, periodUs: number): CgroupSettings {
  const { capacity, allocatable } = capacities(facts, { ...settings, evictionHard: {} });
  const milli = milliValue(allocatable['cpu']);
  return {
    cpuShares: cpuShares(milli), memoryLimit: integerValue(allocatable['memory']),
    ...(settings.cpu === '' || milliValue(capacity['cpu']) >= facts.cpuCount * 1000 ? {} : { cpuQuota: cpuQuota(milli, periodUs), cpuPeriod: periodUs }),
  };
}

/** CPU weights of the classes that share what guaranteed pods leave. */
export function qosShares(pods: readonly Pod[]): { readonly burstable: number; readonly besteffort: number } {
  const milli = pods.filter((pod) => qosClassOf(pod) === 'Burstable').reduce((sum, pod) => sum + (podRequests(pod)['cpu'] ?? 0), 0);
  return { burstable: cpuShares(milli), besteffort: cpuShares(0) };
}

/** For the cgroup of one pod: its limits together, where every container has one. Source: ResourceConfigForPod. */
export function podLimits(pod: Pod, periodUs: number, pidsLimit: number): CgroupSettings {
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')];
  const own = pod.spec.resources?.limits;
  const sum = (name: string, amount: (text: string | undefined) => number): number | undefined => {
    if (own?.[name] !== undefined) return amount(own[name]);
    const limits = containers.map(({ resources }) => amount(resources?.limits?.[name]));
    const single = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy !== 'Always').map(({ resources }) => amount(resources?.limits?.[name]));
    return limits.every((limit) => limit > 0) && single.every((limit) => limit > 0) ? Math.max(limits.reduce((total, limit) => total + limit, 0), ...single) : undefined;
  };
  const [cpu, memory] = [sum('cpu', milliValue), sum('memory', integerValue)];
  const shares = cpuShares(podRequests(pod)['cpu'] ?? 0);
  return { cpuShares: shares, cpuQuota: cpu === undefined ? -1 : cpuQuota(cpu, periodUs), cpuPeriod: periodUs, memoryLimit: memory ?? -1, ...(pidsLimit > 0 ? { pids: pidsLimit } : {}) };
}
