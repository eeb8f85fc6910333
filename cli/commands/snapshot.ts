// kubreak snapshot save|restore FILE.
import type { Command } from 'commander';
import { statSync } from 'node:fs';
import { isCompose } from '../access/access-option.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { UserError } from '../user-error.ts';
import { clusterFolderOf } from './cluster-option.ts';

export function addSnapshotCommands(program: Command, accessOf: (command: Command) => Promise<ClusterAccess>): void {
  const snapshot = program.command('snapshot').description('save a whole cluster in a file, or give a cluster what such a file holds');
  snapshot.command('save').description('write everything that etcd holds, the same as YAML, and the keys of service accounts into one tar; keep it secret').argument('<file>').action(async (file: string, _options: unknown, command: Command) => {
    const { saveSnapshot } = await import('../snapshot/save.ts');
    const { objects } = await saveSnapshot(await accessOf(command), file);
    const count = Object.values(objects).reduce((sum, one) => sum + one, 0);
    process.stdout.write(`saved ${count} objects of ${Object.keys(objects).length} kinds to ${file} (${(statSync(file).size / 1024 / 1024).toFixed(1)} MiB)\nIt holds all Secrets and the key that signs service account tokens: keep it secret.\n`);
  });
  snapshot.command('restore').description('replace all objects of the cluster by those of the file: of this cluster or a new one, running or stopped').argument('<file>').action(async (file: string, _options: unknown, command: Command) => {
    const { restoreRunning, restoreStopped } = await import('../snapshot/restore.ts');
    const cluster = await accessOf(command).catch((error: unknown) => {
      if (error instanceof UserError && error.exitCode === 3 && !isCompose(command)) return undefined;
      throw error;
    });
    const { takenAt } = cluster ? await restoreRunning(cluster, file, (text) => process.stdout.write(`  ${text}\n`)) : await restoreStopped(clusterFolderOf(command), file);
    process.stdout.write(cluster ? `the cluster has the objects of ${takenAt}; its controllers see to the rest\n` : `the cluster will have the objects of ${takenAt} when it is started\n`);
  });
}
