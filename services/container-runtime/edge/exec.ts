// A further process in a running container: nsenter enters its PID namespace and waits, the step runner does the rest.
import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { IPty } from '@lydell/node-pty';
import { encodeSteps } from '../core/steps.ts';
import type { Container } from './records.ts';
import { FailedPrecondition, type Runtime } from './runtime.ts';

export type PipedProcess = ChildProcessByStdio<Writable, Readable, Readable>;

export interface ExecResult {
  readonly exitCode: number;
  /** Why the program could not be started; undefined when it was. */
  readonly startError: string | undefined;
}

/** Output kept of an ExecSync, each of stdout and stderr. Bytes; source: containerd's limit of 16 MiB for a gRPC message. */
const EXEC_SYNC_OUTPUT_BYTES = 8 * 1024 * 1024;

export class ExecDeadlineExceeded extends Error {
  override readonly name = 'ExecDeadlineExceeded';
}

export class Execs {
  readonly #runtime: Runtime;
  readonly #folder: string;

  constructor({ runtime, stateFolder }: { runtime: Runtime; stateFolder: string }) {
    this.#runtime = runtime;
    this.#folder = join(stateFolder, 'execs');
    rmSync(this.#folder, { recursive: true, force: true });
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
  }

  /** With pipes. `finished` settles when the process has ended and its output was read. */
  start(container: Container, argv: readonly string[]): { process: PipedProcess; finished: Promise<ExecResult>; kill: () => void } {
    const { command, report } = this.#prepare(container, argv, false);
    const child = spawn('nsenter', command, { stdio: ['pipe', 'pipe', 'pipe'], detached: true, cwd: '/', env: { PATH: process.env['PATH'] ?? '' } });
    child.stdin.on('error', () => { /* the program does not read its input, or has ended: not our failure */ });
    const finished = ended(child).then((exitCode) => ({ exitCode, startError: takeReport(report) }));
    return { process: child, finished, kill: () => killGroup(child) };
  }

  /** With a terminal. */
  async startWithTerminal(container: Container, argv: readonly string[], size: { columns: number; rows: number }): Promise<{ terminal: IPty; finished: Promise<ExecResult> }> {
    const { spawn: spawnTerminal } = await import('@lydell/node-pty'); // a native package: loaded by the first session that needs it
    const { command, report } = this.#prepare(container, argv, true);
    const terminal = spawnTerminal('nsenter', command, { name: 'xterm', cols: size.columns, rows: size.rows, cwd: '/', encoding: null, env: { PATH: process.env['PATH'] ?? '' } });
    const finished = new Promise<ExecResult>((resolve) => {
      terminal.onExit(({ exitCode, signal }) => resolve({ exitCode: signal !== undefined && signal > 0 ? 128 + signal : exitCode, startError: takeReport(report) }));
    });
    return { terminal, finished };
  }

  /** Runs to the end. Throws ExecDeadlineExceeded, after killing the process, when it takes longer; 0: no limit. */
  async runToEnd(container: Container, argv: readonly string[], timeoutSeconds: number): Promise<ExecResult & { stdout: Buffer; stderr: Buffer }> {
    const { process: child, finished, kill } = this.start(container, argv);
    child.stdin.end();
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    let timedOut = false;
    const timer = timeoutSeconds > 0 ? setTimeout(() => { timedOut = true; kill(); }, timeoutSeconds * 1000) : undefined;
    const result = await finished;
    clearTimeout(timer);
    if (timedOut) throw new ExecDeadlineExceeded(`failed to exec in container: timeout ${timeoutSeconds}s exceeded: context deadline exceeded`);
    return { ...result, stdout: stdout(), stderr: stderr() };
  }

  #prepare(container: Container, argv: readonly string[], tty: boolean): { command: string[]; report: string } {
    if (argv.length === 0) throw new FailedPrecondition('exec command must not be empty');
    const name = join(this.#folder, randomBytes(8).toString('hex'));
    const report = `${name}.report`;
    const steps = this.#runtime.planExec(container, argv, tty);
    writeFileSync(name, encodeSteps([{ do: 'report', paths: [report] }, { do: 'forget', path: name }, ...steps]), { mode: 0o600 });
    return { command: [`--pid=/proc/${container.process?.pid}/ns/pid`, 'perl', this.#runtime.shims.stepRunner, name], report };
  }
}

/** The error that the steps reported, if any; removes the report. */
function takeReport(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const error = /^error (.*)$/ms.exec(readFileSync(path, 'utf8'))?.[1]?.trim();
  rmSync(path, { force: true });
  return error;
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

/** The whole session: nsenter waits outside, the program and its children run inside. */
function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function collect(stream: Readable): () => Buffer {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    if (size < EXEC_SYNC_OUTPUT_BYTES) chunks.push(chunk.subarray(0, EXEC_SYNC_OUTPUT_BYTES - size));
    size += chunk.length;
  });
  return () => Buffer.concat(chunks);
}
