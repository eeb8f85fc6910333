// kubreak exec HOST -- CMD: a command on a host, with this terminal as its own.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import type { Command } from 'commander';
import { CLOCK_FILE, CLOCK_FOLDER, clockVariables, faketimeLibrary } from '#lib/service/shifted-clock.ts';
import type { HostLayout } from '../cluster-layout.ts';
import { hostInits } from '../local/instances.ts';
import { clusterRights } from '../local/rootless.ts';
import { hostNamed } from '../host-named.ts';
import { UserError } from '../user-error.ts';
import { clusterFolderOf } from './cluster-option.ts';
import type { HostRunner } from './image.ts';

export const HOST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function addExecCommand(program: Command): void {
  program.command('exec')
    .description('run a command on a host (default: a shell)')
    .argument('<host>', 'm-k8s, w1-k8s, ...')
    .argument('[command...]', 'command and its arguments, after --')
    .passThroughOptions()
    .action(async (host: string, words: string[], _options: unknown, command: Command) => {
      const folder = clusterFolderOf(command);
      const { labPid } = folder.requireRunning();
      if (words[0] === '--') words.shift();
      process.exitCode = await execOnHost(hostInit(labPid, host, folder.hosts), words.length > 0 ? words : ['bash']);
    });
}

/** The hosts of a local cluster, for commands that are run on several. */
export function localHosts(command: Command): HostRunner {
  const folder = clusterFolderOf(command);
  return {
    hosts: () => {
      const up = hostInits(folder.requireRunning().labPid);
      return Promise.resolve(folder.hosts.map(({ name }) => name).filter((name) => up.has(name)));
    },
    command: (host, words) => ['env', `PATH=${HOST_PATH}`, 'HOME=/root', ...hostCommand(hostInit(folder.requireRunning().labPid, host, folder.hosts), words)],
  };
}

/** Throws UserError for an unknown host (exit code 2) and for one that is down. */
export function hostInit(labPid: number, host: string, hosts: readonly HostLayout[]): number {
  hostNamed(host, hosts);
  const init = hostInits(labPid).get(host);
  if (init === undefined) throw new UserError(`${host} is down or still booting`);
  return init;
}

/** What this machine runs to run the words on a host. */
export const hostCommand = (init: number, words: readonly string[]): readonly string[] =>
  ['nsenter', '-t', String(init), ...clusterRights(), '-m', '-u', '-i', '-n', '-p', '--root', '--wd', '--', 'sh', '-c', 'cd && exec "$@"', 'sh', ...clockWords(init), ...words];

/** While the clock of the host is shifted, what is run there sees it so. */
function clockWords(init: number): string[] {
  const root = `/proc/${init}/root`;
  const library = existsSync(`${root}${CLOCK_FOLDER}/${CLOCK_FILE}`) ? faketimeLibrary(root) : undefined;
  return library === undefined ? [] : ['env', ...Object.entries(clockVariables(library)).map(([name, value]) => `${name}=${value}`)];
}

async function execOnHost(init: number, words: readonly string[]): Promise<number> {
  const environment = { PATH: HOST_PATH, HOME: '/root', USER: 'root', LOGNAME: 'root', SHELL: '/bin/bash', TERM: process.env['TERM'] ?? 'dumb', LANG: 'C.UTF-8' };
  const [nsenter = '', ...args] = hostCommand(init, words);
  const child = spawn(nsenter, args, { stdio: 'inherit', env: environment });
  // The child has the terminal: what is typed, Ctrl-C included, is for it.
  const ignore = () => undefined;
  process.on('SIGINT', ignore);
  const forward = () => child.kill('SIGTERM');
  process.on('SIGTERM', forward);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
    });
  } finally {
    process.off('SIGINT', ignore);
    process.off('SIGTERM', forward);
  }
}
