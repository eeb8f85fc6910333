// A program with bounded output and time, whose exit code is an answer and no error.
import { spawn } from 'node:child_process';
import { UserError } from '../user-error.ts';
import type { CommandOptions, CommandResult } from './cluster-access.ts';

const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
/** As timeout(1) and a shell report the two. */
const TIMED_OUT = 124;
const KILLED = 137;

/** The last line that a program has said: of what went wrong, if it says so apart. */
export function lastWords({ stdout, stderr }: Pick<CommandResult, 'stdout' | 'stderr'>): string {
  return (stderr.trim() || stdout.trim()).split('\n').at(-1) ?? '';
}

/** Throws UserError when the program is not installed. */
export function runCommand(words: readonly string[], { input = '', timeoutMs = DEFAULT_TIMEOUT_MS, onLine, signal }: CommandOptions = {}): Promise<CommandResult> {
  const [program = '', ...args] = words;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'pipe', detached: true });
    const output = { stdout: '', stderr: '' };
    let end: number | undefined;
    const kill = (code: number): void => {
      end ??= code;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL'); // with what it started
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has just ended
      }
    };
    const timer = setTimeout(() => kill(TIMED_OUT), timeoutMs);
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
        if (name === 'stdout' && onLine) {
          const lines = output[name].split('\n');
          output[name] = lines.pop() ?? '';
          lines.forEach(onLine);
        }
        if (output[name].length > MAX_OUTPUT_BYTES) kill(KILLED);
      });
    }
    child.stdin.on('error', () => undefined); // who does not read it has ended, and says so by its exit code
    if (typeof input === 'string') child.stdin.end(input);
    else input.pipe(child.stdin);
    const onAbort = (): void => kill(KILLED);
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    child.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      reject(error.code === 'ENOENT' ? new UserError(`the program ${program} is not installed`) : error);
    });
    child.once('close', (code) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      if (typeof input !== 'string') input.destroy();
      resolve({ code: end ?? code ?? KILLED, stdout: output.stdout, stderr: end === TIMED_OUT ? `${output.stderr}no answer within ${timeoutMs / 1000} s` : output.stderr });
    });
  });
}
