// The shim: a shell that starts a container's process, waits for it and leaves its exit code on disk. It belongs to no
// runtime process, so containers outlive the runtime. Its first child is PID 1 of the container's own PID namespace; when
// that ends no other process can be made in it, hence the shell uses only what is built in.
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { runCommand } from '#lib/service/run-command.ts';
import type { Process } from './records.ts';
import { stepRunnerText } from './step-runner.ts';

const SHIM = `# shim.sh FOLDER EXITS ID PIPES: runs the steps in FOLDER, writes the exit code to EXITS/ID.
exec 7<>"$1/stdout" 8<>"$1/stderr"
if [ "$4" = terminal ]; then
  exec 4<&0 # a shell gives what it starts in the background /dev/null, before it looks at <&0
  perl "$0.steps.pl" "$1/steps" 7>&- 8>&- <&4 4<&- &
elif [ -e "$1/stdin" ]; then
  perl "$0.steps.pl" "$1/steps" 7>&- 8>&- 9<&- <"$1/stdin" >"$1/stdout" 2>"$1/stderr" &
else
  perl "$0.steps.pl" "$1/steps" 7>&- 8>&- </dev/null >"$1/stdout" 2>"$1/stderr" &
fi
wait $!
echo "$?" >"$2/$3"
# The output still in the FIFOs is lost when nobody holds them: wait until a runtime has them open.
: <"$1/ack"
`;

/** Before the shim: keeps the standard input open, gives a terminal, and makes the PID namespace that the first child enters. */
const LAUNCH = `# launch.sh SHIM FOLDER EXITS ID PIPES PIDNS
echo $$ >"$2/shim"
if [ -e "$2/stdin" ]; then
  exec 6<>"$2/stdin" 9<"$2/stdin" 5>"$2/stdin"
  sleep 2147483647 6<&- 9<&- </dev/null >/dev/null 2>&1 &
  echo $! >"$2/stdin-holder"
  exec 5>&- 6<&-
fi
case $6 in
  host) enter= ;;
  own) enter='unshare --pid' ;;
  *) enter="nsenter --no-fork --pid=$6" ;;
esac
if [ "$5" = terminal ]; then
  exec script --quiet --return --flush --echo always --command "exec $enter sh '$1' '$2' '$3' '$4' terminal" /dev/null <"$2/stdin" >"$2/stdout" 2>&1
fi
exec $enter sh "$1" "$2" "$3" "$4" "$5"
`;

/** How long the steps of a container or its program's exec may take. Milliseconds. */
const START_TIMEOUT_MS = 30_000;

export interface ShimRequest {
  readonly id: string;
  readonly terminal: boolean;
  /** `own`, `host`, or the path of the PID namespace to enter. */
  readonly pidNamespace: string;
}

export type StartResult = { readonly process: Process } | { readonly error: string };

export class Shims {
  readonly #scripts: string;
  /** Exit codes, one file for each ended container; watched by the runtime. */
  readonly exits: string;
  readonly #containers: string;

  constructor(stateFolder: string) {
    this.#scripts = join(stateFolder, 'bin');
    this.exits = join(stateFolder, 'exits');
    this.#containers = join(stateFolder, 'containers');
    for (const folder of [this.#scripts, this.exits, this.#containers]) mkdirSync(folder, { recursive: true, mode: 0o711 });
    writeFileSync(join(this.#scripts, 'launch.sh'), LAUNCH);
    writeFileSync(join(this.#scripts, 'shim.sh'), SHIM);
    writeFileSync(join(this.#scripts, 'shim.sh.steps.pl'), stepRunnerText(process.arch));
  }

  get stepRunner(): string {
    return join(this.#scripts, 'shim.sh.steps.pl');
  }

  folder(id: string): string {
    return join(this.#containers, id);
  }

  path(id: string, name: string): string {
    return join(this.#containers, id, name);
  }

  get containersFolder(): string {
    return this.#containers;
  }

  /** Makes the folder and the FIFOs of a container. */
  async prepare(id: string, hasStdin: boolean): Promise<void> {
    mkdirSync(this.path(id, 'rootfs'), { recursive: true });
    const names = ['stdout', 'stderr', 'ready', 'ack', ...(hasStdin ? ['stdin'] : [])];
    await runCommand('mkfifo', ['-m', '666', ...names.map((name) => this.path(id, name))]);
    chmodSync(this.folder(id), 0o711);
  }

  /** Starts the process as the file `steps` says; resolves once its program runs, or with the reason why it does not. */
  async start({ id, terminal, pidNamespace }: ShimRequest): Promise<StartResult> {
    const ready = openSync(this.path(id, 'ready'), constants.O_RDONLY | constants.O_NONBLOCK);
    const child = spawn('sh', [join(this.#scripts, 'launch.sh'), join(this.#scripts, 'shim.sh'), this.folder(id), this.exits, id, terminal ? 'terminal' : 'pipes', pidNamespace], {
      detached: true, stdio: 'ignore', cwd: '/',
    });
    child.unref();
    const report = await readReport(ready, child, START_TIMEOUT_MS);
    const error = /^error (.*)$/ms.exec(report)?.[1];
    if (error !== undefined) return { error: error.trim() };
    const started = parseReport(report);
    return started ? { process: started } : { error: 'the shim ended before the process was started' };
  }

  /** What the process reported of itself, for a runtime that comes later. */
  reported(id: string): StartResult | undefined {
    const path = this.path(id, 'report');
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const error = /^error (.*)$/ms.exec(text)?.[1];
    if (error !== undefined) return { error: error.trim() };
    const started = parseReport(text);
    return started && { process: started };
  }

  /** Lets the shim end, now that its FIFOs are open here too. Hold until it has: it may not have come to waiting yet. */
  release(id: string): { close: () => void } {
    const fd = openSync(this.path(id, 'ack'), constants.O_RDWR | constants.O_NONBLOCK);
    return { close: () => closeSync(fd) };
  }

  shimIsAlive(id: string): boolean {
    const path = this.path(id, 'shim');
    const pid = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
    return pid !== '' && existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(id);
  }

  /**
   * Ends a shim and what it holds open; for containers that are removed or whose start was never finished. Its process group
   * holds whatever it has started that has not yet become a container of its own session.
   */
  end(id: string): void {
    this.endStdin(id);
    if (this.shimIsAlive(id)) signalQuietly(-Number(readFileSync(this.path(id, 'shim'), 'utf8')), 'SIGKILL');
  }

  /** Ends it, and leaves nothing of it but the exit code. */
  discard(id: string): void {
    this.end(id);
    rmSync(this.folder(id), { recursive: true, force: true });
  }

  /** The container reads the end of its standard input. */
  endStdin(id: string): void {
    const path = this.path(id, 'stdin-holder');
    if (!existsSync(path)) return;
    const pid = Number(readFileSync(path, 'utf8'));
    if (existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('sleep\0')) signalQuietly(pid, 'SIGKILL');
  }

  /** The exit code that the shim wrote, and when, by the time of files (milliseconds); undefined while there is none. */
  exitOf(id: string): { code: number; atMs: number } | undefined {
    const path = join(this.exits, id);
    const written = statSync(path, { throwIfNoEntry: false });
    const text = written ? readFileSync(path, 'utf8') : '';
    return written && text.endsWith('\n') ? { code: Number(text), atMs: written.mtimeMs } : undefined;
  }

  /** Now, by the time of files, which is the machine's own, whatever this process takes for the time. Milliseconds. */
  fileTimeMs(): number {
    const path = join(this.#scripts, 'now');
    writeFileSync(path, '');
    return statSync(path).mtimeMs;
  }
}

/** What the steps wrote, once their program has begun or they have failed, or the shim has ended before. */
async function readReport(fd: number, shim: ChildProcess, timeoutMs: number): Promise<string> {
  const socket = new Socket({ fd, readable: true, writable: false });
  let text = '';
  socket.on('data', (chunk: Buffer) => { text += chunk.toString(); });
  const ended = await new Promise<boolean>((resolve, reject) => {
    const timer = setTimeout(() => resolve(false), timeoutMs);
    socket.once('close', () => { clearTimeout(timer); resolve(true); });
    socket.once('error', reject);
    shim.once('error', reject);
    shim.once('exit', () => setImmediate(() => socket.destroy()));
  });
  socket.destroy();
  if (!ended) throw new Error(`the process was not started within ${timeoutMs / 1000} s`);
  return text;
}

function parseReport(text: string): Process | undefined {
  const match = /^started (\d+) (\d+)$/m.exec(text);
  return match ? { pid: Number(match[1]), startTime: match[2] ?? '' } : undefined;
}

export function signalQuietly(pid: number, signal: NodeJS.Signals | number): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether the very process still runs; a zombie does not. */
export function isAlive({ pid, startTime }: Process): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[19] === startTime && fields[0] !== 'Z' && fields[0] !== 'X';
  } catch {
    return false;
  }
}
