// kubreak node add NAME, kubreak node remove NAME: workers that come and go while the cluster runs.
import type { Command } from 'commander';
import { dnsLabelProblems } from '#lib/machinery/names.ts';
import { addNode, removeNode } from '../local/node-changes.ts';
import { UserError } from '../user-error.ts';
import { clusterFolderOf } from './cluster-option.ts';
import { quantity } from './quantity-option.ts';

function nodeName(text: string): string {
  if (dnsLabelProblems(text).length > 0) throw new UserError(`"${text}" is no name for a node: lower case letters, digits and "-", such as w4-k8s`, 2);
  return text;
}

export function addNodeCommand(program: Command): void {
  const node = program.command('node').description('add and remove worker nodes while the cluster runs');
  node.command('add')
    .description('boot one more worker, have it join and wait until it is Ready')
    .argument('<name>', 'such as w4-k8s, which has the address 192.168.1.104', nodeName)
    .option('--cpu <quantity>', 'CPU that the node has, such as 2 or 1500m (default: what the machine has)', quantity('--cpu'))
    .option('--memory <quantity>', 'memory that the node has, such as 2Gi (default: what the machine has)', quantity('--memory'))
    .action(async (name: string, size: { cpu?: string; memory?: string }, command: Command) => {
      const { address } = await addNode(clusterFolderOf(command), name, size);
      process.stdout.write(`${name} is Ready (${address})\n`);
    });
  node.command('remove')
    .description('power a worker off, delete its Node and its disk; drain it before to move its pods in good order')
    .argument('<name>', 'w1-k8s, ...')
    .action(async (name: string, _options: unknown, command: Command) => {
      await removeNode(clusterFolderOf(command), name);
      process.stdout.write(`${name} removed\n`);
    });
}
