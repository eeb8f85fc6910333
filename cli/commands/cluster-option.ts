// The folder that --dir names, before the command word or after it.
import { Option, type Command } from 'commander';
import { ClusterFolder } from '../local/cluster-folder.ts';

export function clusterFolderOf(command: Command): ClusterFolder {
  let nearest = command;
  while (nearest.opts<{ dir?: string }>().dir === undefined && nearest.parent) nearest = nearest.parent;
  return new ClusterFolder(nearest.opts<{ dir: string }>().dir); // the program itself has a default
}

/** Lets people write --dir after the command word, too; only the help of the program itself names it. */
export function acceptDirEverywhere(program: Command): void {
  for (const command of program.commands) {
    command.addOption(new Option('--dir <folder>').hideHelp());
    acceptDirEverywhere(command);
  }
}
