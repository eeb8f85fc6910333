// Where a process keeps its spans: a file of bounded size on its host, an older one beside it. What has ended is in the
// kernel's hands within the same turn of the event loop, so it survives the process, however that ends.
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { tracesData, type OtlpAttribute } from './otlp-json.ts';
import type { EndedSpan } from './span.ts';

/** Bytes of one file; there are two. Some 6000 spans. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Spans that wait to be written; more are dropped, which happens only while the disk refuses. */
const MAX_WAITING = 2_048;

export interface SpanFile {
  add(span: EndedSpan): void;
  /** Writes what waits. */
  flush(): void;
}

export interface SpanFileOptions {
  readonly path: string;
  readonly resource: readonly OtlpAttribute[];
  readonly maxFileBytes?: number;
  /** Told once when spans cannot be written, and again only after it went well. */
  readonly onFailure: (error: unknown) => void;
}

/** Throws when the file cannot be opened. */
export function openSpanFile({ path, resource, maxFileBytes = MAX_FILE_BYTES, onFailure }: SpanFileOptions): SpanFile {
  let descriptor = openSync(path, 'a', 0o644);
  let size = fstatSync(descriptor).size;
  let waiting: EndedSpan[] = [];
  let isPlanned = false;
  let hasFailed = false;

  function rotate(): void {
    renameSync(path, `${path}.1`);
    const next = openSync(path, 'a', 0o644);
    closeSync(descriptor);
    descriptor = next;
    size = 0;
  }

  function flush(): void {
    isPlanned = false;
    if (waiting.length === 0) return;
    const line = Buffer.from(`${JSON.stringify(tracesData(resource, waiting))}\n`);
    waiting = [];
    try {
      if (size > 0 && size + line.length > maxFileBytes) rotate();
      // In one go: a line that is cut off belongs to a process that was killed while the kernel copied it.
      size += writeSync(descriptor, line);
      hasFailed = false;
    } catch (error) {
      if (!hasFailed) onFailure(error);
      hasFailed = true;
    }
  }

  return {
    flush,
    add(span) {
      if (waiting.length >= MAX_WAITING) return;
      waiting.push(span);
      if (isPlanned) return;
      isPlanned = true;
      setImmediate(flush);
    },
  };
}
