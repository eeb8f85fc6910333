// A cluster for tests, driven as a person drives it: by the kubreak command and an unmodified kubectl.
import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '#lib/testing/free-ports.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const KUBREAK = `${ROOT}dist/kubreak.js`;
const COMMAND_TIMEOUT_MS = 120_000;

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export function runCommand(program: string, args: readonly string[], { timeoutMs = COMMAND_TIMEOUT_MS, env = {} }: RunOptions = {}): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024, env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      const { code, killed } = (error ?? {}) as { code?: number | string; killed?: boolean };
      resolve({ code: error === null ? 0 : killed ? 124 : typeof code === 'number' ? code : 1, stdout, stderr });
    });
    child.stdin?.end();
  });
}

const SHORTEST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;
/** Of the time waited so far: most attempts start a program, and who waits long should not keep a processor busy. */
const PAUSE_SHARE = 0.1;

/** Tries until `attempt` returns something; fails with what was seen last when the deadline passes. */
export async function until<T>(what: string, attempt: () => Promise<T | undefined | false>, deadlineMs = 60_000): Promise<T> {
  const startedMs = performance.now();
  let last = '';
  for (;;) {
    try {
      const value = await attempt();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    const waitedMs = performance.now() - startedMs;
    assert.ok(waitedMs < deadlineMs, `${what}: not within ${deadlineMs / 1000} s${last === '' ? '' : `; last: ${last}`}`);
    await new Promise((resolve) => setTimeout(resolve, Math.min(Math.max(waitedMs * PAUSE_SHARE, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS)));
  }
}

/** Who runs kubreak: the user of the test, or somebody without rights who has subordinate ids or just the one. */
export type ClusterUser = 'self' | 'ordinary' | 'ordinary-with-one-id';

/** Of nobody on a usual machine. */
const ORDINARY_ID = 64_321;
const SUBORDINATE_IDS = '1000000000:65536';

/**
 * Words before a command that make it that of an ordinary user, who may read neither the project nor anything else of root:
 * programs and node show at /app of the user's folder, the account only in a mount namespace of this one command.
 */
function asOrdinaryUser(scratch: string, hasSubordinateIds: boolean): string[] {
  const home = join(scratch, 'home');
  const app = join(scratch, 'app');
  chmodSync(scratch, 0o755);
  for (const folder of [home, join(app, 'dist'), join(app, 'node_modules'), join(scratch, 'etc')]) mkdirSync(folder, { recursive: true });
  chownSync(home, ORDINARY_ID, ORDINARY_ID);
  writeFileSync(join(app, 'node'), '');
  const script = `set -e
mount --bind ${ROOT}dist ${app}/dist
mount --bind ${ROOT}node_modules ${app}/node_modules
mount --bind ${process.execPath} ${app}/node
mount -t tmpfs tmpfs ${scratch}/etc
mkdir ${scratch}/etc/upper ${scratch}/etc/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=${scratch}/etc/upper,workdir=${scratch}/etc/work /etc
echo 'kubreak-test:x:${ORDINARY_ID}:${ORDINARY_ID}::${home}:/bin/sh' >>/etc/passwd
${hasSubordinateIds ? `for f in subuid subgid; do echo 'kubreak-test:${SUBORDINATE_IDS}' >>/etc/$f; done` : ''}
cd ${home}
exec setpriv --reuid=${ORDINARY_ID} --regid=${ORDINARY_ID} --clear-groups env HOME=${home} PATH=/usr/local/bin:/usr/bin:/bin ${app}/node ${app}/dist/kubreak.js "$@"`;
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh'];
}

/** Why an ordinary user cannot have a cluster here; undefined when one can. */
export async function ordinaryUserProblem(): Promise<string | undefined> {
  const asUser = process.getuid?.() === 0 ? ['setpriv', `--reuid=${ORDINARY_ID}`, `--regid=${ORDINARY_ID}`, '--clear-groups'] : ['env'];
  const [program = '', ...args] = [...asUser, 'unshare', '--user', '--map-root-user', '--net', 'true'];
  const { code, stderr } = await runCommand(program, args);
  return code === 0 ? undefined : `this machine does not let ordinary users make user namespaces: ${stderr.trim()}`;
}

/** A cluster as a test drives it, however it runs. */
export abstract class DrivenCluster {
  protected readonly scratch: string;
  /** Words before every command, such as those that enter a namespace. */
  protected readonly entering: readonly string[];
  abstract get kubeconfig(): string;

  constructor(scratch: string, entering: readonly string[] = []) {
    this.scratch = scratch;
    this.entering = entering;
  }

  abstract down(): Promise<void>;
  abstract kubreak(args: readonly string[], options?: RunOptions): Promise<Result>;
  /** A command on a host. */
  abstract on(host: string, ...command: string[]): Promise<Result>;

  kubectl(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const [program = '', ...words] = [...this.entering, 'kubectl', ...args];
    return runCommand(program, words, { ...options, env: { KUBECONFIG: this.kubeconfig, HOME: this.scratch, ...options.env } });
  }
  /** kubectl that has to succeed; resolves with what it printed. */
  async kubectlOk(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl(args);
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  }
  /** A kubectl that is left running, such as one that waits for a deletion. */
  kubectlStarted(...args: string[]): ChildProcess {
    return spawn('kubectl', args, { env: { ...process.env, KUBECONFIG: this.kubeconfig, HOME: this.scratch }, stdio: ['ignore', 'pipe', 'pipe'] });
  }
  async onOk(host: string, ...command: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.on(host, ...command);
    assert.equal(code, 0, `${host}$ ${command.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  }
  writeFile(name: string, text: string): string {
    const path = join(this.scratch, name);
    writeFileSync(path, text);
    return path;
  }
  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.kubectlOk(...args, '-o', 'json')) as T;
  }
}

/** A local cluster, in a folder of its own. */
export class TestCluster extends DrivenCluster {
  readonly folder: string;
  readonly port: number;
  readonly #command: readonly string[];

  private constructor(scratch: string, port: number, user: ClusterUser, entering: readonly string[]) {
    super(scratch, entering);
    this.port = port;
    const isOther = user !== 'self' && process.getuid?.() === 0;
    this.#command = [...entering, ...(isOther ? asOrdinaryUser(scratch, user === 'ordinary') : [process.execPath, KUBREAK])];
    this.folder = join(scratch, isOther ? 'home' : '', '.kubreak');
  }

  static async start(user: ClusterUser = 'self', options: readonly string[] = [], entering: readonly string[] = []): Promise<TestCluster> {
    const cluster = new TestCluster(mkdtempSync(join(tmpdir(), 'kubreak-e2e-')), await freePort(), user, entering);
    await cluster.up(options);
    return cluster;
  }

  async up(options: readonly string[] = []): Promise<void> {
    const { code, stdout, stderr } = await this.kubreak(['up', '--detach', '--port', String(this.port), ...options], { timeoutMs: 240_000 });
    assert.equal(code, 0, `kubreak up failed:\n${stdout}\n${stderr}`);
  }
  async down(purge = true): Promise<void> {
    const { code, stderr } = await this.kubreak(['down', ...(purge ? ['--purge'] : [])]);
    assert.equal(code, 0, `kubreak down failed: ${stderr}`);
    assert.equal((await runCommand('sh', ['-c', `ps -eo args | grep -F '${this.folder}' | grep -v grep`])).stdout, '', 'processes were left behind');
    if (purge) rmSync(this.scratch, { recursive: true, force: true });
  }

  get kubeconfig(): string {
    return join(this.folder, 'admin.conf');
  }
  kubreak(args: readonly string[], options?: RunOptions): Promise<Result> {
    const [program = '', ...words] = this.#command;
    return runCommand(program, [...words, '--dir', this.folder, ...args], options);
  }
  on(host: string, ...command: string[]): Promise<Result> {
    return this.kubreak(['exec', host, '--', ...command]);
  }
}

export const NGINX_POD = `apiVersion: v1
kind: Pod
metadata:
  name: nginx-pod
spec:
  containers:
  - name: container-name
    image: nginx
`;

/** Columns of a kubectl table by header name. */
export function table(text: string): Record<string, string>[] {
  const [header = '', ...rows] = text.trimEnd().split('\n');
  const names = [...header.matchAll(/\S+(?: \S+)*/g)].map((match) => ({ name: match[0], start: match.index }));
  return rows.map((row) => Object.fromEntries(names.map(({ name, start }, index) => [name, row.slice(start, names[index + 1]?.start).trim()])));
}
