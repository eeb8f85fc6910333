// The lowest layer of every stand-in image: an empty root with the few files of /etc and /dev that programs need. The
// machine's own /etc, /home, /root and the like never show in a container; its programs come as a second overlay, over /usr.
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError, runCommand } from '#lib/service/run-command.ts';
import type { UserNamespace } from '#lib/service/user-namespace.ts';

/** Raise when the layout below changes: containers keep the layer they were made with. */
const LAYOUT = 2;

const FOLDERS = [
  'boot', 'dev/pts', 'dev/shm', 'dev/mqueue', 'etc/ssl/certs', 'etc/apt', 'home', 'media', 'mnt', 'opt', 'proc', 'root', 'run/lock', 'srv', 'sys', 'tmp', 'usr/local/bin',
  'usr/local/sbin', 'usr/local/lib', 'usr/local/share', 'var/cache', 'var/lib', 'var/log', 'var/mail', 'var/spool', 'var/tmp',
];
const LINKS: Readonly<Record<string, string>> = {
  'dev/fd': '/proc/self/fd', 'dev/stdin': '/proc/self/fd/0', 'dev/stdout': '/proc/self/fd/1', 'dev/stderr': '/proc/self/fd/2',
  'dev/ptmx': 'pts/ptmx', 'dev/core': '/proc/kcore', 'etc/mtab': '/proc/mounts', 'etc/os-release': '../usr/lib/os-release', 'var/run': '/run', 'var/lock': '/run/lock',
};
const HOST_FILES = [
  'etc/bash.bashrc', 'etc/ca-certificates.conf', 'etc/debian_version', 'etc/host.conf', 'etc/issue', 'etc/ld.so.cache', 'etc/ld.so.conf',
  'etc/ld.so.conf.d', 'etc/localtime', 'etc/login.defs', 'etc/mime.types', 'etc/networks', 'etc/profile', 'etc/protocols', 'etc/rpc', 'etc/services', 'etc/shells',
  'etc/ssl/certs/ca-certificates.crt', 'etc/ssl/openssl.cnf', 'etc/terminfo', 'etc/timezone', 'etc/lsb-release',
];
const ALTERNATIVES = 'etc/alternatives';
/** Most of the alternatives are these, and images without documentation have none of it. */
const MANUAL_PAGE = /\.gz$/;
/** Source: the OCI runtime specification's default devices. */
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
/** Files that tell when the layer must be made anew. */
const SIGNS = ['etc/passwd', 'etc/group', 'etc/ld.so.cache', 'etc/ssl/certs/ca-certificates.crt', 'usr/bin', 'usr/sbin'];

const FIRST_HUMAN_ID = 1000;
const NOBODY_ID = 65534;
const NGINX_ID = 101;

export interface BaseLayer {
  readonly path: string;
  /** Below published images: only the mount points and devices of every root. */
  readonly bare: string;
  /** Devices that could not be made in the layer and must be bound from the host. */
  readonly bindDevices: readonly string[];
}

/** The system accounts of the host, and nginx as the official image has it. */
function accounts(file: 'passwd' | 'group', nginxId: number): string {
  const own = file === 'passwd' ? `nginx:x:${nginxId}:${nginxId}:nginx user:/nonexistent:/bin/false` : `nginx:x:${nginxId}:`;
  const lines = readFileSync(`/etc/${file}`, 'utf8').split('\n').filter((line) => {
    const id = Number(line.split(':')[2]);
    return line !== '' && !line.startsWith('nginx:') && (id < FIRST_HUMAN_ID || id === NOBODY_ID);
  });
  return `${[...lines.map((line) => (file === 'group' ? line.replace(/:[^:]*$/, ':') : line)), own].join('\n')}\n`;
}

/**
 * Programs of busybox that the host lacks: nslookup, wget, ping, vi ... They are names of one symbolic link, for new inodes are
 * what takes time: ext4 passes over those that were deleted in the last minutes, one by one.
 */
async function busyboxLinks(bin: string): Promise<void> {
  const busybox = ['/usr/bin/busybox', '/bin/busybox'].find((path) => existsSync(path));
  if (!busybox) return;
  const applets = (await runCommand(busybox, ['--list'])).trim().split('\n');
  const present = new Set(['/usr/bin', '/usr/sbin'].flatMap((folder) => readdirSync(folder)));
  symlinkSync('/usr/bin/busybox', join(bin, 'busybox'));
  for (const applet of applets) if (!present.has(applet) && applet !== 'busybox' && applet !== 'init' && applet !== 'linuxrc') linkSync(join(bin, 'busybox'), join(bin, applet));
}

/** All by one process: file by file from here it took a quarter of a second of each host's first start. */
async function copyFilesAndDevices(path: string): Promise<void> {
  const copy = (names: readonly string[]): Promise<string> => runCommand('cp', ['-a', '--parents', ...names.filter((name) => existsSync(`/${name}`)).map((name) => `/${name}`), path]);
  const alternatives = existsSync(`/${ALTERNATIVES}`) ? readdirSync(`/${ALTERNATIVES}`).filter((name) => !MANUAL_PAGE.test(name)).map((name) => `${ALTERNATIVES}/${name}`) : [];
  const files = [...HOST_FILES, ...alternatives];
  const devices = DEVICES.map((name) => `dev/${name}`);
  try {
    await copy([...files, ...devices]);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    await copy(files);
    // Where devices may not be made, a plain file is what the host's device is bound over.
    for (const device of devices) if (!lstatSync(join(path, device), { throwIfNoEntry: false })?.isCharacterDevice()) writeFileSync(join(path, device), '');
  }
  for (const device of devices) {
    chownSync(join(path, device), 0, 0);
    chmodSync(join(path, device), 0o666);
  }
}

async function build(path: string, nginxId: number): Promise<void> {
  for (const folder of FOLDERS) mkdirSync(join(path, folder), { recursive: true });
  for (const top of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']) {
    if (!existsSync(`/${top}`)) continue;
    if (!lstatSync(`/${top}`).isSymbolicLink()) throw new Error(`/${top} is not part of /usr on this host: the built-in images need a merged /usr (Debian 12, Ubuntu 22.04 or later)`);
    symlinkSync(readlinkSync(`/${top}`), join(path, top));
  }
  for (const [link, target] of Object.entries(LINKS)) symlinkSync(target, join(path, link));
  await Promise.all([copyFilesAndDevices(path), busyboxLinks(join(path, 'usr/local/bin'))]);
  for (const file of ['passwd', 'group'] as const) writeFileSync(join(path, 'etc', file), accounts(file, nginxId));
  writeFileSync(join(path, 'etc/shadow'), '', { mode: 0o640 });
  writeFileSync(join(path, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n');
  for (const file of ['hosts', 'hostname', 'resolv.conf']) writeFileSync(join(path, 'etc', file), '');
  writeFileSync(join(path, 'root/.bashrc'), "PS1='\\u@\\h:\\w\\$ '\n");
  chmodSync(join(path, 'root'), 0o700);
  for (const folder of ['tmp', 'var/tmp', 'run/lock', 'dev/shm']) chmodSync(join(path, folder), 0o1777);
}

async function buildBare(path: string, bare: string): Promise<void> {
  rmSync(`${bare}.new`, { recursive: true, force: true });
  for (const folder of [`${bare}.new`, `${bare}.new/proc`, `${bare}.new/sys`]) {
    mkdirSync(folder);
    chmodSync(folder, 0o755);
  }
  await runCommand('cp', ['-a', join(path, 'dev'), `${bare}.new/`]);
  renameSync(`${bare}.new`, bare);
}

/** Makes the layer below `root` when it is not there yet. Throws on a host whose programs are not all in /usr. */
export async function prepareBaseLayer(root: string, { hasUid }: Pick<UserNamespace, 'hasUid'>): Promise<BaseLayer> {
  const nginxId = hasUid(NGINX_ID) ? NGINX_ID : 0; // where there is only root, nginx's workers are root too
  const signs = SIGNS.map((file) => (existsSync(`/${file}`) ? statSync(`/${file}`).mtimeMs : 0));
  const stamp = createHash('sha256').update(JSON.stringify([LAYOUT, signs, nginxId])).digest('hex').slice(0, 12);
  const path = join(root, 'base', stamp);
  if (!existsSync(path)) {
    const unfinished = `${path}.new`;
    rmSync(unfinished, { recursive: true, force: true });
    const previous = process.umask(0o022);
    try {
      await build(unfinished, nginxId);
    } finally {
      process.umask(previous);
    }
    renameSync(unfinished, path);
  }
  const bare = `${path}-bare`;
  if (!existsSync(bare)) await buildBare(path, bare);
  const bindDevices = DEVICES.map((device) => `/dev/${device}`).filter((device) => !lstatSync(join(path, device)).isCharacterDevice());
  return { path, bare, bindDevices };
}
