// What a cgroup above containers is set to, as files of cgroup v1 and v2. Source: pkg/kubelet/cm.

export interface CgroupSettings {
  /** CPU weight in shares (1024 to a core). */
  readonly cpuShares?: number;
  /** Microseconds a period; -1: no limit. */
  readonly cpuQuota?: number;
  readonly cpuPeriod?: number;
  /** Bytes; -1: no limit. */
  readonly memoryLimit?: number;
  /** -1: no limit. */
  readonly pids?: number;
}
export interface CgroupFile {
  /** The hierarchy (v1), or empty (v2). */
  readonly controller: string;
  readonly name: string;
  readonly text: string;
}

/** Source: the mapping of shares (2..262144) to weight (1..10000) in the OCI runtime specification. */
const weightOf = (shares: number): number => Math.floor(1 + ((Math.min(Math.max(shares, 2), 262_144) - 2) * 9999) / 262_142);

export function cgroupFiles({ cpuShares, cpuQuota, cpuPeriod = 100_000, memoryLimit, pids }: CgroupSettings, version: 1 | 2): CgroupFile[] {
  const files: CgroupFile[] = [];
  const add = (controller: string, name: string, value: string | number): void => void files.push({ controller: version === 1 ? controller : '', name, text: String(value) });
  const orMax = (value: number): string | number => (value < 0 ? 'max' : value);
  if (version === 1) {
    if (cpuShares !== undefined) add('cpu', 'cpu.shares', cpuShares);
    if (cpuQuota !== undefined) {
      add('cpu', 'cpu.cfs_period_us', cpuPeriod);
      add('cpu', 'cpu.cfs_quota_us', cpuQuota);
    }
    if (memoryLimit !== undefined) add('memory', 'memory.limit_in_bytes', memoryLimit);
  } else {
    if (cpuShares !== undefined) add('', 'cpu.weight', weightOf(cpuShares));
    if (cpuQuota !== undefined) add('', 'cpu.max', `${orMax(cpuQuota)} ${cpuPeriod}`);
    if (memoryLimit !== undefined) add('', 'memory.max', orMax(memoryLimit));
  }
  if (pids !== undefined) add('pids', 'pids.max', orMax(pids));
  return files;
}
