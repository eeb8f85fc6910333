// What the node and its pods use, from the runtime's figures: the summary API and its Prometheus forms.
// Source: pkg/kubelet/server/stats, apis/stats/v1alpha1.
import { statfs } from 'node:fs/promises';
import { readFile } from 'node:fs/promises';
import type { ContainerStats } from '#lib/cri/messages.ts';
import { msOfNanoseconds } from '#lib/cri/codec.ts';
import { LABEL } from '../../core/runtime-config.ts';
import type { PodWorkers } from '../pod-workers.ts';
import type { Runtime } from '../runtime.ts';

export interface StatsOptions {
  readonly runtime: Runtime;
  readonly workers: PodWorkers;
  readonly nodeName: string;
  readonly rootFolder: string;
  readonly memoryBytes: number;
  readonly startedMs: number;
  readonly nowMs: () => number;
}

interface CpuStats { readonly time: string; readonly usageNanoCores: number; readonly usageCoreNanoSeconds: number }
interface MemoryStats { readonly time: string; readonly availableBytes?: number; readonly usageBytes: number; readonly workingSetBytes: number; readonly rssBytes: number; readonly pageFaults: number; readonly majorPageFaults: number }
interface ContainerSummary { readonly name: string; readonly startTime: string; readonly cpu: CpuStats; readonly memory: MemoryStats; readonly rootfs?: unknown }
interface PodSummary {
  readonly podRef: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly startTime: string;
  readonly containers: readonly ContainerSummary[];
  readonly cpu: CpuStats;
  readonly memory: MemoryStats;
}
export interface Summary {
  readonly node: { readonly nodeName: string; readonly startTime: string; readonly cpu: CpuStats; readonly memory: MemoryStats; readonly fs: unknown };
  readonly pods: readonly PodSummary[];
}

const iso = (ms: number): string => new Date(ms).toISOString();

function cpuOf({ cpu }: ContainerStats, nowMs: number): CpuStats {
  return { time: cpu ? iso(msOfNanoseconds(cpu.timestamp)) : iso(nowMs), usageNanoCores: cpu?.usageNanoCores?.value ?? 0, usageCoreNanoSeconds: cpu?.usageCoreNanoSeconds?.value ?? 0 };
}
function memoryOf({ memory }: ContainerStats, nowMs: number): MemoryStats {
  return {
    time: memory ? iso(msOfNanoseconds(memory.timestamp)) : iso(nowMs),
    usageBytes: memory?.usageBytes?.value ?? memory?.workingSetBytes?.value ?? 0, workingSetBytes: memory?.workingSetBytes?.value ?? 0,
    rssBytes: memory?.rssBytes?.value ?? 0, pageFaults: memory?.pageFaults?.value ?? 0, majorPageFaults: memory?.majorPageFaults?.value ?? 0,
  };
}
const total = <T extends object>(first: T, all: readonly T[], keys: readonly (keyof T)[]): T =>
  ({ ...first, ...Object.fromEntries(keys.map((key) => [key, all.reduce((sum, one) => sum + Number(one[key]), 0)])) });
const CPU_SUMS = ['usageNanoCores', 'usageCoreNanoSeconds'] as const;
const MEMORY_SUMS = ['usageBytes', 'workingSetBytes', 'rssBytes', 'pageFaults', 'majorPageFaults'] as const;

/** CPU of the whole node between two looks. */
let lastNodeCpu: { readonly busyNs: number; readonly atMs: number } | undefined;

async function nodeCpu(nowMs: number): Promise<CpuStats> {
  const [, user = '0', nice = '0', system = '0', , , irq = '0', softirq = '0'] = (await readFile('/proc/stat', 'utf8')).split('\n', 1)[0]?.split(/\s+/) ?? [];
  // /proc/stat counts in hundredths of a second.
  const busyNs = [user, nice, system, irq, softirq].reduce((sum, ticks) => sum + Number(ticks), 0) * 10_000_000;
  const before = lastNodeCpu;
  lastNodeCpu = { busyNs, atMs: nowMs };
  const usageNanoCores = before && nowMs > before.atMs ? Math.max(0, Math.round(((busyNs - before.busyNs) * 1000) / (nowMs - before.atMs))) : 0;
  return { time: iso(nowMs), usageNanoCores, usageCoreNanoSeconds: busyNs };
}

export async function summary({ runtime, workers, nodeName, rootFolder, memoryBytes, startedMs, nowMs }: StatsOptions): Promise<Summary> {
  const now = nowMs();
  const [{ stats }, disk, meminfo, cpu] = await Promise.all([runtime.cri.listContainerStats({}), statfs(rootFolder), readFile('/proc/meminfo', 'utf8'), nodeCpu(now)]);
  const available = Number(/^MemAvailable:\s+(\d+)/m.exec(meminfo)?.[1] ?? 0) * 1024;
  const groups = new Map<string, ContainerStats[]>();
  for (const one of stats) {
    const uid = one.attributes?.labels[LABEL.podUid];
    if (uid !== undefined) groups.set(uid, [...(groups.get(uid) ?? []), one]);
  }
  const pods = [...groups].flatMap(([uid, members]): PodSummary[] => {
    const worker = workers.get(uid);
    if (!worker) return [];
    const containers = members.map((one): ContainerSummary => {
      const name = one.attributes?.labels[LABEL.containerName] ?? '';
      const startedAt = worker.runtimePod.containers.find(({ id }) => id === one.attributes?.id)?.startedAtMs ?? now;
      const layer = one.writableLayer;
      return {
        name, startTime: iso(startedAt), cpu: cpuOf(one, now), memory: memoryOf(one, now),
        ...(layer ? { rootfs: { time: iso(msOfNanoseconds(layer.timestamp)), usedBytes: layer.usedBytes?.value ?? 0, inodesUsed: layer.inodesUsed?.value ?? 0 } } : {}),
      };
    });
    const [first] = containers;
    if (!first) return [];
    const { name, namespace = 'default' } = worker.pod.metadata;
    return [{
      podRef: { name, namespace, uid }, startTime: worker.pod.status?.startTime ?? first.startTime, containers,
      cpu: total(first.cpu, containers.map((one) => one.cpu), CPU_SUMS), memory: total(first.memory, containers.map((one) => one.memory), MEMORY_SUMS),
    }];
  });
  return {
    node: {
      nodeName, startTime: iso(startedMs), cpu,
      memory: { time: iso(now), availableBytes: available, usageBytes: memoryBytes - available, workingSetBytes: memoryBytes - available, rssBytes: 0, pageFaults: 0, majorPageFaults: 0 },
      fs: { time: iso(now), availableBytes: disk.bavail * disk.bsize, capacityBytes: disk.blocks * disk.bsize, usedBytes: (disk.blocks - disk.bfree) * disk.bsize, inodesFree: disk.ffree, inodes: disk.files, inodesUsed: disk.files - disk.ffree },
    },
    pods,
  };
}

const label = (text: string): string => text.replace(/\\/g, '\\\\').replace(/"/g, '\\"');

/** /metrics/resource. Source: pkg/kubelet/metrics/collectors/resource_metrics.go. */
export function resourceMetrics({ node, pods }: Summary): string {
  const lines: string[] = [];
  const family = (name: string, type: 'counter' | 'gauge', help: string, rows: readonly string[]): void => void lines.push(`# HELP ${name} [STABLE] ${help}`, `# TYPE ${name} ${type}`, ...rows.map((row) => `${name}${row}`));
  const at = (time: string): number => Date.parse(time);
  const perContainer = (value: (container: ContainerSummary) => string): string[] => pods.flatMap(({ podRef, containers }) => containers.map((container) => `{container="${label(container.name)}",namespace="${label(podRef.namespace)}",pod="${label(podRef.name)}"} ${value(container)}`));
  const perPod = (value: (pod: PodSummary) => string): string[] => pods.map((pod) => `{namespace="${label(pod.podRef.namespace)}",pod="${label(pod.podRef.name)}"} ${value(pod)}`);
  family('container_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the container in core-seconds', perContainer(({ cpu }) => `${cpu.usageCoreNanoSeconds / 1e9} ${at(cpu.time)}`));
  family('container_memory_working_set_bytes', 'gauge', 'Current working set of the container in bytes', perContainer(({ memory }) => `${memory.workingSetBytes} ${at(memory.time)}`));
  family('container_start_time_seconds', 'gauge', 'Start time of the container since unix epoch in seconds', perContainer(({ startTime }) => `${at(startTime) / 1000}`));
  family('node_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the node in core-seconds', [` ${node.cpu.usageCoreNanoSeconds / 1e9} ${at(node.cpu.time)}`]);
  family('node_memory_working_set_bytes', 'gauge', 'Current working set of the node in bytes', [` ${node.memory.workingSetBytes} ${at(node.memory.time)}`]);
  family('pod_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the pod in core-seconds', perPod(({ cpu }) => `${cpu.usageCoreNanoSeconds / 1e9} ${at(cpu.time)}`));
  family('pod_memory_working_set_bytes', 'gauge', 'Current working set of the pod in bytes', perPod(({ memory }) => `${memory.workingSetBytes} ${at(memory.time)}`));
  family('resource_scrape_error', 'gauge', '1 if there was an error while getting container metrics, 0 otherwise', [' 0']);
  return `${lines.join('\n')}\n`;
}

/** /metrics/cadvisor: the families that dashboards ask for most. */
export function cadvisorMetrics({ pods }: Summary): string {
  const rows = (value: (container: ContainerSummary) => number): string[] => pods.flatMap(({ podRef, containers }) => containers.map((container) => `{container="${label(container.name)}",namespace="${label(podRef.namespace)}",pod="${label(podRef.name)}"} ${value(container)}`));
  const family = (name: string, type: string, help: string, values: readonly string[]): string => [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...values.map((row) => `${name}${row}`)].join('\n');
  return `${[
    family('container_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed in seconds.', rows(({ cpu }) => cpu.usageCoreNanoSeconds / 1e9)),
    family('container_memory_working_set_bytes', 'gauge', 'Current working set in bytes.', rows(({ memory }) => memory.workingSetBytes)),
    family('container_memory_usage_bytes', 'gauge', 'Current memory usage in bytes, including all memory regardless of when it was accessed', rows(({ memory }) => memory.usageBytes)),
    family('container_memory_rss', 'gauge', 'Size of RSS in bytes.', rows(({ memory }) => memory.rssBytes)),
    family('container_start_time_seconds', 'gauge', 'Start time of the container since unix epoch in seconds.', rows(({ startTime }) => Date.parse(startTime) / 1000)),
  ].join('\n')}\n`;
}
