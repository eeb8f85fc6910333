// Reads container logs from disk: tails, selections, and following across rotation.
import { watch, type FSWatcher } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parseLogLine, renderLogLine, type LogSelection } from '../core/cri-log.ts';

const BLOCK_BYTES = 64 * 1024;
/** Longest line kept in memory; a longer one is passed on in pieces. */
const MAX_LINE_BYTES = 1024 * 1024;
/** How long a follower waits for a change without being told of one. Milliseconds. Source: stateCheckPeriod. */
const FOLLOW_CHECK_MS = 1_000;
const NEWLINE = 0x0a;

export interface ReadOptions extends LogSelection {
  /** Lines from the end; undefined: all. */
  readonly tailLines?: number | undefined;
  readonly limitBytes?: number | undefined;
  readonly follow?: boolean | undefined;
  /** For `follow`: false when nothing will be written any more. */
  readonly isLive?: () => Promise<boolean>;
  readonly signal: AbortSignal;
}

/** Offset of the n-th last line. */
async function offsetOfTail(file: FileHandle, lines: number): Promise<number> {
  const { size } = await file.stat();
  if (lines <= 0) return size;
  const block = Buffer.alloc(BLOCK_BYTES);
  let found = 0;
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - BLOCK_BYTES);
    const { bytesRead } = await file.read(block, 0, end - start, start);
    for (let index = bytesRead - 1; index >= 0; index -= 1) {
      // The newline that ends the file ends the last line and starts none.
      if (block[index] !== NEWLINE || start + index === size - 1) continue;
      found += 1;
      if (found === lines) return start + index + 1;
    }
    end = start;
  }
  return 0;
}

/** Pieces of what a reader is shown. Throws ENOENT when there is no log. */
export async function* readLog(path: string, options: ReadOptions): AsyncGenerator<Buffer> {
  let file = await open(path, 'r');
  let leftBytes = options.limitBytes ?? Infinity;
  try {
    let position = options.tailLines === undefined ? 0 : await offsetOfTail(file, options.tailLines);
    const lines = new LineRenderer(options);
    const change = options.follow === true ? new ChangeSignal(dirname(path)) : undefined;
    try {
      const block = Buffer.alloc(BLOCK_BYTES);
      while (leftBytes > 0 && !options.signal.aborted) {
        const { bytesRead } = await file.read(block, 0, BLOCK_BYTES, position);
        if (bytesRead > 0) {
          position += bytesRead;
          const shown = lines.push(block.subarray(0, bytesRead));
          if (shown.length === 0) continue;
          const piece = shown.subarray(0, Math.min(shown.length, leftBytes));
          leftBytes -= piece.length;
          yield piece;
          continue;
        }
        if (!change) return;
        const renewed = await reopenedAfterRotation(path, file, position);
        if (renewed) {
          await file.close();
          [file, position] = [renewed, 0];
          continue;
        }
        const wasLive = await (options.isLive?.() ?? true);
        if (!wasLive && (await file.stat()).size === position) return;
        await change.wait(FOLLOW_CHECK_MS, options.signal);
      }
    } finally {
      change?.close();
    }
  } finally {
    await file.close();
  }
}

/** The new file, when the one being read was renamed away and another is in its place. */
async function reopenedAfterRotation(path: string, file: FileHandle, position: number): Promise<FileHandle | undefined> {
  try {
    const [current, own] = await Promise.all([stat(path), file.stat()]);
    if (current.ino === own.ino) return own.size < position ? await open(path, 'r') : undefined;
    return await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined; // between rename and reopen
    throw error;
  }
}

class LineRenderer {
  readonly #selection: LogSelection;
  #pending = Buffer.alloc(0);
  #isContinued = false;

  constructor(selection: LogSelection) {
    this.#selection = selection;
  }

  push(chunk: Buffer): Buffer {
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const shown: string[] = [];
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      const line = parseLogLine(bytes.toString('utf8', start, end));
      start = end + 1;
      if (!line) continue;
      shown.push(renderLogLine(line, this.#selection, this.#isContinued));
      this.#isContinued = !line.isWhole;
    }
    const rest = bytes.subarray(start);
    this.#pending = Buffer.from(rest.length > MAX_LINE_BYTES ? rest.subarray(0, MAX_LINE_BYTES) : rest);
    return Buffer.from(shown.join(''));
  }
}

/** Wakes a follower when anything in the log's folder changes. */
class ChangeSignal {
  readonly #watcher: FSWatcher;
  #wake: (() => void) | undefined;
  #changed = false;

  constructor(folder: string) {
    this.#watcher = watch(folder, { persistent: false }, () => {
      this.#changed = true;
      this.#wake?.();
    });
    this.#watcher.on('error', () => this.#wake?.()); // the folder went away: the reader finds out by itself
  }

  wait(durationMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#changed || signal.aborted) {
        this.#changed = false;
        return resolve();
      }
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wake = undefined;
        this.#changed = false;
        resolve();
      };
      const timer = setTimeout(done, durationMs);
      this.#wake = done;
      signal.addEventListener('abort', done, { once: true });
    });
  }

  close(): void {
    this.#watcher.close();
  }
}

/** The end of a log as plain text, for termination messages. */
export async function tailOfLog(path: string, { bytes, lines }: { readonly bytes: number; readonly lines: number }): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of readLog(path, { tailLines: lines, signal: new AbortController().signal })) pieces.push(piece);
  const all = Buffer.concat(pieces);
  return all.subarray(Math.max(0, all.length - bytes)).toString('utf8');
}
