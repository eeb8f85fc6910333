// The nginx process: started with the first configuration, told to read each next one. It lives and dies with this process.
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, constants, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { CommandError, runCommand } from '#lib/service/run-command.ts';

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** In the folder of the configuration, which names it. */
const ACCESS_LOG = 'access.log';
const STOP_TIMEOUT_MS = 10_000;

export class Nginx {
  readonly #program: string;
  readonly #folder: string;
  #child: ChildProcess | undefined;
  #accessLog: Socket | undefined;
  #reloads = 0;

  constructor(program: string, folder: string) {
    this.#program = program;
    this.#folder = folder;
    mkdirSync(join(folder, 'ssl'), { recursive: true, mode: 0o700 });
  }

  /** nginx logs into a FIFO, for it opens its logs by path, which a socket (as standard output may be) does not allow. */
  async openAccessLog(output: Writable): Promise<void> {
    const path = join(this.#folder, ACCESS_LOG);
    rmSync(path, { force: true });
    await runCommand('mkfifo', ['-m', '622', path]);
    this.#accessLog = new Socket({ fd: openSync(path, constants.O_RDWR | constants.O_NONBLOCK), readable: true, writable: false });
    this.#accessLog.unref();
    this.#accessLog.pipe(output, { end: false });
  }

  get reloads(): number {
    return this.#reloads;
  }

  /** Certificate chain and key in one file, readable by nginx's master alone. Returns its path. */
  writeCertificate(name: string, certPem: string, keyPem: string): string {
    const path = join(this.#folder, 'ssl', `${name}.pem`);
    writeFileSync(`${path}.new`, `${certPem.trim()}\n${keyPem.trim()}\n`, { mode: 0o600 });
    chmodSync(`${path}.new`, 0o600);
    renameSync(`${path}.new`, path);
    return path;
  }

  removeCertificate(name: string): void {
    rmSync(join(this.#folder, 'ssl', `${name}.pem`), { force: true });
  }

  /** Throws ConfigError with nginx's words when it refuses the configuration; the one before stays in force. */
  async apply(configuration: string, onExit: (reason: string) => void): Promise<void> {
    const path = join(this.#folder, 'nginx.conf');
    const candidate = `${path}.new`;
    writeFileSync(candidate, configuration);
    try {
      await runCommand(this.#program, ['-t', '-q', '-c', candidate]);
    } catch (error) {
      throw error instanceof CommandError ? new ConfigError(error.message) : error;
    }
    renameSync(candidate, path);
    if (this.#child) this.#child.kill('SIGHUP');
    else this.#start(path, onExit);
    this.#reloads += 1;
  }

  #start(path: string, onExit: (reason: string) => void): void {
    const child = spawn(this.#program, ['-c', path], { stdio: ['ignore', 'inherit', 'inherit'] });
    this.#child = child;
    child.once('error', (error) => onExit(error.message));
    child.once('exit', (code, signal) => onExit(`nginx ended with ${signal ?? `code ${code ?? 0}`}`));
  }

  /** Lets requests under way end. */
  async stop(): Promise<void> {
    await this.#stopChild();
    this.#accessLog?.destroy();
  }

  async #stopChild(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.removeAllListeners('exit'); // this end is expected
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGQUIT');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }
}
