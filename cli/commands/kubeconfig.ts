// kubreak kubeconfig: the cluster as the context `kubreak` in the person's own kubeconfig.
import { chmodSync, chownSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { CONTEXT_NAME, currentContextOf, hasContext, withContext, withCurrentContext, withoutContext, type ContextParts } from '../kubeconfig-merge.ts';
import type { ClusterFolder } from '../local/cluster-folder.ts';
import { UserError } from '../user-error.ts';
import { clusterFolderOf } from './cluster-option.ts';

export function addKubeconfigCommand(program: Command): void {
  program.command('kubeconfig')
    .description(`make the cluster the context "${CONTEXT_NAME}" of your kubeconfig ($KUBECONFIG or ~/.kube/config), and the current one`)
    .option('--print', "print the cluster's own kubeconfig instead; nothing is changed")
    .option('--remove', 'take the context out of your kubeconfig')
    .action((options: { print?: boolean; remove?: boolean }, command: Command) => {
      const folder = clusterFolderOf(command);
      if (options.remove) return removeContext(folder);
      if (!existsSync(folder.kubeconfig)) throw new UserError(`there is no cluster in ${folder.path}; start one with: kubreak up`, 3);
      if (options.print) process.stdout.write(readFileSync(folder.kubeconfig, 'utf8'));
      else addContext(folder);
    });
}

/** Source: client-go clientcmd, loading rules. The cluster's own file, to which people point KUBECONFIG, is not theirs. */
function ownFiles(folder: ClusterFolder): string[] {
  const named = (process.env['KUBECONFIG'] ?? '').split(':').filter((path) => path !== '').map((path) => resolve(path)).filter((path) => path !== folder.kubeconfig);
  return named.length > 0 ? named : [join(homedir(), '.kube/config')];
}

const read = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');

function addContext(folder: ClusterFolder): void {
  const files = ownFiles(folder);
  const target = files.find((path) => hasContext(read(path), path)) ?? files.find((path) => existsSync(path)) ?? files.at(-1) ?? '';
  change(target, (text) => withContext(text, target, partsOf(folder)));
  // Of several files the first that names a current context decides.
  const deciding = files.find((path) => currentContextOf(read(path), path) !== '') ?? target;
  change(deciding, (text) => withCurrentContext(text, deciding, CONTEXT_NAME));
  process.stdout.write(`context "${CONTEXT_NAME}" is in ${target} and is the current one\n`);
}

function removeContext(folder: ClusterFolder): void {
  const files = ownFiles(folder).filter((path) => existsSync(path));
  const holding = files.filter((path) => hasContext(read(path), path));
  for (const path of holding) change(path, (text) => withoutContext(text, path));
  for (const path of files) if (currentContextOf(read(path), path) === CONTEXT_NAME) change(path, (text) => withCurrentContext(text, path, ''));
  process.stdout.write(holding.length > 0 ? `context "${CONTEXT_NAME}" removed from ${holding.join(', ')}\n` : `no context "${CONTEXT_NAME}" in ${files.join(', ') || 'your kubeconfig'}\n`);
}

function partsOf({ kubeconfig }: ClusterFolder): ContextParts {
  const { clusters, users } = parse(readFileSync(kubeconfig, 'utf8')) as { clusters: { cluster: unknown }[]; users: { user: unknown }[] };
  return { cluster: clusters[0]?.cluster, user: users[0]?.user };
}

/** In one step, under the lock that kubectl takes; what the path links to is changed, not the link. Owner and mode stay as they are. */
function change(path: string, edit: (text: string) => string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
  const file = existsSync(path) ? realpathSync(path) : path;
  const lock = `${path}.lock`;
  try {
    closeSync(openSync(lock, 'wx', 0));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new UserError(`${path} is locked by another program; if none runs, delete ${lock}`);
  }
  try {
    const text = edit(read(file));
    const fresh = `${file}.kubreak`;
    rmSync(fresh, { force: true });
    writeFileSync(fresh, text, { mode: 0o600, flag: 'wx' });
    if (existsSync(file)) {
      const { uid, gid, mode } = statSync(file);
      chownSync(fresh, uid, gid);
      chmodSync(fresh, mode & 0o777);
    }
    renameSync(fresh, file);
  } finally {
    rmSync(lock, { force: true });
  }
}
