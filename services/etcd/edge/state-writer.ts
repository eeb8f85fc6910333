// Brings what was applied to the database, in the background and many commands at a time. What is not there yet is in the write-ahead log.
// Each batch is synced: LevelDB may otherwise keep a later batch and lose an earlier one when the machine fails.
import type { Write } from '../core/store.ts';
import type { Database, Progress } from './database.ts';

/** How long changes may gather. */
const GATHER_MS = 250;
/** Changes that are written at once when there are more. */
const MAX_GATHERED = 10_000;
/** Bytes of keys and values, likewise: they stay in memory until then. */
const MAX_GATHERED_BYTES = 4 * 1024 * 1024;

export interface StateWriterOptions {
  readonly database: Database;
  readonly written: Progress;
  readonly onCommit: (seconds: number) => void;
  /** After each batch. */
  readonly onWritten: (progress: Progress) => void;
  readonly onFatal: (error: Error) => void;
}

export class StateWriter {
  private readonly options: StateWriterOptions;
  private gathered: Write[] = [];
  private gatheredBytes = 0;
  private progress: Progress;
  private writtenProgress: Progress;
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> | undefined;

  constructor(options: StateWriterOptions) {
    this.options = options;
    this.progress = options.written;
    this.writtenProgress = options.written;
  }

  /** What the database holds. */
  get written(): Progress {
    return this.writtenProgress;
  }

  add(writes: readonly Write[], progress: Progress): void {
    for (const write of writes) {
      this.gathered.push(write);
      if (write.type === 'put-entry') this.gatheredBytes += write.entry.sizeBytes;
    }
    this.progress = progress;
    if (this.writing !== undefined) return; // it looks again when it is done
    if (this.gathered.length >= MAX_GATHERED || this.gatheredBytes >= MAX_GATHERED_BYTES) this.start();
    else this.timer ??= setTimeout(() => this.start(), GATHER_MS);
  }

  /** Everything gathered so far is in the database afterwards. */
  async flush(): Promise<void> {
    const { appliedIndex } = this.progress;
    while (this.writtenProgress.appliedIndex < appliedIndex) await this.start();
  }

  /** Starts anew, from what the database holds now. */
  async reset(replace: () => Promise<Progress>): Promise<void> {
    this.gathered = [];
    this.gatheredBytes = 0;
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.writing;
    this.progress = this.writtenProgress = await replace();
  }

  private start(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.writing ??= this.write().catch((error: unknown) => this.options.onFatal(new Error(`failed to write to the database: ${error instanceof Error ? error.message : String(error)}`, { cause: error })));
    return this.writing;
  }

  private async write(): Promise<void> {
    const { gathered, progress } = this;
    this.gathered = [];
    this.gatheredBytes = 0;
    const start = performance.now();
    await this.options.database.write(gathered, progress);
    this.options.onCommit((performance.now() - start) / 1000);
    this.writtenProgress = progress;
    this.writing = undefined;
    if (this.progress.appliedIndex > progress.appliedIndex) this.timer ??= setTimeout(() => this.start(), this.gatheredBytes >= MAX_GATHERED_BYTES ? 0 : GATHER_MS);
    this.options.onWritten(progress);
  }
}
