// kubreak down: stops the cluster of the folder; its data stays unless --purge.
import type { Command } from 'commander';
import { systemClock } from '#lib/environment/clock.ts';
import { removeFaultFiles } from '../faults/fault-files.ts';
import { forgetAllFaults } from '../faults/fault-store.ts';
import type { ClusterFolder } from '../local/cluster-folder.ts';
import { startTicksOf } from '../local/proc.ts';
import { removeClusterFolder } from '../local/rootless.ts';
import { sweepCgroups } from '../local/supervisor.ts';
import { UserError } from '../user-error.ts';
import { clusterFolderOf } from './cluster-option.ts';

/** Longest wait for an orderly end; milliseconds. */
const STOP_DEADLINE_MS = 30_000;
const POLL_MS = 20;

export function addDownCommand(program: Command): void {
  program.command('down')
    .description('stop the cluster of this folder; its data stays')
    .option('--purge', 'also delete its data, keys and logs')
    .action(async (options: { purge?: boolean }, command: Command) => {
      const folder = clusterFolderOf(command);
      await stopCluster(folder);
      if (options.purge) await removeClusterFolder(folder.path);
    });
}

async function stopCluster(folder: ClusterFolder): Promise<void> {
  const running = folder.running();
  if (!running) {
    sweepCgroups(folder); // what a killed supervisor may have left
    forgetAllFaults(folder.path);
    removeFaultFiles(folder);
    folder.release();
    return;
  }
  const { supervisorPid, supervisorStartTicks } = running;
  process.kill(supervisorPid, 'SIGTERM');
  const deadlineMs = systemClock.nowMs() + STOP_DEADLINE_MS;
  while (startTicksOf(supervisorPid) === supervisorStartTicks) {
    if (systemClock.nowMs() > deadlineMs) throw new UserError(`the cluster's supervisor (process ${supervisorPid}) did not end within ${STOP_DEADLINE_MS / 1000} s`);
    await systemClock.sleep(POLL_MS);
  }
}
