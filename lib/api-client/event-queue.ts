// Events on their way to the server, one after the other. Source: client-go tools/record, tools/events.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { TransportError } from './client.ts';

/** Events that may wait to be written; more are dropped. */
const QUEUE_LIMIT = 1000;
const TRIES = 12;
const RETRY_MS = 10_000;

/** What an event is about, for the log. */
export interface EventSubject {
  readonly object: string | undefined;
  readonly reason: string;
}

export interface EventQueueOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** For so long after its making nothing is written, so that what the process came to do goes first. Milliseconds; default 0. */
  readonly holdMs?: number;
}

export class EventQueue {
  readonly #options: EventQueueOptions;
  readonly #notBeforeMs: number;
  readonly #waiting: { readonly write: () => Promise<void>; readonly subject: EventSubject }[] = [];
  #sending: Promise<void> | undefined;

  constructor(options: EventQueueOptions) {
    this.#options = options;
    this.#notBeforeMs = options.clock.nowMs() + (options.holdMs ?? 0);
  }

  /** Never throws and never waits; what cannot be written after 12 tries is dropped with a log line. */
  add(subject: EventSubject, write: () => Promise<void>): void {
    const { log, signal } = this.#options;
    if (signal.aborted) return;
    if (this.#waiting.length >= QUEUE_LIMIT) return log.warn(subject, 'event dropped: too many are waiting');
    this.#waiting.push({ write, subject });
    this.#sending ??= this.#drain();
  }

  /** Resolves when nothing waits any more. */
  async flushed(): Promise<void> {
    await this.#sending;
  }

  async #drain(): Promise<void> {
    const { clock, signal } = this.#options;
    const holdMs = this.#notBeforeMs - clock.nowMs();
    if (holdMs > 0) await clock.sleep(holdMs, signal).catch(() => undefined);
    for (let next = this.#waiting.shift(); next && !signal.aborted; next = this.#waiting.shift()) await this.attempt(next.subject, next.write);
    this.#sending = undefined; // in the same moment in which nothing was found: what comes next starts anew
  }

  /** Writes one, trying again as long as that may help. */
  async attempt(subject: EventSubject, write: () => Promise<void>): Promise<void> {
    const { signal, log, clock } = this.#options;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        return await write();
      } catch (error) {
        if (error instanceof StatusError && error.code < 500 && error.code !== 429) return log.warn({ err: error, ...subject }, 'server rejected event');
        if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
        if (attempt >= TRIES) return log.error({ err: error, ...subject }, 'unable to write event, retry limit exceeded');
        await clock.sleep(attempt === 1 ? RETRY_MS / 4 : RETRY_MS, signal).catch(() => undefined);
      }
    }
  }
}
