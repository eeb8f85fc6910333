// What the node and its pods use: from cgroups and the runtime's figures, from /proc where there are no cgroups.
// Source: pkg/kubelet/server/stats, apis/stats/v1alpha1.
import { readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CriError } from '#lib/cri/client.ts';
import type { ContainerStats, PodSandboxStats } from '#lib/cri/messages.ts';
import { msOfNanoseconds } from '#lib/cri/codec.ts';
import type { Environment } from '#lib/environment/environment.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { diskSpace, DiskMeter, type DiskUsage } from '#lib/service/disk-usage.ts';
import type { PodUsage } from '../core/eviction/ranking.ts';
import type { Observation, Observations, Signal } from '../core/eviction/thresholds.ts';
import { podCgroupParent } from '../core/resources.ts';
import { LABEL, podLogFolder } from '../core/runtime-config.ts';
import type { NodeCgroups } from './node-cgroups.ts';
import type { PodWorker } from './pod-worker.ts';
import type { PodWorkers } from './pod-workers.ts';
import { usageOfAllProcesses } from './process-usage.ts';
import type { Runtime } from './runtime.ts';
import type { Volumes } from './volumes.ts';

/** How old the size of a folder may be. Milliseconds. */
const DISK_MAX_AGE_MS = 10_000;
/** Rates over less than this say nothing: the counters move in steps. Milliseconds. */
const LEAST_RATE_MS = 1_000;
/** The PID namespace of the machine itself. Source: Linux, PROC_PID_INIT_INO. */
const MACHINE_PID_NAMESPACE = 'pid:[4026531836]';
const UNIMPLEMENTED = 12;

export interface NodeStatsOptions extends Environment {
  readonly runtime: Runtime;
  readonly workers: () => PodWorkers;
  readonly volumes: Volumes;
  readonly cgroups: NodeCgroups;
  readonly cgroupRoot: string;
  readonly cgroupsPerQos: boolean;
  readonly nodeName: string;
  readonly rootFolder: string;
  readonly imageFolder: string;
  readonly logsRoot: string;
  /** Bytes, as the node's capacity says. */
  readonly memoryCapacity: number;
  /** The capacity is not the machine's own. */
  readonly isMemoryDeclared: boolean;
}

export interface CpuStats { readonly time: string; readonly usageNanoCores: number; readonly usageCoreNanoSeconds: number }
export interface MemoryStats { readonly time: string; readonly availableBytes?: number; readonly usageBytes: number; readonly workingSetBytes: number; readonly rssBytes: number; readonly pageFaults: number; readonly majorPageFaults: number }
export interface FsStats { readonly time: string; readonly availableBytes: number; readonly capacityBytes: number; readonly usedBytes: number; readonly inodesFree: number; readonly inodes: number; readonly inodesUsed: number }
export interface NetworkStats { readonly time: string; readonly name: string; readonly rxBytes: number; readonly rxErrors: number; readonly txBytes: number; readonly txErrors: number; readonly interfaces: readonly unknown[] }
export interface ContainerSummary { readonly name: string; readonly startTime: string; readonly cpu: CpuStats; readonly memory: MemoryStats; readonly rootfs?: FsStats; readonly logs?: FsStats }
export interface PodSummary {
  readonly podRef: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly startTime: string;
  readonly containers: readonly ContainerSummary[];
  readonly cpu: CpuStats;
  readonly memory: MemoryStats;
  readonly network?: NetworkStats;
  readonly volume?: readonly (FsStats & { readonly name: string })[];
  readonly 'ephemeral-storage'?: FsStats;
  readonly process_stats?: { readonly process_count: number };
}
export interface Summary {
  readonly node: {
    readonly nodeName: string; readonly startTime: string; readonly cpu: CpuStats; readonly memory: MemoryStats;
    readonly systemContainers?: readonly { readonly name: string; readonly startTime: string; readonly cpu: CpuStats; readonly memory: MemoryStats }[];
    readonly fs?: FsStats; readonly runtime?: { readonly imageFs: FsStats; readonly containerFs: FsStats }; readonly rlimit?: { readonly time: string; readonly maxpid: number; readonly curproc: number };
  };
  readonly pods: readonly PodSummary[];
}

const iso = (ms: number): string => new Date(ms).toISOString();
const total = <T extends object>(first: T, all: readonly T[], keys: readonly (keyof T)[]): T =>
  ({ ...first, ...Object.fromEntries(keys.map((key) => [key, all.reduce((sum, one) => sum + Number(one[key]), 0)])) });
const CPU_SUMS = ['usageNanoCores', 'usageCoreNanoSeconds'] as const;
const MEMORY_SUMS = ['usageBytes', 'workingSetBytes', 'rssBytes', 'pageFaults', 'majorPageFaults'] as const;

interface Usage { readonly cpuNs: number; readonly memoryBytes: number; readonly workingSetBytes: number; readonly rssBytes: number; readonly pageFaults: number; readonly majorPageFaults: number }

export class NodeStats {
  readonly #options: NodeStatsOptions;
  readonly #meter: DiskMeter;
  readonly #startedMs: number;
  readonly #rates = new Map<string, { cpuNs: number; atMs: number; nanoCores: number }>();
  #mostCpuNs = 0;

  constructor(options: NodeStatsOptions) {
    this.#options = options;
    this.#startedMs = options.clock.nowMs();
    this.#meter = new DiskMeter(() => options.clock.nowMs());
  }

  /** `onlyCpuAndMemory`: without looking at any disk. */
  async summary({ onlyCpuAndMemory }: { readonly onlyCpuAndMemory: boolean }): Promise<Summary> {
    const { runtime, nodeName, clock } = this.#options;
    const [{ stats }, sandboxes, usage] = await Promise.all([runtime.cri.listContainerStats({}), onlyCpuAndMemory ? [] : this.#sandboxStats(), this.#nodeUsage()]);
    const nowMs = clock.nowMs();
    const groups = new Map<string, ContainerStats[]>();
    for (const one of stats) {
      const uid = one.attributes?.labels[LABEL.podUid];
      if (uid !== undefined && one.cpu) groups.set(uid, [...(groups.get(uid) ?? []), one]);
    }
    const disk = onlyCpuAndMemory ? undefined : await this.#fs(this.#options.rootFolder, nowMs);
    const pods = await Promise.all([...groups].map(async ([uid, members]): Promise<PodSummary | undefined> => {
      const worker = this.#options.workers().get(uid);
      return worker && this.#pod(worker, members, sandboxes.find(({ attributes }) => attributes?.labels[LABEL.podUid] === uid), disk, nowMs);
    }));
    const node = { nodeName, startTime: iso(this.#startedMs), cpu: this.#cpu('node', usage.cpuNs, nowMs), memory: { ...memoryStats(usage, nowMs), availableBytes: await this.#availableMemory(usage) } };
    return { node: disk ? { ...node, ...(await this.#nodeExtras(disk, nowMs)) } : node, pods: pods.filter((pod) => pod !== undefined) };
  }

  /** What the eviction thresholds are held against. */
  async observations(): Promise<Observations> {
    const { memoryCapacity, rootFolder, imageFolder, cgroups, cgroupRoot } = this.#options;
    const nowMs = this.#options.clock.nowMs();
    const [usage, nodefs, imagefs, pids, podsMemory] = await Promise.all([
      this.#nodeUsage(), this.#fs(rootFolder, nowMs), this.#fs(imageFolder, nowMs).catch(missing), pidLimits(), cgroups.usage(join(cgroupRoot, 'kubepods')),
    ]);
    const seen = new Map<Signal, Observation>();
    seen.set('memory.available', { available: await this.#availableMemory(usage), capacity: memoryCapacity });
    if (podsMemory) seen.set('allocatableMemory.available', { available: Math.max(0, memoryCapacity - podsMemory.workingSetBytes), capacity: memoryCapacity });
    for (const [name, fs] of [['nodefs', nodefs], ['imagefs', imagefs]] as const) {
      if (!fs) continue; // the folder of images comes with the first one
      seen.set(`${name}.available`, { available: fs.availableBytes, capacity: fs.capacityBytes });
      if (fs.inodes > 0) seen.set(`${name}.inodesFree`, { available: fs.inodesFree, capacity: fs.inodes });
    }
    seen.set('pid.available', { available: pids.maxpid - pids.curproc, capacity: pids.maxpid });
    return seen;
  }

  /** By uid. */
  async podUsages(): Promise<Map<string, PodUsage>> {
    const { pods } = await this.summary({ onlyCpuAndMemory: false });
    return new Map(pods.map((pod) => {
      const spec = this.#options.workers().get(pod.podRef.uid)?.pod;
      const bytesOf = ({ rootfs, logs }: ContainerSummary): number => (rootfs?.usedBytes ?? 0) + (logs?.usedBytes ?? 0);
      return [pod.podRef.uid, {
        memoryBytes: pod.memory.workingSetBytes,
        diskBytes: pod['ephemeral-storage']?.usedBytes ?? 0, inodes: pod['ephemeral-storage']?.inodesUsed ?? 0,
        processes: pod.process_stats?.process_count ?? 0,
        containers: new Map(pod.containers.map((one) => [one.name, { memoryBytes: one.memory.workingSetBytes, diskBytes: bytesOf(one) }])),
        emptyDirs: new Map((pod.volume ?? []).filter(({ name }) => spec?.spec.volumes?.some((volume) => volume.name === name && volume.emptyDir)).map(({ name, usedBytes }) => [name, usedBytes])),
      }];
    }));
  }

  async #pod({ pod, uid, runtimePod }: PodWorker, members: readonly ContainerStats[], sandbox: PodSandboxStats | undefined, disk: FsStats | undefined, nowMs: number): Promise<PodSummary | undefined> {
    const { logsRoot } = this.#options;
    const { name, namespace = 'default' } = pod.metadata;
    const containers = await Promise.all(members.map(async (one): Promise<ContainerSummary> => {
      const container = one.attributes?.labels[LABEL.containerName] ?? '';
      const id = one.attributes?.id ?? '';
      const atMs = one.cpu ? msOfNanoseconds(one.cpu.timestamp) : nowMs;
      const layer: DiskUsage = { bytes: one.writableLayer?.usedBytes?.value ?? 0, inodes: one.writableLayer?.inodesUsed?.value ?? 0 };
      return {
        name: container, startTime: iso(runtimePod.containers.find((known) => known.id === id)?.startedAtMs ?? nowMs),
        cpu: this.#cpu(id, one.cpu?.usageCoreNanoSeconds?.value ?? 0, atMs), memory: containerMemory(one, nowMs),
        ...(disk ? { rootfs: partOf(disk, layer, nowMs), logs: partOf(disk, await this.#meter.of(join(logsRoot, podLogFolder(pod), container), DISK_MAX_AGE_MS), nowMs) } : {}),
      };
    }));
    const [first] = containers;
    if (!first) return undefined;
    const summary: PodSummary = {
      podRef: { name, namespace, uid }, startTime: pod.status?.startTime ?? first.startTime, containers,
      cpu: total(first.cpu, containers.map((one) => one.cpu), CPU_SUMS), memory: total(memoryWithoutLimit(first.memory), containers.map((one) => one.memory), MEMORY_SUMS),
    };
    return disk ? { ...summary, ...(await this.#podExtras(pod, containers, sandbox, disk, nowMs)) } : summary;
  }

  async #podExtras(pod: Pod, containers: readonly ContainerSummary[], sandbox: PodSandboxStats | undefined, disk: FsStats, nowMs: number): Promise<Partial<PodSummary>> {
    const { volumes, cgroups, cgroupRoot, cgroupsPerQos } = this.#options;
    const uid = pod.metadata.uid ?? '';
    const local = (pod.spec.volumes ?? []).filter(({ emptyDir }) => emptyDir);
    const sizes = await Promise.all(local.map(({ name }) => this.#meter.of(join(volumes.podFolder(uid), 'volumes', 'kubernetes.io~empty-dir', name), DISK_MAX_AGE_MS)));
    const onDisk = [...containers.flatMap(({ rootfs, logs }) => [rootfs, logs]).map((fs) => ({ bytes: fs?.usedBytes ?? 0, inodes: fs?.inodesUsed ?? 0 })), ...sizes.filter((_, index) => local[index]?.emptyDir?.medium !== 'Memory')];
    const used = { bytes: onDisk.reduce((sum, { bytes }) => sum + bytes, 0), inodes: onDisk.reduce((sum, { inodes }) => sum + inodes, 0) };
    const network = sandbox?.linux?.network?.defaultInterface;
    const processes = (await cgroups.processes(podCgroupParent(pod, cgroupRoot, cgroupsPerQos))) ?? sandbox?.linux?.process?.processCount?.value;
    return {
      ...(network ? { network: networkStats(network, nowMs) } : {}),
      ...(local.length > 0 ? { volume: local.map(({ name }, index) => ({ ...partOf(disk, sizes[index] ?? { bytes: 0, inodes: 0 }, nowMs), name })) } : {}),
      'ephemeral-storage': partOf(disk, used, nowMs),
      ...(processes === undefined ? {} : { process_stats: { process_count: processes } }),
    };
  }

  async #nodeExtras(disk: FsStats, nowMs: number): Promise<Omit<Summary['node'], 'nodeName' | 'startTime' | 'cpu' | 'memory'>> {
    const { imageFolder, cgroups, cgroupRoot } = this.#options;
    const [imageFs, pods, rlimit] = await Promise.all([this.#fs(imageFolder, nowMs).catch(missing), cgroups.usage(join(cgroupRoot, 'kubepods')), pidLimits()]);
    return {
      fs: disk, ...(imageFs ? { runtime: { imageFs, containerFs: imageFs } } : {}), rlimit: { time: iso(nowMs), ...rlimit },
      ...(pods ? { systemContainers: [{ name: 'pods', startTime: iso(this.#startedMs), cpu: this.#cpu('pods', pods.cpuNs, nowMs), memory: memoryStats(pods, nowMs) }] } : {}),
    };
  }

  /** Of the runtime's pods: network and processes, where it tells. */
  async #sandboxStats(): Promise<readonly PodSandboxStats[]> {
    try {
      return (await this.#options.runtime.cri.listPodSandboxStats({})).stats;
    } catch (error) {
      if (!(error instanceof CriError)) throw error;
      return error.code === UNIMPLEMENTED ? [] : this.#statsOfEachSandbox();
    }
  }

  /** containerd 1.6 refuses the whole list while one sandbox is not ready. What goes away meanwhile is passed over. */
  async #statsOfEachSandbox(): Promise<readonly PodSandboxStats[]> {
    const { cri } = this.#options.runtime;
    const { items } = await cri.listPodSandbox({ filter: { state: { state: 'SANDBOX_READY' } } });
    const each = await Promise.allSettled(items.map(({ id }) => cri.podSandboxStats({ podSandboxId: id })));
    return each.flatMap((result) => (result.status === 'fulfilled' && result.value.stats ? [result.value.stats] : []));
  }

  /** Everything on this host: its cgroup; on a machine of its own what the kernel says; else the sum of its processes. */
  async #nodeUsage(): Promise<Usage> {
    const { cgroups, cgroupRoot } = this.#options;
    const counted = await cgroups.usage(cgroupRoot);
    if (counted) return counted;
    const rest = { rssBytes: 0, pageFaults: 0, majorPageFaults: 0 };
    if ((await readlink('/proc/self/ns/pid')) === MACHINE_PID_NAMESPACE) {
      const meminfo = await readMeminfo();
      const used = meminfo('MemTotal') - meminfo('MemAvailable');
      return { ...rest, cpuNs: await machineCpuNs(), memoryBytes: meminfo('MemTotal') - meminfo('MemFree'), workingSetBytes: used };
    }
    const { cpuNs, memoryBytes } = await usageOfAllProcesses();
    this.#mostCpuNs = Math.max(this.#mostCpuNs, cpuNs); // a process that nobody waited for takes its time with it
    return { ...rest, cpuNs: this.#mostCpuNs, memoryBytes, workingSetBytes: memoryBytes, rssBytes: memoryBytes };
  }

  /** Of a declared size what the node has not used; else what the machine, which others use too, has left. */
  async #availableMemory({ workingSetBytes }: Usage): Promise<number> {
    const { memoryCapacity, isMemoryDeclared } = this.#options;
    const own = Math.max(0, memoryCapacity - workingSetBytes);
    return isMemoryDeclared ? own : Math.min(own, (await readMeminfo())('MemAvailable'));
  }

  #cpu(key: string, cpuNs: number, atMs: number): CpuStats {
    const before = this.#rates.get(key);
    const sinceMs = before ? atMs - before.atMs : 0;
    if (before && sinceMs < LEAST_RATE_MS) return { time: iso(atMs), usageNanoCores: before.nanoCores, usageCoreNanoSeconds: cpuNs };
    const nanoCores = before ? Math.max(0, Math.round(((cpuNs - before.cpuNs) * 1000) / sinceMs)) : 0;
    this.#rates.delete(key);
    this.#rates.set(key, { cpuNs, atMs, nanoCores });
    for (const [name, { atMs: lastMs }] of this.#rates) if (atMs - lastMs > 300_000) this.#rates.delete(name);
    return { time: iso(atMs), usageNanoCores: nanoCores, usageCoreNanoSeconds: cpuNs };
  }

  async #fs(folder: string, nowMs: number): Promise<FsStats> {
    const { bavail, bfree, bsize, blocks, files, ffree } = await diskSpace(folder);
    return { time: iso(nowMs), availableBytes: bavail * bsize, capacityBytes: blocks * bsize, usedBytes: (blocks - bfree) * bsize, inodesFree: ffree, inodes: files, inodesUsed: files - ffree };
  }
}

const partOf = (disk: FsStats, { bytes, inodes }: DiskUsage, nowMs: number): FsStats => ({ ...disk, time: iso(nowMs), usedBytes: bytes, inodesUsed: inodes });

const memoryStats = ({ memoryBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults }: Usage, nowMs: number): MemoryStats =>
  ({ time: iso(nowMs), usageBytes: memoryBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults });
function memoryWithoutLimit({ availableBytes: _, ...rest }: MemoryStats): MemoryStats {
  return rest;
}
function containerMemory({ memory }: ContainerStats, nowMs: number): MemoryStats {
  const available = memory?.availableBytes?.value;
  return {
    time: memory ? iso(msOfNanoseconds(memory.timestamp)) : iso(nowMs), ...(available === undefined ? {} : { availableBytes: available }),
    usageBytes: memory?.usageBytes?.value ?? memory?.workingSetBytes?.value ?? 0, workingSetBytes: memory?.workingSetBytes?.value ?? 0,
    rssBytes: memory?.rssBytes?.value ?? 0, pageFaults: memory?.pageFaults?.value ?? 0, majorPageFaults: memory?.majorPageFaults?.value ?? 0,
  };
}

function networkStats({ name, rxBytes, rxErrors, txBytes, txErrors }: NonNullable<NonNullable<NonNullable<PodSandboxStats['linux']>['network']>['defaultInterface']>, nowMs: number): NetworkStats {
  const one = { name, rxBytes: rxBytes?.value ?? 0, rxErrors: rxErrors?.value ?? 0, txBytes: txBytes?.value ?? 0, txErrors: txErrors?.value ?? 0 };
  return { time: iso(nowMs), ...one, interfaces: [one] };
}

async function readMeminfo(): Promise<(name: string) => number> {
  const text = await readFile('/proc/meminfo', 'utf8');
  return (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
}

async function machineCpuNs(): Promise<number> {
  const [, user = '0', nice = '0', system = '0', , , irq = '0', softirq = '0'] = (await readFile('/proc/stat', 'utf8')).split('\n', 1)[0]?.split(/\s+/) ?? [];
  return [user, nice, system, irq, softirq].reduce((sum, ticks) => sum + Number(ticks), 0) * 10_000_000; // hundredths of a second
}

async function pidLimits(): Promise<{ readonly maxpid: number; readonly curproc: number }> {
  const [max, threads, loads] = await Promise.all(['/proc/sys/kernel/pid_max', '/proc/sys/kernel/threads-max', '/proc/loadavg'].map((path) => readFile(path, 'utf8').catch(() => ''))); // not every kernel shows each
  const limits = [Number(max), Number(threads)].filter((limit) => limit > 0);
  return { maxpid: Math.min(...limits, 4_194_304), curproc: Number(/\/(\d+) /.exec(loads ?? '')?.[1] ?? 0) };
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
