// What the machine must have before a cluster can start: rights, and a few programs.
import { execFileSync, spawnSync, type ExecFileSyncOptions } from 'node:child_process';
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { faketimeLibrary } from '#lib/service/shifted-clock.ts';
import { UserError } from '../user-error.ts';
import { findProgram } from './find-program.ts';
import { isRootless } from './rootless.ts';

interface Requirement {
  /** A program to be found on the path, or the full path of a file. */
  readonly program: string;
  readonly debianPackage: string;
}

const REQUIREMENTS: readonly Requirement[] = [
  { program: 'ip', debianPackage: 'iproute2' },
  { program: 'nft', debianPackage: 'nftables' },
  { program: 'unshare', debianPackage: 'util-linux' },
  { program: 'nsenter', debianPackage: 'util-linux' },
  { program: 'setpriv', debianPackage: 'util-linux' },
  { program: 'mount', debianPackage: 'mount' },
  { program: 'script', debianPackage: 'bsdutils' },
  { program: 'perl', debianPackage: 'perl-base' },
  { program: 'busybox', debianPackage: 'busybox-static' },
  { program: 'conntrack', debianPackage: 'conntrack' },
  { program: 'nginx', debianPackage: 'nginx-light' },
  // With it the built-in nginx says the version of its tag (`Server: nginx/1.14.2`).
  { program: '/usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so', debianPackage: 'libnginx-mod-http-headers-more-filter' },
  { program: 'curl', debianPackage: 'curl' },
  { program: 'ps', debianPackage: 'procps' },
  { program: 'kubectl', debianPackage: 'kubernetes-client' },
];

export function missingRequirements(): readonly Requirement[] {
  return REQUIREMENTS.filter(({ program }) => (program.startsWith('/') ? !existsSync(program) : findProgram(program) === undefined));
}

/** A cluster runs without it, but for `kubreak clock`: installed together with what is missing. */
export const missingForFaults = (): readonly Requirement[] => (faketimeLibrary() === undefined ? [{ program: 'libfaketime.so.1', debianPackage: 'libfaketime' }] : []);

function isDebian(): boolean {
  return existsSync('/etc/debian_version') && findProgram('apt-get') !== undefined;
}

/**
 * Makes sure that a cluster can be started here. As root on Debian and Ubuntu it installs what is missing, after saying
 * so; elsewhere, and as an ordinary user, it throws UserError naming every missing package.
 */
export function ensureMachineIsReady(say: (line: string) => void): void {
  const missing = missingRequirements();
  if (missing.length > 0) {
    const packages = [...new Set([...missing, ...missingForFaults()].map(({ debianPackage }) => debianPackage))];
    const programs = missing.map(({ program }) => program).join(', ');
    if (isRootless()) throw new UserError(`missing programs: ${programs}. Let an administrator install them: ${isDebian() ? 'apt-get install -y --no-install-recommends' : 'Debian package names:'} ${packages.join(' ')}`);
    if (!isDebian()) throw new UserError(`missing programs: ${programs}. Install them first (Debian package names: ${packages.join(' ')})`);
    say(`missing programs: ${programs}; installing Debian packages: ${packages.join(' ')}`);
    installPackages(packages);
    say('installed them');
  }
  // For an ordinary user the kernel loads it at the first mount, if it can.
  if (!isRootless() && !readFileSync('/proc/filesystems', 'utf8').includes('overlay')) {
    spawnSync('modprobe', ['overlay']);
    if (!readFileSync('/proc/filesystems', 'utf8').includes('overlay')) throw new UserError('this kernel has no overlay filesystem, which the hosts and containers of the cluster need');
  }
}

/** `f_type` of overlayfs. Source: include/uapi/linux/magic.h. */
const OVERLAY_MAGIC = 0x794c7630;

/** The hosts' roots are overlays with their writable layer in the cluster's folder, which not every folder can hold. */
export function ensureFolderIsUsable(folder: string): void {
  if (/[,:\\\n]/.test(folder)) throw new UserError(`the path of the cluster's folder may not contain a comma, colon or backslash: ${folder}`);
  if (statfsSync(folder).type === OVERLAY_MAGIC) {
    throw new UserError(`${folder} is on an overlay file system (as in a container), on which hosts cannot have their disks; choose a folder on another with --dir`);
  }
}

/** RUNLEVEL=1 keeps Debian's maintainer scripts from starting services (nginx would take port 80). */
export function installPackages(packages: readonly string[]): void {
  const options: ExecFileSyncOptions = { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }, timeout: 600_000 };
  try {
    execFileSync('apt-get', ['update', '-qq'], options);
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], options);
  } catch (error) {
    const { stderr } = error as { stderr?: Buffer };
    throw new UserError(`cannot install ${packages.join(' ')}: ${(stderr?.toString() ?? String(error)).trim()}`);
  }
}
