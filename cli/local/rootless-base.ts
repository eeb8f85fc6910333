// What the hosts of a rootless cluster have below them instead of the machine's root: an empty root with a copy of the
// machine's /etc, and folders that lie over its /usr so that root of the cluster may write in them.
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { UserError } from '../user-error.ts';
import { pathWithSystemPrograms } from './find-program.ts';
import { removeClusterFolder, startAsClusterRoot } from './rootless.ts';

const TOP_LINKS = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];
const FOLDERS = [
  'dev', 'etc', 'home', 'media', 'mnt', 'opt', 'proc', 'root', 'run', 'srv', 'sys', 'tmp', 'usr',
  'var/backups', 'var/cache', 'var/lib', 'var/local', 'var/log', 'var/mail', 'var/opt', 'var/spool', 'var/tmp',
];
const OPEN_FOLDERS = ['tmp', 'var/tmp'];
/** How deep below /usr root of the cluster can make files beside the machine's. */
const USR_DEPTH = 2;

export async function makeBase(base: string): Promise<void> {
  rmSync(base, { recursive: true, force: true });
  const root = join(base, 'root');
  for (const folder of FOLDERS) mkdirSync(join(root, folder), { recursive: true });
  for (const folder of OPEN_FOLDERS) chmodSync(join(root, folder), 0o1777);
  for (const link of TOP_LINKS) {
    if (!existsSync(`/${link}`)) continue;
    if (!lstatSync(`/${link}`).isSymbolicLink()) throw new UserError(`/${link} is not part of /usr on this machine: a rootless cluster needs a merged /usr (Debian 12, Ubuntu 22.04 or later)`);
    symlinkSync(readlinkSync(`/${link}`), join(root, link));
  }
  symlinkSync('/run', join(root, 'var/run'));
  symlinkSync('/run/lock', join(root, 'var/lock'));
  const copying = copyEtc(join(root, 'etc'));
  makeFoldersLike('/usr', join(base, 'usr'), USR_DEPTH);
  await copying;
}

/** Throws UserError when a host could not boot here: better now than in three minutes. `folder` holds the hosts' disks. */
export async function checkRootlessHosts(folder: string): Promise<void> {
  const probe = join(folder, 'probe');
  for (const part of ['upper', 'work', 'root']) mkdirSync(join(probe, part), { recursive: true });
  const script = `step='lay a writable layer over /usr, which takes Linux 5.11, no mounts below /usr, and a folder on a disk of this machine (--dir)'
trap '[ $? = 0 ] || echo "$step" >&2' EXIT
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$0/upper,workdir=$0/work,userxattr" "$0/root"
step='mount /proc and /sys, as in containers with masked paths'
mount -t proc proc /proc && mount -t sysfs sysfs /sys
step='make network devices and rules'
ip link add probe0 type bridge && ip link add probe1 type veth peer name probe2 && nft list tables`;
  const child = await startAsClusterRoot(['unshare', '--net', '--mount', '--pid', '--fork', 'sh', '-ec', script, probe], { stdio: ['pipe', 'ignore', 'pipe'], env: { ...process.env, PATH: pathWithSystemPrograms() } });
  let problem = '';
  child.stderr?.on('data', (chunk: Buffer) => (problem += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  await removeClusterFolder(probe);
  const lines = problem.trim().split('\n');
  if (code !== 0) throw new UserError(`a rootless cluster is not possible here: cannot ${lines.at(-1) ?? 'start a program'} (${lines[0] ?? ''})`);
}

function makeFoldersLike(model: string, target: string, depth: number): void {
  mkdirSync(target, { recursive: true });
  if (depth === 0) return;
  for (const entry of readdirSync(model, { withFileTypes: true })) {
    if (entry.isDirectory() && entry.name !== 'lost+found') makeFoldersLike(join(model, entry.name), join(target, entry.name), depth - 1);
  }
}

/** What the user may not read (keys, password hashes) stays out. */
async function copyEtc(target: string): Promise<void> {
  const copy = spawn('cp', ['--recursive', '--no-dereference', '--preserve=mode,timestamps,links', '/etc/.', target], { stdio: 'ignore' });
  await new Promise((resolve, reject) => copy.once('error', reject).once('exit', resolve));
  if (!existsSync(join(target, 'passwd'))) throw new UserError('cannot copy /etc for the hosts of the cluster');
  chmodSync(target, 0o755);
}
