// A cluster in containers for tests, driven by docker compose as a person does it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '#lib/testing/free-ports.ts';
import { DrivenCluster, runCommand, until, type Result, type RunOptions } from '../e2e/cluster.ts';
import { prepareEngine, type Engine } from './engine.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const KUBREAK = join(ROOT, 'dist/kubreak.js');
const PROJECT = 'kubreak-test';
const BUILD_TIMEOUT_MS = 400_000;
const UP_TIMEOUT_MS = 120_000;

export interface ComposeOptions {
  /** With fast failure detection; else as the environment says. */
  readonly isFast?: boolean;
}

export class ComposeCluster extends DrivenCluster {
  readonly port: number;
  readonly network = `${PROJECT}_k8s`;
  /** The container runtime of w3-k8s: `containerd`, or empty for that of this project. */
  #w3Runtime = '';
  readonly #isFast: boolean;
  readonly #engine: Engine;

  private constructor(scratch: string, port: number, engine: Engine, { isFast = false }: ComposeOptions) {
    super(scratch);
    this.port = port;
    this.#isFast = isFast;
    this.#engine = engine;
  }

  /** Builds the image; nothing runs yet. Throws when Docker cannot run, or a cluster in containers runs already. */
  static async prepare(options: ComposeOptions = {}): Promise<ComposeCluster> {
    const engine = await prepareEngine();
    const cluster = new ComposeCluster(mkdtempSync(join(tmpdir(), 'kubreak-compose-')), await freePort(), engine, options);
    await cluster.composeOk(['down', '-v', '-t', '1']); // an earlier run that was cut short
    await cluster.composeOk(['build', 'm-k8s'], BUILD_TIMEOUT_MS);
    return cluster;
  }

  /** Starts a cluster from nothing. */
  static async start(options: ComposeOptions = {}): Promise<ComposeCluster> {
    const cluster = await ComposeCluster.prepare(options);
    try {
      await cluster.up();
      await until('the API server answers', async () => (await cluster.kubectl(['get', '--raw', '/readyz'])).code === 0, UP_TIMEOUT_MS);
      return cluster;
    } catch (error) {
      await cluster.down();
      throw error;
    }
  }

  async up(...services: string[]): Promise<void> {
    await this.composeOk(['up', '-d', ...services], UP_TIMEOUT_MS);
    // The container is there at once, the file a moment later.
    writeFileSync(this.kubeconfig, await until('m-k8s has its certificates', async () => {
      const { code, stdout } = await this.on('m-k8s', 'kubeconfig');
      return code === 0 && stdout;
    }));
  }
  /** Empty: that of this project. Only w3-k8s is made anew. */
  async setRuntimeOfW3(runtime: string): Promise<void> {
    this.#w3Runtime = runtime;
    if (runtime !== '') await this.composeOk(['build', 'w3-k8s'], BUILD_TIMEOUT_MS);
    await this.up();
  }
  async down(): Promise<void> {
    await this.composeOk(['down', '-v', '-t', '1']);
    await this.#engine.stop();
    rmSync(this.scratch, { recursive: true, force: true });
  }

  get kubeconfig(): string {
    return join(this.scratch, 'admin.conf');
  }
  kubreak(args: readonly string[], options?: RunOptions): Promise<Result> {
    return runCommand(process.execPath, [KUBREAK, '--dir', this.scratch, '--compose', ...args], options);
  }
  on(host: string, ...command: string[]): Promise<Result> {
    return this.compose(['exec', '-T', host, ...command]);
  }
  compose(args: readonly string[], timeoutMs = UP_TIMEOUT_MS): Promise<Result> {
    const [program, ...words] = this.#engine.compose;
    return runCommand(program, [...words, '--project-directory', ROOT, '-f', join(ROOT, 'docker-compose.yml'), '-p', PROJECT, ...args],
      { timeoutMs, env: { K8S_PORT: String(this.port), K8S_W3_RUNTIME: this.#w3Runtime, ...(this.#isFast && { K8S_FAST_FAILURE_DETECTION: '1' }), BASE_IMAGE: this.#engine.baseImage, DOCKER_BUILDKIT: '0', COMPOSE_DOCKER_CLI_BUILD: '0' } });
  }
  async composeOk(args: readonly string[], timeoutMs?: number): Promise<string> {
    const { code, stdout, stderr } = await this.compose(args, timeoutMs);
    assert.equal(code, 0, `docker compose ${args.join(' ')}: ${stderr.slice(-3000)}${stdout.slice(-3000)}`);
    return stdout;
  }
  async docker(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await runCommand('docker', args);
    assert.equal(code, 0, `docker ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** Four Ready nodes, and every pod of kube-system Running and Ready. */
  async whole(deadlineMs = 120_000): Promise<void> {
    await until('the cluster is whole', async () => {
      const nodes = await this.kubectlOk('get', 'nodes', '--no-headers', '--request-timeout=5s');
      assert.equal(nodes.match(/ Ready /g)?.length, 4, nodes);
      const pods = (await this.kubectlOk('get', 'pods', '-n', 'kube-system', '--no-headers', '--request-timeout=5s')).trimEnd().split('\n');
      const broken = pods.filter((line) => !/ 1\/1 +Running /.test(line));
      assert.deepEqual([pods.length, broken], [15, []]);
      return true;
    }, deadlineMs);
  }
  inspect(container: string, format: string): Promise<Result> {
    return runCommand('docker', ['inspect', '-f', format, container]);
  }
  state(container: string): string {
    return spawnSync('docker', ['inspect', '-f', '{{.State.Status}}', container], { encoding: 'utf8' }).stdout.trim();
  }
}
