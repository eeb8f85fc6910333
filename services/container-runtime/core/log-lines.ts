// The log format of CRI: `TIME stdout|stderr F|P TEXT`, one line each; P marks a piece of a line that goes on.

export type LogStream = 'stdout' | 'stderr';

/** Longest piece of a line in the log. Bytes. Source: containerd, max_container_log_line_size. */
export const MAX_LINE_BYTES = 16 * 1024;

const NEWLINE = 0x0a;

/** Cuts what one stream of a container writes into log lines. Keeps an unfinished line of at most MAX_LINE_BYTES. */
export class LineCutter {
  #rest: Buffer = Buffer.alloc(0);
  readonly #stream: LogStream;

  constructor(stream: LogStream) {
    this.#stream = stream;
  }

  /** The log lines which `chunk` completes; `time` is RFC 3339 with nanoseconds. */
  push(chunk: Buffer, time: string): Buffer {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const pieces: Buffer[] = [];
    let start = 0;
    while (start < data.length) {
      const newline = data.indexOf(NEWLINE, start);
      const end = newline < 0 ? data.length : newline;
      if (end - start > MAX_LINE_BYTES) {
        pieces.push(...this.#line(data.subarray(start, start + MAX_LINE_BYTES), 'P', time));
        start += MAX_LINE_BYTES;
      } else if (newline >= 0) {
        pieces.push(...this.#line(data.subarray(start, end), 'F', time));
        start = newline + 1;
      } else {
        break;
      }
    }
    this.#rest = Buffer.from(data.subarray(start));
    return Buffer.concat(pieces);
  }

  /** The unfinished line: whole (`F`) when the stream has ended, a piece (`P`) when somebody else goes on reading it. */
  flush(tag: 'F' | 'P', time: string): Buffer {
    if (this.#rest.length === 0) return this.#rest;
    const line = Buffer.concat(this.#line(this.#rest, tag, time));
    this.#rest = Buffer.alloc(0);
    return line;
  }

  #line(text: Buffer, tag: 'F' | 'P', time: string): Buffer[] {
    return [Buffer.from(`${time} ${this.#stream} ${tag} `), text, Buffer.of(NEWLINE)];
  }
}

/** RFC 3339 in UTC with nine digits after the second, as Go's RFC3339NanoFixed writes it. */
export function formatLogTime(epochMs: number): string {
  const wholeMs = Math.floor(epochMs);
  const fraction = String(Math.floor((epochMs - wholeMs) * 1e6)).padStart(6, '0');
  return new Date(wholeMs).toISOString().replace('Z', `${fraction}Z`);
}
