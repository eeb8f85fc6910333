// A cluster of an ordinary user: the outer namespace is also a user namespace, in which that user is root. With subordinate
// ids (/etc/subuid and newuidmap) there are other users in it too, else only that one.
import { execFileSync, spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { systemClock } from '#lib/environment/clock.ts';
import { findProgram } from './find-program.ts';
import { UserError } from '../user-error.ts';

/** Fewer subordinate ids than this are no use: containers name users up to 65534 (nobody). */
const IDS_NEEDED = 65_536;
const NAMESPACE_POLL_MS = 1;

export const isRootless = (): boolean => process.getuid?.() !== 0;

/** Options of nsenter, besides -t PID, that give the rights which the cluster's own processes have. */
export const clusterRights = (): readonly string[] => (isRootless() ? ['--user', '--preserve-credentials'] : []);

interface SubordinateIds {
  readonly first: number;
  readonly count: number;
}

/** Source: subuid(5): NAME-OR-ID:FIRST:COUNT. */
export function parseSubordinateIds(text: string, user: string, id: number): SubordinateIds | undefined {
  for (const line of text.split('\n')) {
    const [owner, first, count] = line.trim().split(':');
    if ((owner === user || owner === String(id)) && Number(count) >= IDS_NEEDED) return { first: Number(first), count: Number(count) };
  }
  return undefined;
}

interface Mapping {
  readonly uids: SubordinateIds;
  readonly gids: SubordinateIds;
}

/** Empty for a user without an account. */
function accountName(): string {
  try {
    return userInfo().username;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SYSTEM_ERROR') throw error;
    return '';
  }
}

/** Undefined: this user has no subordinate ids, or the programs that hand them out are not installed. */
function subordinateMapping(): Mapping | undefined {
  if (findProgram('newuidmap') === undefined || findProgram('newgidmap') === undefined) return undefined;
  const read = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');
  const name = accountName();
  if (name === '') return undefined; // newuidmap serves only users who have an account
  const uids = parseSubordinateIds(read('/etc/subuid'), name, process.getuid?.() ?? 0);
  const gids = parseSubordinateIds(read('/etc/subgid'), name, process.getuid?.() ?? 0);
  return uids && gids && { uids: { ...uids, count: IDS_NEEDED }, gids: { ...gids, count: IDS_NEEDED } };
}

/** What a cluster of an ordinary user lacks, one line each; nothing as root. Told at each start. */
export function rootlessNotes(): string[] {
  if (!isRootless()) return [];
  const name = accountName();
  const hint = name === '' ? 'your user has no account here' : `an administrator can: apt-get install -y uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${name}`;
  return [
    'rootless: memory limits are kept by a watcher and CPU limits not at all, for control groups belong to root',
    ...(subordinateMapping() ? [] : [`rootless: the cluster has one user, so containers that name another run as root without capabilities; ${hint}`]),
  ];
}

function mapIds(pid: number): void {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const mapping = subordinateMapping();
  if (mapping) {
    try {
      const map = (program: string, own: number, { first, count }: SubordinateIds) =>
        execFileSync(findProgram(program) ?? program, [String(pid), '0', String(own), '1', '1', String(first), String(count)].map(String), { stdio: ['ignore', 'ignore', 'pipe'] });
      map('newuidmap', uid, mapping.uids);
      map('newgidmap', gid, mapping.gids);
      return;
    } catch (error) {
      if (readFileSync(`/proc/${pid}/uid_map`, 'utf8') !== '') throw new UserError(`newgidmap refuses the groups that /etc/subgid promises: ${String((error as { stderr?: Buffer }).stderr ?? error)}`);
      process.stderr.write(`kubreak: newuidmap refuses the users that /etc/subuid promises, so the cluster has only one: ${String((error as { stderr?: Buffer }).stderr ?? error).trim()}\n`);
    }
  }
  writeFileSync(`/proc/${pid}/uid_map`, `0 ${uid} 1\n`);
  writeFileSync(`/proc/${pid}/setgroups`, 'deny');
  writeFileSync(`/proc/${pid}/gid_map`, `0 ${gid} 1\n`);
}

/**
 * Starts a program as root of a new user namespace; as root of the machine, simply starts it. Its standard input must be a
 * pipe: a shell waits on it in the new namespace until the ids are mapped, then becomes the program with all rights there.
 */
export async function startAsClusterRoot(argv: readonly string[], options: SpawnOptions): Promise<ChildProcess> {
  const [program = '', ...args] = argv;
  if (!isRootless()) return spawn(program, args, options);
  const child = spawn('unshare', ['--user', 'sh', '-c', 'read _ && exec "$@"', 'sh', ...argv], options);
  try {
    await namespaceOf(child);
    mapIds(child.pid ?? 0);
  } catch (error) {
    child.kill('SIGKILL');
    const problem = userNamespaceProblem();
    throw problem === undefined ? error : new UserError(`kubreak up as an ordinary user needs user namespaces, but ${problem}. Or run it as root`);
  }
  child.stdin?.write('\n');
  return child;
}

/** Resolves once the child has a namespace of its own, in which nobody is anybody yet: its map is empty. */
async function namespaceOf(child: ChildProcess): Promise<void> {
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', () => reject(new Error('cannot make a user namespace')));
  });
  ended.catch(() => undefined); // later ends are the caller's
  const isMade = async (): Promise<void> => {
    while (readFileSync(`/proc/${child.pid ?? 0}/uid_map`, 'utf8') !== '') await systemClock.sleep(NAMESPACE_POLL_MS);
  };
  await Promise.race([isMade(), ended]);
}

const setting = (path: string): string | undefined => (existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined);

/** Why user namespaces do not work here, and what an administrator can do. */
export function userNamespaceProblem(): string | undefined {
  if (setting('/proc/sys/kernel/unprivileged_userns_clone') === '0') return 'this machine does not let ordinary users make user namespaces; an administrator can: sysctl kernel.unprivileged_userns_clone=1';
  if (setting('/proc/sys/user/max_user_namespaces') === '0') return 'this machine allows no user namespaces; an administrator can: sysctl user.max_user_namespaces=10000';
  if (setting('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1') return 'AppArmor gives ordinary users no rights in their user namespaces here; an administrator can: sysctl kernel.apparmor_restrict_unprivileged_userns=0';
  const { status, stderr } = spawnSync('unshare', ['--user', '--map-root-user', 'true'], { encoding: 'utf8' });
  return status === 0 ? undefined : `this machine does not let ordinary users make user namespaces: ${stderr.trim()}`;
}

/** Deletes a folder of the cluster, in which files may belong to its other users. */
export async function removeClusterFolder(path: string): Promise<void> {
  if (!isRootless() || !existsSync(path)) return rmSync(path, { recursive: true, force: true });
  const child = await startAsClusterRoot(['rm', '-rf', '--', path], { stdio: ['pipe', 'ignore', 'pipe'] });
  let problem = '';
  child.stderr?.on('data', (chunk: Buffer) => (problem += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new UserError(`cannot delete ${path}: ${problem.trim()}`);
}
