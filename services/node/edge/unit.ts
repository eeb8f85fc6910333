// One supervised service of the host: started, stopped, started again when it ends by itself, taken up again after the
// supervisor itself was killed (the services go on running without it).
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { clockEnvironment } from '#lib/service/shifted-clock.ts';
import { readUserNamespace } from '#lib/service/user-namespace.ts';
import type { UnitConfig } from '../core/host-config.ts';
import type { UnitView } from '../core/systemctl.ts';

/** Time from SIGTERM to SIGKILL when a unit is stopped; milliseconds. Below systemd's 90 s, above what ours need. */
const STOP_TIMEOUT_MS = 15_000;
/** How often a service that is not our child is looked at; milliseconds. */
const ADOPTED_POLL_MS = 200;

interface Running {
  readonly pid: number;
  readonly ended: Promise<string>;
}

/** Start time of a process in clock ticks since boot, which tells a reused pid; undefined when there is none. */
export function processStartTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined; // no such process
  }
}

export class Unit {
  readonly config: UnitConfig;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #stateFile: string;
  readonly #logFile: string;
  #wanted = false;
  #running: Running | undefined;
  #sinceMs: number;
  #restarts = 0;
  #lastEnd = '';
  #loop: Promise<void> | undefined;
  #wake: AbortController = new AbortController();

  constructor(config: UnitConfig, { clock, log, stateFolder, logFolder }: { clock: Clock; log: Logger; stateFolder: string; logFolder: string }) {
    this.config = config;
    this.#clock = clock;
    this.#log = log.child({ unit: config.name });
    this.#stateFile = `${stateFolder}/${config.name}.json`;
    this.#logFile = `${logFolder}/${config.name}.log`;
    this.#sinceMs = clock.nowMs();
    mkdirSync(stateFolder, { recursive: true });
    mkdirSync(logFolder, { recursive: true });
  }

  get pid(): number | undefined {
    return this.#running?.pid;
  }
  /** Starts by the supervisor after the service had ended by itself, since boot. */
  get restarts(): number {
    return this.#restarts;
  }
  get logFile(): string {
    return this.#logFile;
  }

  view(): UnitView {
    const { name, description, command } = this.config;
    const [activeState, subState] = this.#running ? ['active' as const, 'running'] : this.#wanted ? ['activating' as const, 'auto-restart'] : ['inactive' as const, 'dead'];
    return { name, description, command, activeState, subState, sinceMs: this.#sinceMs, pid: this.pid };
  }

  /** `delayMs`: to wait before, unless an earlier supervisor left it running; another start cuts the wait short. */
  start(delayMs = 0): void {
    this.#wanted = true;
    this.#wake.abort();
    this.#wake = new AbortController();
    this.#loop ??= this.#keepRunning(delayMs).finally(() => (this.#loop = undefined));
  }

  /** SIGTERM, then SIGKILL after the stop timeout; resolves when the process has ended. */
  async stop(): Promise<void> {
    this.#wanted = false;
    this.#wake.abort();
    const running = this.#running;
    if (!running) return;
    this.signal('SIGTERM');
    const killer = setTimeout(() => this.signal('SIGKILL'), STOP_TIMEOUT_MS);
    await running.ended;
    clearTimeout(killer);
    await this.#loop;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#running === undefined) return;
    try {
      process.kill(this.#running.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  async #keepRunning(delayMs: number): Promise<void> {
    this.#running = this.#adopt();
    if (!this.#running && delayMs > 0) await this.#clock.sleep(delayMs, this.#wake.signal).catch(() => undefined);
    while (this.#wanted) {
      this.#running ??= this.#spawn();
      this.#sinceMs = this.#clock.nowMs();
      this.#lastEnd = await this.#running.ended;
      this.#running = undefined;
      this.#sinceMs = this.#clock.nowMs();
      rmSync(this.#stateFile, { force: true });
      this.#log.info({ end: this.#lastEnd, wanted: this.#wanted }, 'service ended');
      if (!this.#wanted) return;
      const { signal } = this.#wake;
      await this.#clock.sleep(this.config.restartSeconds * 1000, signal).catch(() => undefined);
      if (this.#wanted) this.#restarts += 1;
    }
  }

  #spawn(): Running {
    const [program = '', ...args] = this.config.command;
    const { group } = this.config;
    const output = openSync(this.#logFile, 'a');
    const child = spawn(program, args, { detached: true, stdio: ['ignore', output, output], cwd: '/', env: { ...process.env, ...clockEnvironment(), ...this.config.environment },
      ...(group !== undefined && readUserNamespace().hasGid(group) ? { gid: group } : {}) });
    closeSync(output);
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code ?? 0}`));
    });
    const pid = child.pid ?? 0;
    writeFileSync(this.#stateFile, JSON.stringify({ pid, startTicks: processStartTicks(pid), restarts: this.#restarts }));
    this.#log.info({ pid }, 'service started');
    return { pid, ended };
  }

  /** The process that an earlier supervisor of this boot left behind. */
  #adopt(): Running | undefined {
    let left: { pid: number; startTicks: string; restarts: number };
    try {
      left = JSON.parse(readFileSync(this.#stateFile, 'utf8')) as typeof left;
    } catch {
      return undefined; // none, or cut short by a kill: then the process is found missing and started
    }
    if (processStartTicks(left.pid) !== left.startTicks) return undefined;
    this.#restarts = left.restarts;
    this.#log.info({ pid: left.pid }, 'took up a running service');
    const ended = (async () => {
      while (processStartTicks(left.pid) === left.startTicks) await this.#clock.sleep(ADOPTED_POLL_MS);
      return 'unknown';
    })();
    return { pid: left.pid, ended };
  }
}
