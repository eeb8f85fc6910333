// Runs one process of the control plane in a container of its own, on behalf of the kubelet of m-k8s: the program of the
// static pod there (../link) attaches by a unix socket on a shared volume. So the process is the kubelet's to start, end
// and restart, as any static pod, and Docker's to kill and to pause.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, watch } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { constants } from 'node:os';
import { systemClock } from '#lib/environment/clock.ts';
import { SPAN_FOLDER_VARIABLE } from '#lib/tracing/span-folder.ts';

/** Output of the process kept for a link that attaches later; bytes. */
const KEPT_OUTPUT_BYTES = 256 * 1024;
/** A link that does not read (its host is frozen) misses what goes beyond this; bytes. */
const LINK_BACKLOG_BYTES = 4 * 1024 * 1024;
/** How long this container may be in another network than m-k8s before it ends; milliseconds. m-k8s may just be booting. */
const NETWORK_PATIENCE_MS = 3_000;
/** Most that a link may send; bytes. */
const MAX_REQUEST_BYTES = 256 * 1024;

/** From here on the link shares the fate of the process; before, it tries again when this container goes. */
const ATTACHED = 'attached 1\n';

export interface AgentOptions {
  readonly component: string;
  /** Holds COMPONENT.sock and `netns`, which m-k8s writes when it starts. */
  readonly folder: string;
  readonly manifest: string;
  readonly environment: Readonly<Record<string, string>>;
  /** That its process is to have, by number. */
  readonly group?: number | undefined;
  readonly readManifest: () => Promise<unknown>;
  readonly print: (text: Buffer | string) => void;
}

interface Run {
  readonly child: ChildProcess;
  readonly argv: readonly string[];
  readonly output: { readonly stream: 'stdout' | 'stderr'; readonly chunk: Buffer }[];
  outputBytes: number;
  link: Socket | undefined;
}

export class StaticPodAgent {
  readonly #options: AgentOptions;
  readonly #end: Promise<number>;
  #finish: (exitCode: number) => void = () => undefined;
  #run: Run | undefined;
  #server: Server | undefined;
  #isStopping = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#end = new Promise((resolve) => (this.#finish = resolve));
  }

  /**
   * Resolves with the exit code of the container: 0 after `stop`, 1 when it is not in m-k8s's network and has to be
   * started again by Docker to get there.
   */
  async run(): Promise<number> {
    if (!(await this.#networkBecomesRight())) return this.#leave(1);
    const watcher = watch(this.#options.folder, (_, name) => {
      if (name === 'netns') void this.#networkBecomesRight().then((isRight) => (isRight ? undefined : this.#leave(1)));
    });
    await this.#listen();
    // The container is back and its manifest in place: no back-off of the kubelet is in the way. But for a host that was switched off.
    if (existsSync(this.#options.manifest) && !existsSync(`${this.#options.folder}/off`)) await this.#startFromManifest();
    const exitCode = await this.#end;
    watcher.close();
    return exitCode;
  }

  /** What `docker stop` asks for: ends the process in good order, then this container. */
  stop(): void {
    this.#isStopping = true;
    if (this.#run) this.#run.child.kill('SIGTERM');
    else this.#leave(0);
  }

  #leave(exitCode: number): number {
    this.#server?.close();
    this.#run?.child.kill('SIGKILL');
    this.#finish(exitCode);
    return exitCode;
  }

  async #networkBecomesRight(): Promise<boolean> {
    const file = `${this.#options.folder}/netns`;
    const own = readlinkSync('/proc/self/ns/net');
    const deadlineMs = systemClock.nowMs() + NETWORK_PATIENCE_MS;
    while (!existsSync(file) || readFileSync(file, 'utf8').trim() !== own) {
      if (systemClock.nowMs() > deadlineMs && existsSync(file)) {
        this.#options.print('m-k8s has started anew, in another network: this container has to as well\n');
        return false;
      }
      await systemClock.sleep(50);
    }
    return true;
  }

  async #startFromManifest(): Promise<void> {
    try {
      const pod = (await this.#options.readManifest()) as { spec?: { containers?: { command?: string[]; args?: string[] }[] } };
      const { command = [], args = [] } = pod.spec?.containers?.[0] ?? {};
      if (!this.#run && command.length > 0) this.#start([...command, ...args]);
    } catch (error) {
      this.#options.print(`cannot read ${this.#options.manifest}: ${error instanceof Error ? error.message : String(error)}\n`); // the kubelet cannot either
    }
  }

  #start(argv: readonly string[], link?: Socket): void {
    const [program = '', ...args] = argv;
    const spans = `${this.#options.folder}/spans`; // on the volume that the master sees, too
    mkdirSync(spans, { recursive: true });
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/', env: { [SPAN_FOLDER_VARIABLE]: spans, ...this.#options.environment }, ...(this.#options.group === undefined ? {} : { gid: this.#options.group }) });
    const run: Run = { child, argv, output: [], outputBytes: 0, link };
    this.#run = run;
    for (const stream of ['stdout', 'stderr'] as const) child[stream]?.on('data', (chunk: Buffer) => this.#onOutput(run, stream, chunk));
    child.once('error', (error) => this.#onOutput(run, 'stderr', Buffer.from(`${error.message}\n`)));
    child.once('close', (code, signal) => this.#onEnd(run, code ?? 128 + (signal ? constants.signals[signal] : 0)));
  }

  #onOutput(run: Run, stream: 'stdout' | 'stderr', chunk: Buffer): void {
    this.#options.print(chunk);
    run.output.push({ stream, chunk });
    run.outputBytes += chunk.length;
    while (run.outputBytes > KEPT_OUTPUT_BYTES && run.output.length > 1) run.outputBytes -= run.output.shift()?.chunk.length ?? 0;
    if (run.link) send(run.link, stream, chunk);
  }

  #onEnd(run: Run, exitCode: number): void {
    this.#options.print(`${this.#options.component} ended with exit code ${exitCode}\n`);
    if (this.#run === run) this.#run = undefined;
    run.link?.end(`exit ${exitCode}\n`);
    if (this.#isStopping) this.#leave(0);
    // Otherwise the kubelet, which is told so, decides when it is started again.
  }

  async #listen(): Promise<void> {
    const path = `${this.#options.folder}/${this.#options.component}.sock`;
    rmSync(path, { force: true });
    const server = createServer((link) => this.#onLink(link));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
  }

  #onLink(link: Socket): void {
    let text = '';
    const argv: string[] = [];
    link.setEncoding('utf8');
    link.on('error', () => link.destroy());
    link.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > MAX_REQUEST_BYTES) link.destroy();
      for (let end = text.indexOf('\0'); end >= 0; end = text.indexOf('\0')) {
        const message = text.slice(0, end);
        text = text.slice(end + 1);
        const space = message.indexOf(' ');
        const [what, value] = space < 0 ? [message, ''] : [message.slice(0, space), message.slice(space + 1)];
        if (what === 'argument') argv.push(value);
        else if (what === 'start') void this.#attach(link, argv);
        else if (what === 'signal' && this.#run?.link === link) this.#run.child.kill(`SIG${value}` as NodeJS.Signals);
      }
    });
    // Killed, or its host rebooted: so is the process.
    link.on('close', () => {
      if (this.#run?.link === link) this.#run.child.kill('SIGKILL');
    });
  }

  /** Takes up the process that runs on its own account, or starts it; whatever ran for an earlier link ends first. */
  async #attach(link: Socket, argv: readonly string[]): Promise<void> {
    const isRight = await this.#networkBecomesRight();
    if (!isRight || this.#isStopping || link.destroyed) {
      link.destroy();
      if (!isRight) this.#leave(1);
      return;
    }
    const run = this.#run;
    if (run && run.link === undefined && run.argv.join('\0') === argv.join('\0')) {
      run.link = link;
      link.write(ATTACHED);
      for (const { stream, chunk } of run.output) send(link, stream, chunk);
      return;
    }
    // Again, as another link may have started one in the meantime: there is never more than one.
    for (let old = this.#run; old; old = this.#run) {
      const { child, link: former } = old;
      const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
      old.link = undefined;
      former?.destroy();
      child.kill('SIGKILL');
      await ended;
    }
    if (link.destroyed) return;
    link.write(ATTACHED);
    this.#start(argv, link);
  }
}

function send(link: Socket, stream: 'stdout' | 'stderr', chunk: Buffer): void {
  if (link.destroyed || link.writableLength > LINK_BACKLOG_BYTES) return;
  link.write(`${stream} ${chunk.length}\n`);
  link.write(chunk);
}
