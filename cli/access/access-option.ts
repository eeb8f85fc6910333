// The cluster that a command means: that of docker compose (--compose), or the one in the folder of --dir.
import type { Command } from 'commander';
import { clusterFolderOf } from '../commands/cluster-option.ts';
import type { ClusterAccess } from './cluster-access.ts';

/** Throws UserError (exit code 3) when it does not run. */
export async function accessOf(command: Command): Promise<ClusterAccess> {
  const folder = clusterFolderOf(command);
  if (isCompose(command)) return (await import('./compose-access.ts')).composeAccess(folder.path);
  return (await import('./local-access.ts')).localAccess(folder);
}

export function isCompose(command: Command): boolean {
  let root = command;
  while (root.parent) root = root.parent;
  return root.opts<{ compose?: boolean }>().compose ?? (process.env['KUBREAK_COMPOSE'] ?? '') !== '';
}
