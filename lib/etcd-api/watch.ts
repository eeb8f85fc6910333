// A watch that outlives its stream: when the stream or the server ends, it goes on from the last revision delivered + 1.
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '#lib/environment/clock.ts';
import { EtcdError, fromServiceError, isUnavailable, WatchCompactedError } from './errors.ts';
import type { Event, WatchCreateRequestInput, WatchResponse } from './messages.ts';

export interface WatchOptions {
  readonly key: string | Uint8Array;
  /** As in a range request; absent for one key. */
  readonly rangeEnd?: string | Uint8Array;
  /** The first revision to deliver. Absent or 0: from now on. */
  readonly startRevision?: number;
  readonly prevKv?: boolean;
  /** Ask the server to say how far the watch is when there are no events. */
  readonly progressNotify?: boolean;
  readonly filters?: readonly ('NOPUT' | 'NODELETE')[];
  readonly signal?: AbortSignal;
}

export type WatchUpdate =
  /** The watch is up at the server: once at the start and again after each resumption. */
  | { readonly type: 'created'; readonly revision: number }
  /** All events of one or more whole revisions, in order. */
  | { readonly type: 'events'; readonly events: Event[]; readonly revision: number }
  /** No event is outstanding up to `revision`. */
  | { readonly type: 'progress'; readonly revision: number };

/**
 * Ends when the signal aborts; throws WatchCompactedError when events were compacted before they could be delivered, and
 * EtcdError for a refusal that waiting cannot heal. Reading slowly slows the server's stream, nothing piles up here.
 */
export interface EtcdWatch extends AsyncIterable<WatchUpdate> {
  /** Asks for a 'progress' update; lost when the stream is down, so ask again. */
  requestProgress(): void;
}

export type WatchStream = ClientDuplexStream<{ createRequest?: WatchCreateRequestInput; progressRequest?: Record<string, never> }, WatchResponse>;

/** Waits between attempts, in milliseconds: short, as an apiserver without watches serves stale data. */
const RESUME_DELAYS_MS = [50, 100, 200, 400, 800] as const;

const startAt = (startRevision: number): { startRevision?: number } => (startRevision > 0 ? { startRevision } : {});

export function resumingWatch(openStream: () => WatchStream, clock: Clock, options: WatchOptions): EtcdWatch {
  const { signal, startRevision = 0, ...request } = options;
  let stream: WatchStream | undefined;
  let next = startRevision;

  async function* attempt(onAlive: () => void): AsyncGenerator<WatchUpdate, void> {
    const opened = openStream();
    stream = opened;
    const cancel = (): void => opened.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      opened.write({ createRequest: { ...request, ...startAt(next) } });
      for await (const response of opened as AsyncIterable<WatchResponse>) {
        onAlive();
        const revision = response.header?.revision ?? 0;
        if (response.canceled) {
          if (response.compactRevision > 0) throw new WatchCompactedError(response.compactRevision);
          throw new EtcdError(1, response.cancelReason || 'etcdserver: watch canceled');
        }
        if (response.created) {
          // From now on, this is the point to resume from: what happens while the stream is down must not be lost.
          if (next === 0) next = revision + 1;
          yield { type: 'created', revision };
        } else if (response.events.length > 0) {
          const last = response.events.at(-1)?.kv?.modRevision ?? revision;
          next = Math.max(next, last + 1);
          yield { type: 'events', events: response.events, revision: last };
        } else {
          next = Math.max(next, revision + 1);
          yield { type: 'progress', revision };
        }
      }
    } finally {
      signal?.removeEventListener('abort', cancel);
      opened.on('error', () => undefined); // the cancellation below is reported as one
      opened.cancel();
      stream = undefined;
    }
  }

  async function* updates(): AsyncGenerator<WatchUpdate, void> {
    for (let failures = 0; !signal?.aborted; failures += 1) {
      try {
        yield* attempt(() => { failures = 0; });
      } catch (error) {
        if (signal?.aborted) return;
        const cause = toEtcdError(error);
        if (!isUnavailable(cause) && !isStreamLost(cause)) throw cause;
      }
      if (signal?.aborted) return;
      const delayMs = RESUME_DELAYS_MS[Math.min(failures, RESUME_DELAYS_MS.length - 1)] ?? 0;
      await clock.sleep(delayMs, signal).catch((error: unknown) => {
        if (!signal?.aborted) throw error;
      });
    }
  }

  return {
    [Symbol.asyncIterator]: updates,
    requestProgress: () => void stream?.write({ progressRequest: {} }),
  };
}

const isServiceError = (error: unknown): error is Parameters<typeof fromServiceError>[0] =>
  error instanceof Error && 'details' in error && 'code' in error && typeof error.code === 'number';
const toEtcdError = (error: unknown): unknown => (isServiceError(error) && !(error instanceof EtcdError) ? fromServiceError(error) : error);
/** How grpc-js reports a connection that was cut in the middle of a stream, or a server that went away. */
const isStreamLost = (error: unknown): boolean => error instanceof EtcdError && (error.code === 1 || error.code === 2 || error.code === 13) && !error.details.startsWith('etcdserver: ');
