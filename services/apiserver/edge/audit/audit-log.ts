// The audit log: a file of JSON lines that is put aside when it has grown large, as upstream's (lumberjack) does it. Events are written
// before the client is answered for good, one after the other.
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';

const MEGABYTE = 1024 * 1024;
const DAY_MS = 24 * 3600 * 1000;

export interface AuditLogOptions {
  /** `-`: standard output. */
  readonly path: string;
  readonly maxSizeMegabytes: number;
  /** Files put aside that are kept; 0: all. */
  readonly maxBackups: number;
  /** Days that they are kept; 0: for good. */
  readonly maxAgeDays: number;
}

export class AuditLog {
  readonly #options: AuditLogOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  #file: { readonly descriptor: number; sizeBytes: number } | undefined;

  constructor(options: AuditLogOptions, clock: Clock, log: Logger) {
    this.#options = options;
    this.#clock = clock;
    this.#log = log;
    if (options.path !== '-') this.#open(); // a path that cannot be written stops the start
  }

  /** A disk that is full or broken costs the event, not the request: upstream's mode `blocking`. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#options.path === '-') return void process.stdout.write(bytes);
    try {
      const limitBytes = this.#options.maxSizeMegabytes * MEGABYTE;
      if (this.#file && this.#file.sizeBytes > 0 && limitBytes > 0 && this.#file.sizeBytes + bytes.length > limitBytes) this.#putAside();
      const file = this.#file ?? this.#open();
      for (let at = 0; at < bytes.length;) at += writeSync(file.descriptor, bytes, at);
      file.sizeBytes += bytes.length;
    } catch (error) {
      this.#log.error({ err: error }, 'Unable to log audit event');
    }
  }

  close(): void {
    if (this.#file) closeSync(this.#file.descriptor);
    this.#file = undefined;
  }

  #open(): { readonly descriptor: number; sizeBytes: number } {
    mkdirSync(dirname(this.#options.path), { recursive: true });
    const descriptor = openSync(this.#options.path, 'a', 0o600);
    return (this.#file = { descriptor, sizeBytes: fstatSync(descriptor).size });
  }

  #putAside(): void {
    const { path, maxBackups, maxAgeDays } = this.#options;
    this.close();
    const [stem, extension] = [basename(path, extname(path)), extname(path)];
    const stamp = new Date(this.#clock.nowMs()).toISOString().slice(0, -1).replaceAll(':', '-');
    renameSync(path, join(dirname(path), `${stem}-${stamp}${extension}`));
    const aside = readdirSync(dirname(path)).filter((name) => name.startsWith(`${stem}-`) && name.endsWith(extension)).sort().reverse();
    const oldest = new Date(this.#clock.nowMs() - maxAgeDays * DAY_MS).toISOString().slice(0, -1).replaceAll(':', '-');
    aside.forEach((name, at) => {
      const isOld = maxAgeDays > 0 && name.slice(stem.length + 1, name.length - extension.length) < oldest;
      if (isOld || (maxBackups > 0 && at >= maxBackups)) rmSync(join(dirname(path), name));
    });
    this.#open();
  }
}
