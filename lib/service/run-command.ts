// Running a program of the host (ip, nft, conntrack, mkfifo) to its end.
import { spawn } from 'node:child_process';

/** Longest time a program may take unless told otherwise; milliseconds. It is killed then. */
const TIMEOUT_MS = 30_000;
/** Most output accepted; bytes. */
const OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024;
const COMPLAINT_LIMIT_CHARACTERS = 4096;

export class CommandError extends Error {
  override readonly name = 'CommandError';
  /** Undefined when the program could not be started or was killed. */
  readonly exitCode: number | undefined;
  constructor(message: string, exitCode: number | undefined, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** Resolves with what the program printed. Throws CommandError with its complaint when it fails, or prints too much. */
export function runCommand(program: string, args: readonly string[], input = '', timeoutMs = TIMEOUT_MS): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'pipe', timeout: timeoutMs, killSignal: 'SIGKILL' });
    const output: Buffer[] = [];
    let outputBytes = 0;
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => {
      outputBytes += chunk.length;
      if (outputBytes <= OUTPUT_LIMIT_BYTES) output.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString('utf8')).slice(0, COMPLAINT_LIMIT_CHARACTERS)));
    child.stdin.on('error', () => undefined); // the program ended before it read all: its exit code tells
    child.once('error', (error) => reject(new CommandError(`cannot run ${program}: ${error.message}`, undefined, { cause: error })));
    child.once('close', (code, signal) => {
      if (outputBytes > OUTPUT_LIMIT_BYTES) reject(new CommandError(`${program} printed more than ${OUTPUT_LIMIT_BYTES} bytes`, code ?? undefined));
      else if (code === 0) resolve(Buffer.concat(output).toString('utf8'));
      else reject(new CommandError(`${program} ${args.join(' ')}: ${complaint.trim() || `ended with ${signal ?? `exit code ${code ?? 0}`}`}`, code ?? undefined));
    });
    child.stdin.end(input);
  });
}
