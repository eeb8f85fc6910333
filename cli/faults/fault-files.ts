// The files by which faults on hosts of a local cluster are made, all in one place: none outlives the cluster's run.
import { rmSync } from 'node:fs';
import { DISK_FAULT_FILE } from '#lib/service/disk-fault.ts';
import type { ClusterFolder } from '../local/cluster-folder.ts';
import { CLOCK_PATH } from './clock.ts';
import { DATA_FOLDERS } from './disk.ts';

/** Also those of a run that ended by a power cut. */
export function removeFaultFiles(folder: ClusterFolder): void {
  if (!folder.exists) return;
  const paths = [CLOCK_PATH, ...Object.values(DATA_FOLDERS).map((data) => `${data}/${DISK_FAULT_FILE}`)];
  for (const { name } of folder.hosts) for (const path of paths) rmSync(folder.hostData(name, path), { force: true });
}
