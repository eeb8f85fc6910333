// How much CPU and memory containers use: from their cgroup where the host has cgroups, else from their processes in /proc.
import { readFileSync } from 'node:fs';
import type { ContainerStats, PodSandboxStats, Sent } from '#lib/cri/messages.ts';
import { msOfNanoseconds } from '#lib/cri/codec.ts';
import { DiskMeter } from '#lib/service/disk-usage.ts';
import type { Logger } from 'pino';
import type { Cgroups, Usage } from './cgroups.ts';
import { mountNamespaceOf, processesIn } from './container-processes.ts';
import type { Container, Sandbox } from './records.ts';
import type { Runtime } from './runtime.ts';

/** CPU ticks a second as /proc counts them. Source: Linux, USER_HZ on all our architectures. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;
/** How old the size of a writable layer may be. Milliseconds. */
const LAYER_MAX_AGE_MS = 10_000;
/** Rates over less than this say nothing. Nanoseconds. */
const LEAST_RATE_NS = 1_000_000_000n;

/** Sums up the processes of the container. */
function usageOfProcesses(pid: number): Usage | undefined {
  const namespace = mountNamespaceOf(pid);
  if (namespace === undefined) return undefined;
  let ticks = 0;
  let pages = 0;
  let processes = 0;
  for (const each of processesIn(namespace)) {
    try {
      const stat = readFileSync(`/proc/${each}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      ticks += Number(fields[11]) + Number(fields[12]);
      pages += Number(fields[21]);
      processes += 1;
    } catch {
      continue; // ended meanwhile
    }
  }
  const memoryBytes = pages * PAGE_BYTES;
  return { cpuNanoseconds: ticks * (1e9 / TICKS_PER_SECOND), memoryBytes, workingSetBytes: memoryBytes, rssBytes: memoryBytes, processes };
}

export class Stats {
  readonly #runtime: Runtime;
  readonly #cgroups: Cgroups;
  readonly #now: () => bigint;
  /** The last look at each container, for the rate. */
  readonly #last = new Map<string, { at: bigint; cpuNanoseconds: number; rate: number }>();
  readonly #layers: DiskMeter;
  readonly #log: Logger;

  constructor({ runtime, cgroups, now, log }: { runtime: Runtime; cgroups: Cgroups; now: () => bigint; log: Logger }) {
    this.#log = log;
    this.#layers = new DiskMeter(() => msOfNanoseconds(now()));
    this.#runtime = runtime;
    this.#cgroups = cgroups;
    this.#now = now;
  }

  ofContainer(container: Container): Sent<ContainerStats> {
    const timestamp = this.#now();
    const { id, config } = container;
    const attributes = { id, metadata: config.metadata, labels: config.labels, annotations: config.annotations };
    const usage = this.#usage(container);
    if (!usage) return { attributes };
    const limit = config.linux?.resources?.memoryLimitInBytes ?? 0;
    // Of the layer what was last counted: counting takes a while.
    const layer = this.#layers.latest(this.#runtime.layerFolder(container), LAYER_MAX_AGE_MS, (error) => this.#log.warn({ container: id, err: error }, 'cannot count a writable layer'));
    return {
      attributes,
      cpu: { timestamp, usageCoreNanoSeconds: { value: usage.cpuNanoseconds }, usageNanoCores: { value: this.#rate(id, timestamp, usage.cpuNanoseconds) } },
      memory: {
        timestamp, workingSetBytes: { value: usage.workingSetBytes }, usageBytes: { value: usage.memoryBytes }, rssBytes: { value: usage.rssBytes },
        ...(limit > 0 ? { availableBytes: { value: Math.max(0, limit - usage.workingSetBytes) } } : {}),
      },
      writableLayer: { timestamp, fsId: { mountpoint: this.#runtime.layerFolder(container) }, usedBytes: { value: layer?.bytes ?? 0 }, inodesUsed: { value: layer?.inodes ?? 0 } },
    };
  }

  ofSandbox(sandbox: Sandbox): Sent<PodSandboxStats> {
    const timestamp = this.#now();
    const { id, config } = sandbox;
    const containers = this.#runtime.containersOf(id).filter(({ phase }) => phase === 'running');
    const stats = containers.map((container) => this.ofContainer(container));
    const sum = (pick: (stat: Sent<ContainerStats>) => number | undefined): { value: number } => ({ value: stats.reduce((total, stat) => total + (pick(stat) ?? 0), 0) });
    const network = this.#network(sandbox);
    return {
      attributes: { id, metadata: config.metadata, labels: config.labels, annotations: config.annotations },
      linux: {
        cpu: { timestamp, usageCoreNanoSeconds: sum((stat) => stat.cpu?.usageCoreNanoSeconds?.value), usageNanoCores: sum((stat) => stat.cpu?.usageNanoCores?.value) },
        memory: { timestamp, workingSetBytes: sum((stat) => stat.memory?.workingSetBytes?.value), usageBytes: sum((stat) => stat.memory?.usageBytes?.value), rssBytes: sum((stat) => stat.memory?.rssBytes?.value) },
        process: { timestamp, processCount: { value: containers.reduce((total, container) => total + (this.#usage(container)?.processes ?? 0), 0) } },
        containers: stats,
        ...(network ? { network: { timestamp, defaultInterface: network, interfaces: [network] } } : {}),
      },
    };
  }

  forget(id: string): void {
    this.#last.delete(id);
  }

  #usage(container: Container): Usage | undefined {
    if (container.phase !== 'running' || !container.process) return undefined;
    return this.#cgroups.usage(this.#runtime.cgroupPath(container)) ?? usageOfProcesses(container.process.pid);
  }

  #rate(id: string, at: bigint, cpuNanoseconds: number): number {
    const before = this.#last.get(id);
    if (before && at - before.at < LEAST_RATE_NS) return before.rate;
    const rate = before ? Math.max(0, Math.round(((cpuNanoseconds - before.cpuNanoseconds) * 1e9) / Number(at - before.at))) : 0;
    this.#last.set(id, { at, cpuNanoseconds, rate });
    return rate;
  }

  /** Traffic as the host's end of the pair counts it: what the host received is what the pod sent. */
  #network({ hostInterface }: Sandbox): NonNullable<NonNullable<Sent<PodSandboxStats>['linux']>['network']>['defaultInterface'] {
    // /proc/net/dev: name: rx bytes, packets, errors, 5 more; tx bytes, packets, errors ...
    const line = hostInterface === '' ? undefined : readFileSync('/proc/self/net/dev', 'utf8').split('\n').find((row) => row.trim().startsWith(`${hostInterface}:`));
    if (line === undefined) return undefined;
    const [rx, , rxErrors, , , , , , tx, , txErrors] = line.slice(line.indexOf(':') + 1).trim().split(/\s+/).map((value) => ({ value: Number(value) }));
    return { name: 'eth0', rxBytes: tx, rxErrors: txErrors, txBytes: rx, txErrors: rxErrors };
  }
}
