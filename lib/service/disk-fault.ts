// What `kubreak disk` does to the disk below a component's folder: full, slow, or one whose fsync fails. A file in that folder says
// so; without it, which is the rule, a look for it is all that happens.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** In the folder that the component keeps its data in. Written and removed by `kubreak disk`; see cli/faults/disk.ts. */
export const DISK_FAULT_FILE = '.kubreak-disk-fault';

export type DiskFault = { readonly kind: 'full' } | { readonly kind: 'slow'; readonly delayMs: number } | { readonly kind: 'fail-fsync' };

/** `full`, `slow MILLISECONDS` or `fail-fsync`. */
export const diskFaultText = (fault: DiskFault): string => (fault.kind === 'slow' ? `slow ${fault.delayMs}\n` : `${fault.kind}\n`);

/** Undefined for what is no fault, such as an empty file. */
export function parseDiskFault(text: string): DiskFault | undefined {
  const [kind, amount = ''] = text.trim().split(' ');
  if (kind === 'full' || kind === 'fail-fsync') return { kind };
  return kind === 'slow' && /^\d+$/.test(amount) ? { kind, delayMs: Number(amount) } : undefined;
}

export function diskFaultIn(folder: string): DiskFault | undefined {
  const path = join(folder, DISK_FAULT_FILE);
  if (!existsSync(path)) return undefined;
  try {
    return parseDiskFault(readFileSync(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined; // healed meanwhile
    throw error;
  }
}

const systemError = (code: string, errno: number, text: string, syscall: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`${code}: ${text}, ${syscall}`), { code, errno: -errno, syscall });

/** To be called before something is written below the folder. Throws ENOSPC when its disk is full. */
export function beforeWrite(folder: string, syscall = 'write'): void {
  if (diskFaultIn(folder)?.kind === 'full') throw systemError('ENOSPC', 28, 'no space left on device', syscall);
}

/** To be called where fdatasync(2) is, which then takes longer, or fails with EIO. */
export async function beforeSync(folder: string, syscall = 'fdatasync'): Promise<void> {
  const fault = diskFaultIn(folder);
  if (fault?.kind === 'fail-fsync') throw systemError('EIO', 5, 'i/o error', syscall);
  if (fault?.kind === 'slow') await sleep(fault.delayMs);
}
