// The folder that --dir names.
import type { Command } from 'commander';
import { ClusterFolder } from '../local/cluster-folder.ts';

export function clusterFolderOf(command: Command): ClusterFolder {
  return new ClusterFolder(command.optsWithGlobals<{ dir: string }>().dir);
}
