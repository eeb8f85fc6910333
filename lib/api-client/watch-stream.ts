// Watch events from a byte stream: one JSON object a line.
import type { Readable } from 'node:stream';
import { StatusError, type Status } from '#lib/machinery/status-error.ts';

export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  /** For a BOOKMARK only kind, apiVersion and metadata.resourceVersion are there. */
  readonly object: T;
}

/** Largest event accepted; bytes. Above the 3 MiB that a server takes for one object. */
const MAX_EVENT_BYTES = 8 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Throws StatusError for an ERROR event, SyntaxError for a line that is no JSON, RangeError for one that is too long. */
export async function* readWatchEvents<T>(body: Readable): AsyncGenerator<WatchEvent<T>> {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const piece = chunk.subarray(start, end);
      const line = pending.length === 0 ? piece : Buffer.concat([...pending, piece]);
      pending = [];
      pendingBytes = 0;
      start = end + 1;
      if (line.length > 0) yield parseEvent<T>(line);
    }
    if (start < chunk.length) {
      pending.push(chunk.subarray(start));
      pendingBytes += chunk.length - start;
      if (pendingBytes > MAX_EVENT_BYTES) throw new RangeError(`watch event is larger than ${MAX_EVENT_BYTES} bytes`);
    }
  }
}

function parseEvent<T>(line: Buffer): WatchEvent<T> {
  const event = JSON.parse(line.toString('utf8')) as { type: string; object: unknown };
  if (event.type === 'ERROR') throw new StatusError(event.object as Status);
  return event as WatchEvent<T>;
}
