// Where a program is on this machine.
import { accessSync, constants } from 'node:fs';

/** System programs are not on an ordinary user's path. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

export function findProgram(name: string): string | undefined {
  const folders = pathWithSystemPrograms().split(':');
  return folders.map((folder) => `${folder}/${name}`).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false; // not there
    }
  });
}

export const pathWithSystemPrograms = (): string => [...(process.env['PATH'] ?? '').split(':').filter((folder) => folder !== ''), ...SYSTEM_FOLDERS].join(':');
