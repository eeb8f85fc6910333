// Resource limits of CRI as the files of cgroup v1 and v2 want them.
import type { LinuxContainerResources, Sent } from '#lib/cri/messages.ts';

export type CgroupVersion = 1 | 2;

export interface CgroupWrite {
  /** v1: the hierarchy (memory, cpu, pids ...); v2: ''. */
  readonly controller: string;
  readonly file: string;
  readonly value: string;
}

const DEFAULT_PERIOD_US = 100_000;

/** Source: the mapping of cgroup v1 shares (2..262144) to v2 weight (1..10000) in the OCI runtime specification. */
const weightOfShares = (shares: number): number => Math.floor(1 + ((Math.min(Math.max(shares, 2), 262_144) - 2) * 9999) / 262_142);

/** Only what is set: 0 means no limit given. A negative memory limit or quota means unlimited. */
export function cgroupWrites(resources: Sent<LinuxContainerResources>, version: CgroupVersion): CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  const { memoryLimitInBytes: memory = 0, cpuShares: shares = 0, cpuQuota: quota = 0, cpuPeriod: period = 0, cpusetCpus = '', cpusetMems = '' } = resources;
  const periodUs = period > 0 ? period : DEFAULT_PERIOD_US;
  if (version === 1) {
    if (memory !== 0) writes.push({ controller: 'memory', file: 'memory.limit_in_bytes', value: String(memory) });
    if (shares > 0) writes.push({ controller: 'cpu', file: 'cpu.shares', value: String(shares) });
    if (quota !== 0) writes.push({ controller: 'cpu', file: 'cpu.cfs_period_us', value: String(periodUs) }, { controller: 'cpu', file: 'cpu.cfs_quota_us', value: String(quota) });
    if (cpusetCpus !== '') writes.push({ controller: 'cpuset', file: 'cpuset.cpus', value: cpusetCpus });
    if (cpusetMems !== '') writes.push({ controller: 'cpuset', file: 'cpuset.mems', value: cpusetMems });
  } else {
    if (memory !== 0) writes.push({ controller: '', file: 'memory.max', value: memory < 0 ? 'max' : String(memory) });
    if (shares > 0) writes.push({ controller: '', file: 'cpu.weight', value: String(weightOfShares(shares)) });
    if (quota !== 0) writes.push({ controller: '', file: 'cpu.max', value: `${quota < 0 ? 'max' : quota} ${periodUs}` });
    if (cpusetCpus !== '') writes.push({ controller: '', file: 'cpuset.cpus', value: cpusetCpus });
    if (cpusetMems !== '') writes.push({ controller: '', file: 'cpuset.mems', value: cpusetMems });
  }
  for (const [file, value] of Object.entries(resources.unified ?? {})) {
    const controller = file.split('.')[0] ?? '';
    if (version === 2) writes.push({ controller: '', file, value: value ?? '' });
    else if (controller === 'pids') writes.push({ controller, file, value: value ?? '' });
  }
  return writes;
}
