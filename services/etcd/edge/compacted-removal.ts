// After a compaction: what it made obsolete leaves the database step by step, so that requests are answered between the steps.
// Source: etcd v3.6, server/storage/mvcc/kvstore_compaction.go, scheduleCompaction.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import type { Store, Write } from '../core/store.ts';
import type { MemberCounts } from './counts.ts';
import { failPoint } from './fail-points.ts';
import { goDuration } from './go-text.ts';

export interface CompactedRemovalOptions {
  readonly clock: Clock;
  /** Between two steps. */
  readonly pauseMs: number;
  /** Another one after a snapshot of another member took its place. */
  readonly store: () => Store;
  readonly remove: (writes: readonly Write[]) => void;
  readonly counts: MemberCounts;
  readonly log: Logger;
  readonly onFatal: (error: Error) => void;
}

export class CompactedRemoval {
  private readonly options: CompactedRemovalOptions;
  private running: Promise<void> | undefined;
  private isPaused = false;

  constructor(options: CompactedRemovalOptions) {
    this.options = options;
  }

  /** There was a compaction, which may have left something to remove. */
  compacted(): void {
    this.wake();
    if (this.running === undefined) void this.finish(this.options.store().compactRevision, 0);
  }

  private async finish(revision: number, tookMs: number): Promise<void> {
    const { counts, clock, log } = this.options;
    await failPoint('compactBeforeSetFinishedCompact');
    counts.lastCompaction = clock.nowMs() / 1000;
    counts.compactionMs.observe(tookMs);
    log.info({ 'compact-revision': revision, took: goDuration(tookMs) }, 'finished scheduled compaction');
    await failPoint('compactAfterSetFinishedCompact');
  }

  /** There may be something to remove. */
  wake(): void {
    if (this.isPaused || !this.options.store().hasObsolete) return;
    this.running ??= this.run().catch((error: unknown) => this.options.onFatal(error instanceof Error ? error : new Error(String(error)))).finally(() => {
      this.running = undefined;
      this.wake(); // for what came after the last look
    });
  }

  private async run(): Promise<void> {
    const { counts, clock } = this.options;
    const revision = this.options.store().compactRevision;
    const startMs = performance.now();
    while (this.options.store().hasObsolete) {
      await clock.sleep(this.options.pauseMs);
      if (this.isPaused) return;
      await failPoint('compactBeforeCommitBatch');
      const stepMs = performance.now();
      const writes = this.options.store().removeCompacted();
      counts.compactionPauseMs.observe(performance.now() - stepMs);
      counts.compactedEntries += writes.length;
      this.options.remove(writes);
      await failPoint('compactAfterCommitBatch');
    }
    await this.finish(revision, performance.now() - startMs);
  }

  /** Resolves when nothing is left, or it was paused. */
  async settled(): Promise<void> {
    await this.running;
  }

  /** Removes nothing from now on; resolves when no step is under way any more. */
  async pause(): Promise<void> {
    this.isPaused = true;
    await this.running;
  }

  resume(): void {
    this.isPaused = false;
    this.wake();
  }
}
