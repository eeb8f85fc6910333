// The processes of a container by what they see: each container has a mount namespace of its own, whatever else it shares.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** `mnt:[4026532201]`; undefined when the process has ended. */
export function mountNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

/** All on this host, its own children and those of `kubectl exec` alike. */
export function processesIn(mountNamespace: string): number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => mountNamespaceOf(pid) === mountNamespace);
}

/** Memory that belongs to the process alone or is shared by no file: what an out-of-memory killer would free. Bytes; 0: it has ended. */
export function residentBytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kilobytes = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
    return (kilobytes('RssAnon') + kilobytes('RssShmem')) * 1024;
  } catch {
    return 0;
  }
}
