// Brings what was applied to the database, in the background and many commands at a time. What is not there yet is in the write-ahead log.
// Each batch is synced: LevelDB may otherwise keep a later batch and lose an earlier one when the machine fails.
import type { Write } from '../core/store.ts';
import type { Database, Progress } from './database.ts';

/** How long changes may gather. */
const GATHER_MS = 250;
/** Changes that are written at once when there are more, and bytes of keys and values: they stay in memory until then. */
const MAX_GATHERED = 5_000;
const MAX_GATHERED_BYTES = 4 * 1024 * 1024;
/**
 * The log's own writes wait for the disk while a batch is synced, so batches are few. They are not larger than this, unless the disk does not
 * keep up: then a part of what waits.
 */
const MAX_BATCH = 2_000;
const MAX_BATCH_BYTES = 2 * 1024 * 1024;
const MAX_CROWDED_BATCH_SHARE = 1 / 4;
/** Beyond it no more is taken from clients. */
const MAX_WAITING_BYTES = 256 * 1024 * 1024;
const MAX_WAITING = 500_000;

export interface StateWriterOptions {
  readonly database: Database;
  readonly written: Progress;
  readonly onCommit: (seconds: number) => void;
  /** After each batch. */
  readonly onWritten: (progress: Progress) => void;
  readonly onFatal: (error: Error) => void;
}

/** What was applied together; in the database as a whole or not at all. */
interface Group {
  readonly writes: readonly Write[];
  readonly bytes: number;
  readonly progress: Progress;
  /** Called when all before is in the database, and this is not. */
  readonly before: (() => void) | undefined;
}

export class StateWriter {
  private readonly options: StateWriterOptions;
  private groups: Group[] = [];
  /** Groups that came, and those of them that are in the database or given up. */
  private addedGroups = 0;
  private doneGroups = 0;
  private gathered = 0;
  private gatheredBytes = 0;
  private progress: Progress;
  private writtenProgress: Progress;
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> | undefined;
  private hasFailed = false;

  constructor(options: StateWriterOptions) {
    this.options = options;
    this.progress = options.written;
    this.writtenProgress = options.written;
  }

  /** What the database holds. */
  get written(): Progress {
    return this.writtenProgress;
  }

  add(writes: readonly Write[], progress: Progress, before?: () => void): void {
    let bytes = 0;
    for (const write of writes) if (write.type === 'put-entry') bytes += write.entry.sizeBytes;
    this.groups.push({ writes, bytes, progress, before });
    this.addedGroups += 1;
    this.gathered += writes.length;
    this.gatheredBytes += bytes;
    this.progress = progress;
    this.schedule();
  }

  private get isCrowded(): boolean {
    return this.gathered >= MAX_GATHERED || this.gatheredBytes >= MAX_GATHERED_BYTES;
  }

  /** The disk is so slow that memory would not last. */
  get isOverloaded(): boolean {
    return this.gathered >= MAX_WAITING || this.gatheredBytes >= MAX_WAITING_BYTES;
  }

  private schedule(): void {
    if (this.writing !== undefined || this.hasFailed) return; // it looks again when it is done
    if (this.isCrowded) void this.start(() => !this.isCrowded);
    else this.timer ??= setTimeout(() => void this.start(() => false), GATHER_MS);
  }

  /** Everything gathered so far is in the database afterwards. */
  async flush(): Promise<void> {
    const target = this.addedGroups;
    while (this.doneGroups < target && !this.hasFailed) await this.start(() => this.doneGroups >= target);
  }

  /** Starts anew, from what the database holds now. */
  async reset(replace: () => Promise<Progress>): Promise<void> {
    this.groups = [];
    this.gathered = 0;
    this.gatheredBytes = 0;
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.writing;
    this.doneGroups = this.addedGroups;
    this.progress = this.writtenProgress = await replace();
  }

  private start(isEnough: () => boolean): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.writing ??= this.write(isEnough).catch((error: unknown) => {
      this.hasFailed = true;
      this.options.onFatal(new Error(`failed to write to the database: ${error instanceof Error ? error.message : String(error)}`, { cause: error }));
    }).finally(() => {
      this.writing = undefined;
      if (this.groups.length > 0) this.schedule();
    });
    return this.writing;
  }

  private async write(isEnough: () => boolean): Promise<void> {
    // What comes meanwhile may gather again.
    for (let left = this.groups.length; left > 0 && this.groups.length > 0 && !isEnough();) {
      const batch = this.takeBatch();
      left -= batch.groups;
      batch.before?.();
      const start = performance.now();
      await this.options.database.write(batch.writes, batch.progress);
      this.options.onCommit((performance.now() - start) / 1000);
      this.writtenProgress = batch.progress;
      this.doneGroups += batch.groups;
      this.options.onWritten(batch.progress);
    }
  }

  private takeBatch(): { readonly writes: readonly Write[]; readonly progress: Progress; readonly groups: number; readonly before: Group['before'] } {
    const before = this.groups[0]?.before;
    const maxCount = Math.max(MAX_BATCH, this.gathered * MAX_CROWDED_BATCH_SHARE);
    const maxBytes = Math.max(MAX_BATCH_BYTES, this.gatheredBytes * MAX_CROWDED_BATCH_SHARE);
    let count = 0;
    let bytes = 0;
    let groups = 0;
    const writes: Write[] = [];
    let { progress } = this;
    for (const group of this.groups) {
      if (groups > 0 && (group.before !== undefined || count + group.writes.length > maxCount || bytes + group.bytes > maxBytes)) break;
      for (const write of group.writes) writes.push(write);
      count += group.writes.length;
      bytes += group.bytes;
      groups += 1;
      ({ progress } = group);
    }
    this.groups.splice(0, groups);
    this.gathered -= count;
    this.gatheredBytes -= bytes;
    return { writes, progress, groups, before };
  }
}
