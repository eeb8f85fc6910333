// A host to break, for tests: namespaces of its own in which the real runtime runs as a process, reached over its socket.
// Ending one process clears everything away.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectToRuntime, type RuntimeConnection } from '#lib/cri/client.ts';
import type { ContainerConfig, PodSandboxConfig, Sent } from '#lib/cri/messages.ts';
import { runCommand } from '#lib/service/run-command.ts';
import { programOf } from '#lib/testing/program.ts';

const REPOSITORY = new URL('../../../../', import.meta.url).pathname;
const MAIN = new URL('../../main.ts', import.meta.url);

/** What the tests need of the machine. */
export const canRun = process.getuid?.() === 0 && existsSync('/usr/sbin/nginx');

/** Waits until `check` gives something; throws after the deadline. */
export async function eventually<T>(what: string, check: () => T | undefined | false | Promise<T | undefined | false>, timeoutMs = 15_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`timed out waiting for ${what}`);
    await sleep(20);
  }
}

export class Playground {
  readonly folder = mkdtempSync(join(tmpdir(), 'container-runtime-test-'));
  readonly socket = join(this.folder, 'containerd.sock');
  readonly logs = join(this.folder, 'logs');
  readonly cgroupParent = `/kubreak-test-${process.pid}`;
  connection: RuntimeConnection = connectToRuntime(this.socket);
  #host: ChildProcess | undefined;
  #hostPid = 0;
  #runtime: ChildProcess | undefined;
  runtimeOutput = '';
  readonly #command: readonly string[];

  /** `command` starts the runtime; by default that of this project. */
  constructor(command: readonly string[] = programOf(MAIN)) {
    this.#command = command;
  }

  async boot(): Promise<void> {
    const script = 'read pid rest </proc/self/stat; mount -t proc proc /proc; mount -t tmpfs tmpfs /run; mkdir /run/netns; ip link set lo up; ip address add 10.250.0.1/32 dev lo; echo $pid; while :; do sleep 1000 & wait $!; done';
    const host = spawn('unshare', ['--net', '--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private', 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#host = host;
    this.#hostPid = await new Promise<number>((resolve) => host.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk.toString()))));
    await this.startRuntime();
  }

  get #enter(): string[] {
    return ['--net', '--mount', '--pid', '--target', String(this.#hostPid)];
  }

  /** Runs a command on the playground host. */
  run(...command: string[]): Promise<string> {
    return runCommand('nsenter', [...this.#enter, ...command]);
  }

  writeNetworkConfig(block = '10.250.3.64/26'): void {
    mkdirSync(join(this.folder, 'net.d'), { recursive: true });
    writeFileSync(join(this.folder, 'net.d/10-calico.conflist'), JSON.stringify({ name: 'k8s-pod-network', cniVersion: '0.3.1', plugins: [{ type: 'calico', mtu: 1450, ipam: { type: 'calico-ipam', blocks: [block] } }] }));
  }

  async startRuntime(): Promise<void> {
    const flags = ['--address', this.socket, '--root', join(this.folder, 'root'), '--state', '/run/containerd', '--cgroup-parent', this.cgroupParent,
      '--cni-conf-dir', join(this.folder, 'net.d'), '--emulator-catalogue', join(REPOSITORY, 'images'), '--emulator-bundle-dir', REPOSITORY];
    const runtime = spawn('nsenter', [...this.#enter, ...this.#command, ...flags], { stdio: ['ignore', 'pipe', 'pipe'], cwd: REPOSITORY });
    for (const stream of [runtime.stdout, runtime.stderr]) stream.on('data', (chunk: Buffer) => { this.runtimeOutput += chunk.toString(); });
    this.#runtime = runtime;
    await eventually('the runtime to serve', async () => {
      if (runtime.exitCode !== null) throw new Error(`the runtime ended: ${this.runtimeOutput}`);
      return this.connection.runtime.version({}, { timeoutMs: 1_000 }).then(() => true, () => false);
    });
  }

  /** kill -9 of the runtime alone. */
  async killRuntime(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const runtime = this.#runtime;
    if (!runtime) return;
    const ended = new Promise((resolve) => runtime.once('exit', resolve));
    const pid = (await this.run('pgrep', '-x', 'containerd')).trim().split('\n')[0] ?? '';
    await this.run('kill', `-${signal.slice(3)}`, pid);
    await ended;
  }

  /** Ends every process of the host; its disk stays. */
  async shutDown(): Promise<void> {
    const host = this.#host;
    if (!host) return;
    const ended = new Promise((resolve) => host.once('exit', resolve));
    host.kill('SIGKILL');
    await ended;
    this.#host = undefined;
  }

  async destroy(): Promise<void> {
    this.connection.close();
    await this.shutDown();
    await eventually('the groups to be empty', () => ['memory', 'cpu', 'cpuacct', 'pids', 'unified', ''].every((controller) => removeGroups(join('/sys/fs/cgroup', controller, this.cgroupParent))));
    rmSync(this.folder, { recursive: true, force: true });
  }

  // ---- shorthands for CRI

  sandboxConfig(name: string, more: Sent<PodSandboxConfig> = {}): Sent<PodSandboxConfig> {
    return {
      metadata: { name, uid: `uid-${name}`, namespace: 'default', attempt: 0 }, hostname: name, logDirectory: join(this.logs, name),
      labels: { 'io.kubernetes.pod.name': name }, linux: { cgroupParent: `/kubepods/pod${name}` }, ...more,
    };
  }

  async runSandbox(name: string, more: Sent<PodSandboxConfig> = {}): Promise<{ id: string; ip: string }> {
    const { podSandboxId } = await this.connection.runtime.runPodSandbox({ config: this.sandboxConfig(name, more) });
    const { status } = await this.connection.runtime.podSandboxStatus({ podSandboxId });
    return { id: podSandboxId, ip: status?.network?.ip ?? '' };
  }

  async createContainer(sandboxId: string, image: string, more: Sent<ContainerConfig> = {}): Promise<string> {
    await this.connection.images.pullImage({ image: { image } });
    const config = { metadata: { name: 'main', attempt: 0 }, image: { image }, logPath: 'main/0.log', ...more };
    return (await this.connection.runtime.createContainer({ podSandboxId: sandboxId, config })).containerId;
  }

  async runContainer(sandboxId: string, image: string, more: Sent<ContainerConfig> = {}): Promise<string> {
    const containerId = await this.createContainer(sandboxId, image, more);
    await this.connection.runtime.startContainer({ containerId });
    return containerId;
  }

  async status(containerId: string) {
    const { status } = await this.connection.runtime.containerStatus({ containerId });
    if (!status) throw new Error('no status');
    return status;
  }

  async exited(containerId: string) {
    return eventually('the container to end', async () => {
      const status = await this.status(containerId);
      return status.state === 'CONTAINER_EXITED' && status;
    });
  }

  async exec(containerId: string, ...cmd: string[]): Promise<{ exitCode: number; output: string }> {
    const { exitCode, stdout, stderr } = await this.connection.runtime.execSync({ containerId, cmd, timeout: 10 });
    return { exitCode, output: stdout.toString() + stderr.toString() };
  }

  log(pod: string, name = 'main', attempt = 0): string {
    const path = join(this.logs, pod, name, `${attempt}.log`);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }
}

/** True when nothing is left. */
function removeGroups(folder: string): boolean {
  if (!existsSync(folder)) return true;
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) if (entry.isDirectory()) removeGroups(join(folder, entry.name));
    rmdirSync(folder);
  } catch {
    return false; // a process in it has not quite ended
  }
  return true;
}
