// What a host of a local cluster may use of the machine: limits of its control group, of version 1 or 2. The groups, and so their
// limits, go with the cluster.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { UserError } from '../user-error.ts';

const MOUNT = '/sys/fs/cgroup';
const PERIOD_US = 100_000;
/** Source: Linux, min_cfs_quota_period. */
const LEAST_QUOTA_US = 1_000;
/** What version 1 calls no limit is the largest number of whole pages. */
const NO_LIMIT_BYTES = 2 ** 62;

/** CPUs, or bytes of memory. */
export type Limited = 'cpu' | 'memory';

interface LimitFile {
  readonly path: string;
  readonly text: (amount: number | undefined) => string;
  readonly amount: (text: string) => number | undefined;
}

const quotaOf = (cpus: number): number => Math.max(LEAST_QUOTA_US, Math.round(cpus * PERIOD_US));

/** `group`: of the host, without leading slash. */
export function limitFile(group: string, resource: Limited, version: 1 | 2): LimitFile {
  if (version === 2) {
    const path = `${MOUNT}/${group}/${resource}.max`;
    if (resource === 'memory') return { path, text: (bytes) => String(bytes ?? 'max'), amount: (text) => (text.startsWith('max') ? undefined : Number(text)) };
    return {
      path, text: (cpus) => `${cpus === undefined ? 'max' : quotaOf(cpus)} ${PERIOD_US}`,
      amount: (text) => (text.startsWith('max') ? undefined : Number(text.split(' ')[0]) / Number(text.split(' ')[1])),
    };
  }
  if (resource === 'memory') {
    return { path: `${MOUNT}/memory/${group}/memory.limit_in_bytes`, text: (bytes) => String(bytes ?? -1), amount: (text) => (Number(text) > NO_LIMIT_BYTES ? undefined : Number(text)) };
  }
  // The period is the kernel's own default of 100 ms.
  return { path: `${MOUNT}/cpu/${group}/cpu.cfs_quota_us`, text: (cpus) => String(cpus === undefined ? -1 : quotaOf(cpus)), amount: (text) => (Number(text) < 0 ? undefined : Number(text) / PERIOD_US) };
}

const fileOf = (group: string, resource: Limited): LimitFile => limitFile(group, resource, existsSync(`${MOUNT}/cgroup.controllers`) ? 2 : 1);

/** Undefined: no limit. */
export function limitOf(group: string, resource: Limited): number | undefined {
  const { path, amount } = fileOf(group, resource);
  return existsSync(path) ? amount(readFileSync(path, 'utf8').trim()) : undefined;
}

/** Throws UserError where there is no such group, or when the kernel refuses the limit. */
export function setLimit(group: string, resource: Limited, amount: number | undefined): void {
  const { path, text } = fileOf(group, resource);
  if (!existsSync(path)) {
    if (amount === undefined) return;
    throw new UserError(`this machine has no control group for the ${resource} of a host (${path})`);
  }
  try {
    writeFileSync(path, text(amount));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EBUSY') throw new UserError(`the kernel cannot take so much memory away: more than that is in use (${readFileSync(path.replace('limit_in_bytes', 'usage_in_bytes'), 'utf8').trim()} bytes)`);
    if (code === 'EINVAL' && resource === 'cpu') throw new UserError('a pod on the host has a higher CPU limit, and control groups of version 1 do not allow a lower one above it');
    throw error;
  }
}
