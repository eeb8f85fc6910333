// What the system says of this process's open files.
import { readdirSync, readFileSync } from 'node:fs';

/** How many there may be; 0 where the system does not tell, as with etcd. */
export function fileDescriptorLimit(): number {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(ofSystem(() => readFileSync('/proc/self/limits', 'utf8'), '')) ?? [];
  return Number(soft ?? 0);
}

/** How many there are; 0 where the system does not tell. */
export const usedFileDescriptors = (): number => ofSystem(() => readdirSync('/proc/self/fd').length, 0);

/** Other systems than Linux have no /proc. */
function ofSystem<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return otherwise;
  }
}
