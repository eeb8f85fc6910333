// A small network for tests: hosts on a bridge and pods behind them, all in namespaces that end with the test process.
// Pods are connected as the container runtime connects them.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const INSIDE = 'KUBREAK_NETWORK_LAB';
const FILE_TIMEOUT_MS = 60_000;

/**
 * Runs `body` (which defines tests) in a network and mount namespace of its own, by starting the test file again inside.
 * Without the right to make namespaces the tests are skipped, and the reason is shown.
 */
export function inOwnNetwork(testFileUrl: string, body: () => void): void {
  if (process.env[INSIDE] === '1') return body();
  const possible = spawnSync('unshare', ['-nm', 'nft', 'list', 'tables'], { encoding: 'utf8' });
  const skip = possible.status === 0 ? false : `no network namespaces here: ${possible.stderr?.trim() || possible.error?.message}`;
  const file = fileURLToPath(testFileUrl);
  test(`${file.replace(/^.*\/services\//, '')}, in a network of its own`, { skip, timeout: FILE_TIMEOUT_MS }, () => {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const setUp = 'mount -t tmpfs none /run && mount -t sysfs none /sys && ip link set lo up && exec "$@"';
    const result = spawnSync('unshare', ['-nm', '--propagation', 'private', 'sh', '-c', setUp, 'sh', process.execPath, ...process.execArgv.filter((flag) => !flag.startsWith('--test')), process.argv[1] ?? file], {
      env: { ...env, [INSIDE]: '1' }, encoding: 'utf8', timeout: FILE_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024,
    });
    assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`);
  });
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class NetworkLab {
  readonly gateway: string;
  readonly #children = new Set<ChildProcess>();
  #ports = 0;

  /** `gateway`: the address of this namespace on the bridge that joins the hosts, in a /24. */
  constructor(gateway = '192.168.1.1') {
    this.gateway = gateway;
    this.#ip(['link add br0 type bridge', `addr add ${gateway}/24 dev br0`, 'link set br0 up']);
  }

  addHost(name: string, address: string): void {
    this.#ports += 1;
    const port = `host${this.#ports}`;
    this.#ip([`netns add ${name}`, `link add ${port} type veth peer name eth0 netns ${name}`, `link set ${port} master br0 up`]);
    this.#ip(['link set lo up', `addr add ${address}/24 dev eth0`, 'link set eth0 up', `route add default via ${this.gateway}`], name);
  }

  /** A pod with one address behind `host`: its own namespace `pod`, gateway 169.254.1.1 with a permanent neighbour. */
  addPod(host: string, pod: string, address: string): void {
    const device = `cali${pod}`.slice(0, 15);
    const mac = 'ee:ee:ee:ee:ee:ee';
    this.#ip([`netns add ${pod}`]);
    this.#ip([`link add ${device} address ${mac} type veth peer name eth0 netns ${pod}`, `link set ${device} up`, `route add ${address}/32 dev ${device} scope link`], host);
    this.#ip(['link set lo up', `addr add ${address}/32 dev eth0`, 'link set eth0 up', 'route add 169.254.1.1 dev eth0 scope link', 'route add default via 169.254.1.1 dev eth0', `neigh add 169.254.1.1 lladdr ${mac} dev eth0 nud permanent`], pod);
    // The kernel does not let a namespace route between interfaces until told so.
    this.run(host, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  }

  /** Runs a command in a namespace to its end. */
  run(namespace: string, command: readonly string[], { input = '', timeoutMs = 5_000 } = {}): CommandResult {
    const result = spawnSync('ip', ['netns', 'exec', namespace, ...command], { encoding: 'utf8', input, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 });
    return { code: result.status ?? -1, stdout: result.stdout, stderr: result.stderr };
  }

  /** As `run`, without blocking this process, which may have to answer meanwhile. */
  runAsync(namespace: string, command: readonly string[], { timeoutMs = 5_000 } = {}): Promise<CommandResult> {
    return new Promise((resolve) => {
      const child = spawn('ip', ['netns', 'exec', namespace, ...command], { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs, killSignal: 'SIGKILL' });
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('utf8')));
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')));
      child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
    });
  }

  /** Starts a program that runs until `stop`; its output is kept for failure messages. */
  start(namespace: string, command: readonly string[], environment: Readonly<Record<string, string>> = {}): { readonly child: ChildProcess; readonly output: () => string } {
    const child = spawn('ip', ['netns', 'exec', namespace, ...command], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment } });
    let output = '';
    const keep = (chunk: Buffer): void => void (output = (output + chunk.toString('utf8')).slice(-200_000));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return { child, output: () => output };
  }

  /** Ends a program and resolves with its exit code when it is gone. */
  async end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
    child.kill(signal);
    return ended;
  }

  /** Ends all programs; the namespaces go with this process. */
  async stop(): Promise<void> {
    await Promise.all([...this.#children].map((child) => this.end(child, 'SIGKILL')));
  }

  #ip(lines: readonly string[], namespace?: string): void {
    const result = spawnSync('ip', [...(namespace === undefined ? [] : ['-n', namespace]), '-batch', '-'], { input: `${lines.join('\n')}\n`, encoding: 'utf8' });
    if (result.status !== 0) throw new Error(`ip: ${result.stderr}`);
  }
}
