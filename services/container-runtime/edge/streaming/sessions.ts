// Exec and attach: a process of the container on one side, a client's streams on the other.
import { constants, existsSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { runCommand } from '#lib/service/run-command.ts';
import { execStartText } from '../exec-error.ts';
import type { Execs } from '../exec.ts';
import type { Runtime } from '../runtime.ts';
import type { Outcome, RemoteStreams, TerminalSize } from './remote-command.ts';

/** How long a client has to say how large its terminal is before the program starts anyway. Milliseconds. */
const FIRST_SIZE_TIMEOUT_MS = 200;
const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };

export interface ExecSession {
  readonly containerId: string;
  readonly cmd: readonly string[];
  readonly tty: boolean;
}

const outcomeOf = ({ exitCode, startError }: { exitCode: number; startError: string | undefined }): Outcome =>
  startError === undefined ? { exitCode } : { error: `error executing command in container: ${execStartText(startError)}` };

export async function serveExec({ runtime, execs }: { runtime: Runtime; execs: Execs }, { containerId, cmd, tty }: ExecSession, streams: RemoteStreams): Promise<void> {
  let outcome: Outcome;
  try {
    const container = runtime.container(containerId);
    outcome = tty ? await execWithTerminal() : await execWithPipes();

    async function execWithPipes(): Promise<Outcome> {
      const { process: child, finished: ended } = execs.start(container, cmd);
      if (streams.stdin) void pipeline(streams.stdin, child.stdin).catch(() => child.stdin.end());
      else child.stdin.end();
      const output = [copy(child.stdout, streams.stdout, streams.closed), copy(child.stderr, streams.stderr, streams.closed)];
      const result = await ended;
      await Promise.all(output);
      return outcomeOf(result);
    }

    async function execWithTerminal(): Promise<Outcome> {
      const size = await firstSize(streams);
      const { terminal, finished: ended } = await execs.startWithTerminal(container, cmd, size);
      streams.onResize(({ columns, rows }) => terminal.resize(columns, rows));
      // Without an encoding the terminal hands out buffers, whatever its type says.
      terminal.onData((data) => { streams.stdout?.write(data); });
      streams.stdin?.on('data', (chunk: Buffer) => terminal.write(chunk as unknown as string));
      void streams.closed.then(() => terminal.kill('SIGHUP'));
      return outcomeOf(await ended);
    }
  } catch (error) {
    outcome = { error: `error executing command in container: ${error instanceof Error ? error.message : String(error)}` };
  }
  await streams.finish(outcome);
}

/** Copies until the end; output for a client that has gone is dropped, so that the program does not block on it. */
async function copy(source: NodeJS.ReadableStream, target: Writable | undefined, closed: Promise<void>): Promise<void> {
  if (!target) {
    source.resume();
    return;
  }
  let hasGone = false;
  void closed.then(() => {
    hasGone = true;
    source.resume();
  });
  for await (const chunk of source) {
    if (hasGone || target.destroyed || !target.writable) continue;
    if (!target.write(chunk)) await Promise.race([new Promise((resolve) => target.once('drain', resolve)), closed]);
  }
}

function firstSize(streams: RemoteStreams): Promise<TerminalSize> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(DEFAULT_SIZE), FIRST_SIZE_TIMEOUT_MS);
    streams.onResize((size) => {
      clearTimeout(timer);
      resolve(size);
    });
  });
}

/** Joins the running container's own standard streams. Ends when the container or the client does. */
export async function serveAttach(runtime: Runtime, containerId: string, streams: RemoteStreams): Promise<void> {
  let outcome: Outcome = { exitCode: 0 };
  try {
    const container = runtime.container(containerId);
    const pump = runtime.pump(container.id);
    if (container.phase !== 'running' || !pump) throw new Error(`container is in ${container.phase} state`);
    const stopListening = pump.listen((stream, chunk) => { (stream === 'stdout' ? streams.stdout : streams.stderr)?.write(Buffer.from(chunk)); });
    const fifo = runtime.shims.path(container.id, 'stdin');
    if (streams.stdin && existsSync(fifo)) {
      const input = new Socket({ fd: openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK), readable: false, writable: true });
      void pipeline(streams.stdin, input).catch(() => input.destroy()).then(() => { if (container.config.stdinOnce) runtime.shims.endStdin(container.id); });
      void streams.closed.then(() => input.destroy());
    } else {
      streams.stdin?.resume();
    }
    const terminal = `/proc/${container.process?.pid}/fd/0`;
    if (container.config.tty) streams.onResize(newResizer(terminal));
    await Promise.race([pump.ended, streams.closed]);
    stopListening();
  } catch (error) {
    outcome = { error: `error attaching to container: ${error instanceof Error ? error.message : String(error)}` };
  }
  await streams.finish(outcome);
}

/** One change at a time: of two at once, the earlier might be the one that stays. Sizes in between may be left out. */
function newResizer(terminal: string): (size: TerminalSize) => void {
  let wanted: TerminalSize | undefined;
  let isBusy = false;
  const work = async (): Promise<void> => {
    isBusy = true;
    while (wanted) {
      const { columns, rows } = wanted;
      wanted = undefined;
      await runCommand('stty', ['-F', terminal, 'rows', String(rows), 'cols', String(columns)]).catch(() => ''); // the container has ended
    }
    isBusy = false;
  };
  return (size) => {
    wanted = size;
    if (!isBusy) void work();
  };
}
