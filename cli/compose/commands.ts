// The commands of kubreak for a cluster of docker-compose.yml (`kubreak --compose ...`) that differ from those of local mode.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { containerOf, containerStates, hostsAmong, IN_HOST_TIME, reports, selectContainers } from '../access/compose-access.ts';
import { addImageCommand, type HostRunner } from '../commands/image.ts';
import { tableOf } from '../commands/status.ts';
import { hostNamed } from '../host-named.ts';
import { SELECTOR } from '../selector.ts';
import { UserError } from '../user-error.ts';

/** With this terminal as its own; resolves with its exit code. */
function attached(args: readonly string[]): Promise<number> {
  const child = spawn('docker', args, { stdio: 'inherit' });
  process.on('SIGINT', () => undefined); // what is typed is for the command
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

async function logs(selector: string, follow: boolean): Promise<void> {
  const { component, hosts } = await selectContainers(selector);
  const containers = hosts.map((host) => containerOf(component, host));
  const tail = `tail -n +1 ${follow ? '-F' : ''}`;
  const newest = `ls -t /var/log/pods/kube-system_*/${component.unit}/*.log /var/log/pods/kube-system_*/${component.processTitle}/*.log 2>/dev/null | head -n 1`;
  await Promise.all(containers.map(async (container) => {
    const script = component.supervisedBy === 'host' ? `exec ${tail} /var/log/${component.unit}.log` : `f=$(${newest}); [ -n "$f" ] && ${tail} "$f" | sed -u -E 's/^[^ ]+ (stdout|stderr) [FP] //'`;
    const child = spawn('docker', component.supervisedBy === 'static-pod' ? ['logs', ...(follow ? ['-f'] : []), container] : ['exec', container, 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'pipe'] });
    const prefix = containers.length > 1 ? `[${container}] ` : '';
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', (line) => process.stdout.write(`${prefix}${line}\n`));
    await new Promise<void>((resolve) => child.once('close', () => resolve()));
  }));
}

const hostsInContainers: HostRunner = {
  hosts: async () => {
    const states = await containerStates();
    return (await hostsAmong(states)).map(({ name }) => name).filter((name) => states.get(name) === 'running');
  },
  command: (host, words) => ['docker', 'exec', '-i', host, ...words],
};

export function addComposeCommands(program: Command): void {
  addImageCommand(program, () => hostsInContainers);
  program.command('status').description('list the processes of the cluster').option('-o, --output <format>', 'json, or table', 'table').action(async ({ output }: { output: string }) => {
    if (output !== 'json' && output !== 'table') throw new UserError(`--output must be json or table, not "${output}"`, 2);
    const processes = await reports();
    process.stdout.write(output === 'json' ? `${JSON.stringify({ processes }, null, 2)}\n` : tableOf(processes));
  });
  program.command('exec').description('run a command on a host (default: a shell)').argument('<host>').argument('[command...]').passThroughOptions().action(async (host: string, words: string[]) => {
    hostNamed(host, await hostsAmong(await containerStates()));
    if (words[0] === '--') words.shift();
    process.exitCode = await attached(['exec', process.stdin.isTTY ? '-it' : '-i', host, ...IN_HOST_TIME, ...(words.length > 0 ? words : ['bash'])]);
  });
  program.command('logs').description('print the log of a component').argument('<component>', SELECTOR).option('-f, --follow', 'go on with what is written from now on')
    .action((selector: string, { follow = false }: { follow?: boolean }) => logs(selector, follow));
}
