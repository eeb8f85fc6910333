// kubreak image load|list|pull: images on the hosts' own stores, through the hosts' own `ctr`, whichever runtime serves there.
import { spawn } from 'node:child_process';
import { openSync, closeSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { UserError } from '../user-error.ts';

export interface HostRunner {
  /** Names of the hosts that are up. Throws UserError when there is no cluster. */
  hosts(): Promise<readonly string[]>;
  /** The words with which this machine runs a command on a host, standard input handed on. */
  command(host: string, words: readonly string[]): readonly string[];
}

const ALL = 'all';
const CTR = ['ctr', '-n', 'k8s.io', 'images'];

/** `runner` is asked when a command runs: by then the options are known. */
export function addImageCommand(program: Command, runner: (command: Command) => HostRunner): void {
  const image = program.command('image').description('load, pull and list images on the hosts');
  const host = ['--host <host>', 'm-k8s, w1-k8s, ...; all: every host', ALL] as const;
  image.command('load')
    .description('load the images of an archive (docker save, or an OCI layout in a tar file; gzip allowed)')
    .argument('<archive>', 'a file')
    .option(...host)
    .option('--name <reference>', 'name for an image that the archive does not name')
    .action(async (archive: string, options: { host: string; name?: string }, command: Command) => {
      const input = openArchive(archive);
      closeSync(input);
      await onHosts(runner(command), options.host, [...CTR, 'import', ...(options.name === undefined ? [] : ['--index-name', options.name]), '-'], (name, output) => {
        for (const [, reference = ''] of output.matchAll(/^unpacking (\S+)/gm)) process.stdout.write(`${name}: loaded ${reference}\n`);
      }, archive);
    });
  image.command('pull')
    .description('pull an image')
    .argument('<reference>', 'such as registry.example.com/shop/app:v1')
    .option(...host)
    .action(async (reference: string, options: { host: string }, command: Command) => {
      await onHosts(runner(command), options.host, [...CTR, 'pull', reference], (name) => process.stdout.write(`${name}: pulled ${reference}\n`));
    });
  image.command('list').alias('ls')
    .description('list the images that the hosts have')
    .option(...host)
    .action(async (options: { host: string }, command: Command) => {
      const rows: string[][] = [['HOST', 'IMAGE']];
      await onHosts(runner(command), options.host, [...CTR, 'ls', '-q'], (name, output) => {
        for (const line of output.split('\n')) if (line !== '' && !line.startsWith('sha256:')) rows.push([name, line]);
      });
      const width = Math.max(...rows.map(([name = '']) => name.length));
      process.stdout.write(rows.map(([name = '', reference = '']) => `${name.padEnd(width)}  ${reference}\n`).join(''));
    });
}

function openArchive(path: string): number {
  try {
    if (statSync(path).isDirectory()) throw new UserError(`${path} is a folder: an archive is one file`, 2);
    return openSync(path, 'r');
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : (error as Error).message}`, 2);
  }
}

/** One host after the other: each unpacks with all its might. Goes on after a host that fails, and fails at the end. */
async function onHosts(runner: HostRunner, selected: string, words: readonly string[], done: (host: string, output: string) => void, archive?: string): Promise<void> {
  const all = await runner.hosts();
  if (selected !== ALL && !all.includes(selected)) throw new UserError(`no host that is up is called "${selected}"; there are ${all.join(', ')}`, 2);
  const failures: string[] = [];
  for (const host of selected === ALL ? all : [selected]) {
    const { code, stdout, stderr } = await run(runner.command(host, words), archive);
    if (code === 0) done(host, stdout);
    else failures.push(`${host}: ${stderr.trim().replace(/^ctr: /, '') || `ended with exit code ${code}`}`);
  }
  if (failures.length > 0) throw new UserError(failures.join('\nkubreak: '));
}

function run([program = '', ...args]: readonly string[], archive: string | undefined): Promise<{ code: number; stdout: string; stderr: string }> {
  const input = archive === undefined ? 'ignore' : openArchive(archive);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: [input, 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => {
      if (typeof input === 'number') closeSync(input);
      resolve({ code: code ?? 1, stdout, stderr });
    });
  });
}
