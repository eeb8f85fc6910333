// Docker for the tests: an engine that answers, Compose, and a base image. Where a machine lacks them (Debian or Ubuntu, root)
// they are installed; where no registry has the base image, a stand-in is made of Debian's packages and this machine's Node.
// Throws, saying why, where Docker cannot run at all.
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findProgram } from '../../cli/local/find-program.ts';
import { installPackages } from '../../cli/local/preflight.ts';

const OFFICIAL_BASE = 'node:20-bookworm-slim';
/** Never called like the official one: what is made here must not pass for it. */
const OWN_BASE = 'kubreak-test-base:bookworm';
const DAEMON_LOG = '/var/log/dockerd.log';
const DAEMON_START_MS = 30_000;
const PULL_TIMEOUT_MS = 60_000;
const BUILD_TIMEOUT_MS = 300_000;

export interface Engine {
  /** `docker compose` or `docker-compose`. */
  readonly compose: readonly [string, ...string[]];
  readonly baseImage: string;
  /** Ends the daemon, if it was started here. */
  readonly stop: () => Promise<void>;
}

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

function run(program: string, args: readonly string[], timeout = BUILD_TIMEOUT_MS, env: Readonly<Record<string, string>> = {}): Outcome {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout, env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 });
  return { ok: status === 0, output: error ? error.message : `${stdout}${stderr}`.trim() };
}

function must(program: string, args: readonly string[], timeout?: number): string {
  const { ok, output } = run(program, args, timeout);
  if (!ok) throw new Error(`${program} ${args.join(' ')}: ${output.slice(-2000)}`);
  return output;
}

export async function prepareEngine(): Promise<Engine> {
  installMissing();
  const stop = await startDaemon();
  try {
    return { compose: composeCommand(), baseImage: baseImage(), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const hasComposePlugin = (): boolean => run('docker', ['compose', 'version'], 20_000).ok;

function composeCommand(): [string, ...string[]] {
  return hasComposePlugin() ? ['docker', 'compose'] : ['docker-compose'];
}

function installMissing(): void {
  const missing = [
    ...(findProgram('dockerd') === undefined && !run('docker', ['info'], 20_000).ok ? ['docker.io'] : []),
    ...(findProgram('docker') === undefined ? ['docker.io'] : []),
    ...(findProgram('docker-compose') === undefined && !hasComposePlugin() ? ['docker-compose'] : []),
    ...(findProgram('iptables') === undefined ? ['iptables'] : []),
  ];
  if (missing.length === 0) return;
  if (findProgram('apt-get') === undefined) throw new Error(`the tests of docker-compose.yml need Docker Engine and Compose: install ${[...new Set(missing)].join(', ')}`);
  process.stdout.write(`installing ${[...new Set(missing)].join(' ')} for the tests of docker-compose.yml\n`);
  installPackages([...new Set(missing)]);
}

async function startDaemon(): Promise<() => Promise<void>> {
  if (run('docker', ['info'], 20_000).ok) return () => Promise.resolve();
  const log = openSync(DAEMON_LOG, 'a');
  const daemon = spawn('dockerd', [], { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  daemon.unref();
  const ended = new Promise<void>((resolve) => daemon.once('exit', () => resolve()));
  const startedMs = performance.now();
  while (!run('docker', ['info'], 20_000).ok) {
    if (daemon.exitCode !== null || performance.now() - startedMs > DAEMON_START_MS) {
      daemon.kill();
      throw new Error(`no Docker Engine can run on this machine; dockerd says:\n${readFileSync(DAEMON_LOG, 'utf8').split('\n').slice(-15).join('\n')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return () => {
    daemon.ref(); // else nothing might keep this process waiting for the end
    daemon.kill('SIGTERM');
    return ended;
  };
}

function baseImage(): string {
  const chosen = process.env['BASE_IMAGE'];
  if (chosen !== undefined && chosen !== '') return chosen;
  for (const image of [OFFICIAL_BASE, OWN_BASE]) if (run('docker', ['image', 'inspect', image], 20_000).ok) return image;
  if (run('docker', ['pull', '-q', OFFICIAL_BASE], PULL_TIMEOUT_MS).ok) return OFFICIAL_BASE;
  makeBaseImage();
  return OWN_BASE;
}

/** What the official image has and the Dockerfile uses: Debian bookworm, certificates, Node and npm in /usr/local. */
function makeBaseImage(): void {
  if (findProgram('debootstrap') === undefined) installPackages(['debootstrap']);
  const work = mkdtempSync(join(tmpdir(), 'kubreak-base-'));
  try {
    const root = join(work, 'root');
    must('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'bookworm', root, ...debianMirror()]);
    for (const folder of ['var/lib/apt/lists', 'usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/info']) rmSync(join(root, folder), { recursive: true, force: true });
    rmSync(join(root, 'var/cache/apt/archives'), { recursive: true, force: true });
    mkdirSync(join(root, 'var/cache/apt/archives/partial'), { recursive: true });
    mkdirSync(join(root, 'var/lib/apt/lists/partial'), { recursive: true });
    const modules = join(root, 'usr/local/lib/node_modules');
    mkdirSync(modules, { recursive: true });
    cpSync(process.execPath, join(root, 'usr/local/bin/node'), { dereference: true });
    const npm = dirname(dirname(realpathSync(findProgram('npm') ?? '')));
    cpSync(npm, join(modules, 'npm'), { recursive: true, verbatimSymlinks: true });
    for (const name of ['npm', 'npx']) symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(root, `usr/local/bin/${name}`));
    trustWhatThisMachineTrusts(root);
    must('sh', ['-c', `tar -C '${root}' -c . | docker import -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' -c 'CMD ["node"]' - '${OWN_BASE}'`]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The first Debian mirror that this machine's apt uses; none: debootstrap's own. */
function debianMirror(): string[] {
  const folder = '/etc/apt/sources.list.d';
  const files = ['/etc/apt/sources.list', ...(existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [])].filter((path) => existsSync(path));
  const found = files.flatMap((path) => readFileSync(path, 'utf8').match(/https?:\/\/\S*debian\/?(?=\s|$)/gm) ?? []).find((url) => !url.includes('security'));
  return found === undefined ? [] : [found];
}

/** A network that re-signs TLS, or has a registry of its own: the image is built behind it too. */
function trustWhatThisMachineTrusts(root: string): void {
  const certificates = '/usr/local/share/ca-certificates';
  if (existsSync(certificates)) {
    cpSync(certificates, join(root, certificates), { recursive: true });
    must('chroot', [root, 'update-ca-certificates']);
  }
  const settings = join(root, 'usr/local/etc/npmrc');
  mkdirSync(dirname(settings), { recursive: true });
  writeFileSync(settings, 'cafile=/etc/ssl/certs/ca-certificates.crt\n');
  const registry = run('npm', ['config', 'get', 'registry'], 20_000);
  if (registry.ok && registry.output.startsWith('http')) appendFileSync(settings, `registry=${registry.output.split('\n')[0] ?? ''}\n`);
}
