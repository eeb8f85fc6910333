// From a container's standard output to its log file, and to whoever is attached. The container writes into FIFOs that its
// shim holds open: while the runtime is away the container's output waits there (as with containerd), nothing is lost.
import { closeSync, constants, mkdirSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import { formatLogTime, LineCutter, type LogStream } from '../core/log-lines.ts';

export type OutputListener = (stream: LogStream, chunk: Buffer) => void;

export class LogPump {
  readonly #logPath: string;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #listeners = new Set<OutputListener>();
  readonly #sockets: Socket[] = [];
  readonly #cutters = new Map<LogStream, LineCutter>();
  #file: number | undefined;
  /** Settles when every FIFO was read to its end. */
  readonly ended: Promise<void>;

  /** `logPath` may be empty: then output only goes to attached clients. */
  constructor({ fifos, logPath, log, now }: { fifos: Readonly<Partial<Record<LogStream, string>>>; logPath: string; log: Logger; now: () => number }) {
    this.#logPath = logPath;
    this.#log = log;
    this.#now = now;
    this.reopen();
    this.ended = Promise.all(Object.entries(fifos).map(([stream, path]) => this.#read(stream as LogStream, path))).then(() => this.#closeFile());
  }

  listen(listener: OutputListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Goes on in a new file of the same name: the old one was renamed by log rotation. */
  reopen(): void {
    if (this.#logPath === '') return;
    this.#closeFile();
    mkdirSync(dirname(this.#logPath), { recursive: true });
    this.#file = openSync(this.#logPath, constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY, 0o640);
  }

  /** Stops reading; an unfinished line is written as a piece, which the next runtime goes on with. */
  detach(): void {
    for (const socket of this.#sockets) socket.destroy();
    for (const cutter of this.#cutters.values()) this.#write(cutter.flush('P', formatLogTime(this.#now())));
    this.#closeFile();
  }

  #read(stream: LogStream, path: string): Promise<void> {
    const cutter = new LineCutter(stream);
    this.#cutters.set(stream, cutter);
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const socket = new Socket({ fd, readable: true, writable: false });
    this.#sockets.push(socket);
    socket.on('data', (chunk: Buffer) => {
      this.#write(cutter.push(chunk, formatLogTime(this.#now())));
      for (const listener of this.#listeners) listener(stream, chunk);
    });
    socket.on('error', (error) => this.#log.warn({ err: error }, 'cannot read the output of a container'));
    return new Promise((resolve) => socket.once('close', () => {
      this.#write(cutter.flush('F', formatLogTime(this.#now())));
      resolve();
    }));
  }

  #write(lines: Buffer): void {
    if (this.#file === undefined || lines.length === 0) return;
    try {
      for (let at = 0; at < lines.length;) at += writeSync(this.#file, lines, at);
    } catch (error) {
      this.#log.warn({ path: this.#logPath, err: error }, 'cannot write the log of a container');
    }
  }

  #closeFile(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

