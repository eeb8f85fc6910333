// Linux capabilities of a container: the runtime's default set, what the pod adds and drops, and their numbers.

/** In the kernel's order: the index is the number. Source: linux/capability.h. */
const CAPABILITIES = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT',
  'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE',
  'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP', 'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ',
  'PERFMON', 'BPF', 'CHECKPOINT_RESTORE',
] as const;

/** Source: containerd's default unix capabilities. */
const DEFAULT_SET: readonly string[] = [
  'CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP', 'NET_BIND_SERVICE',
  'SYS_CHROOT', 'KILL', 'AUDIT_WRITE',
];

const bare = (name: string): string => name.toUpperCase().replace(/^CAP_/, '');

/** Numbers of the capabilities that the container must not have. Throws for a name that is no capability. */
export function capabilitiesToDrop({ add, drop, isPrivileged }: { add: readonly string[]; drop: readonly string[]; isPrivileged: boolean }): number[] {
  if (isPrivileged) return [];
  const all: readonly string[] = CAPABILITIES;
  for (const name of [...add, ...drop].map(bare)) {
    if (name !== 'ALL' && !all.includes(name)) throw new Error(`unknown capability "CAP_${name}"`);
  }
  const added = add.map(bare);
  const dropped = drop.map(bare);
  const kept = new Set(added.includes('ALL') ? all : dropped.includes('ALL') ? [] : DEFAULT_SET);
  for (const name of dropped) if (!added.includes('ALL') || name !== 'ALL') kept.delete(name);
  for (const name of added) if (name !== 'ALL') kept.add(name);
  return all.flatMap((name, number) => (kept.has(name) ? [] : [number]));
}
