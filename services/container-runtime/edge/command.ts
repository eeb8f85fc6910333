// Running a program of the host to its end.
import { spawn } from 'node:child_process';

/** Longest time a tool of the host (ip, nft, mkfifo) may take. Milliseconds. */
const COMMAND_TIMEOUT_MS = 20_000;
/** Output kept of a tool, for its error message. Bytes. */
const OUTPUT_LIMIT_BYTES = 64 * 1024;

/** Resolves with the standard output; throws with the error output when the program fails. */
export async function runCommand(program: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(program, args, { stdio: 'pipe', timeout: COMMAND_TIMEOUT_MS, killSignal: 'SIGKILL' });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => { if (output.length < OUTPUT_LIMIT_BYTES) output += chunk.toString(); });
  child.stderr.on('data', (chunk: Buffer) => { if (errors.length < OUTPUT_LIMIT_BYTES) errors += chunk.toString(); });
  child.stdin.on('error', () => { /* it ended without reading all: its exit code says why */ });
  child.stdin.end(input);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, exitSignal) => resolve([exitCode, exitSignal]));
  });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} failed (${signal ?? `exit code ${code}`}): ${errors.trim() || output.trim()}`);
  return output;
}
