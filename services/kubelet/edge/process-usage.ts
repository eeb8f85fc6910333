// What all processes of this PID namespace use together, from /proc: for hosts without cgroups of their own.
import { readdir, readFile } from 'node:fs/promises';

export interface ProcessUsage {
  readonly cpuNs: number;
  /** Memory of their own; what they share with files is not counted. */
  readonly memoryBytes: number;
}

/** Clock ticks a second as /proc counts them. Source: Linux, USER_HZ on all our architectures. */
const TICK_NS = 10_000_000;

export async function usageOfAllProcesses(): Promise<ProcessUsage> {
  let ticks = 0;
  let memoryBytes = 0;
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const [stat, status] = await Promise.all([readFile(`/proc/${name}/stat`, 'utf8'), readFile(`/proc/${name}/status`, 'utf8')]).catch(() => ['', '']); // it has ended
    if (!stat || !status) continue;
    // After the name in brackets: state, parent ...; the 12th to 15th are the times of the process and of its ended children.
    ticks += stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 15).reduce((sum, value) => sum + Number(value), 0);
    memoryBytes += ['RssAnon', 'RssShmem'].reduce((sum, field) => sum + Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024, 0);
  }
  return { cpuNs: ticks * TICK_NS, memoryBytes };
}
