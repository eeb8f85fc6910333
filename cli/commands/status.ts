// kubreak status: every process of the cluster, on which host it runs and how it does.
import type { Command } from 'commander';
import { reportInstances, type InstanceReport } from '../local/instances.ts';
import { textTable } from '../text-table.ts';
import { UserError } from '../user-error.ts';
import { clusterFolderOf } from './cluster-option.ts';

export function addStatusCommand(program: Command): void {
  program.command('status')
    .description('list the processes of the cluster: component, host, pid, health, restarts, memory')
    .option('-o, --output <format>', 'json, or table', 'table')
    .action(async (options: { output: string }, command: Command) => {
      if (options.output !== 'json' && options.output !== 'table') throw new UserError(`--output must be json or table, not "${options.output}"`, 2);
      const folder = clusterFolderOf(command);
      const { labPid } = folder.requireRunning();
      const isFast = folder.provisioned.isFast ?? false;
      const processes = await reportInstances(labPid, folder.hosts);
      process.stdout.write(options.output === 'json' ? `${JSON.stringify({ fastFailureDetection: isFast, processes }, null, 2)}\n` : `${tableOf(processes)}${isFast ? 'timings: fast failure detection, not upstream\'s\n' : ''}`);
    });
}

export function tableOf(reports: readonly InstanceReport[]): string {
  const rows = [
    ['COMPONENT', 'HOST', 'PID', 'HEALTH', 'RESTARTS', 'MEMORY'],
    ...reports.map(({ component, host, pid, health, restarts, pssBytes }) => [component, host || '-', pid === null ? '-' : String(pid), health, String(restarts), pid === null ? '-' : `${(pssBytes / 1048576).toFixed(1)} MiB`]),
  ];
  const total = reports.reduce((sum, { pssBytes }) => sum + pssBytes, 0);
  return `${textTable(rows)}${reports.filter(({ pid }) => pid !== null).length} processes, ${(total / 1048576).toFixed(0)} MiB (PSS)\n`;
}
