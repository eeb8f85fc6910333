// Notes in the write-ahead log up to where the database holds everything: a start reads the log from the last note on, and what is before it may
// go. Source: etcd v3.6, server/etcdserver/server.go, shouldSnapshot and snapshot.
import type { Logger } from 'pino';
import type { ConfState } from '#lib/etcd-api/raft-messages.ts';
import type { ClusterMembers } from '../core/cluster-members.ts';
import type { Progress } from './database.ts';
import { failPoint } from './fail-points.ts';
import { hexId } from './peers/identity.ts';
import type { Wal } from './wal.ts';

export interface NotedSnapshotsOptions {
  readonly wal: Wal;
  readonly cluster: ClusterMembers;
  /** Entries after which one is noted. */
  readonly snapshotCount: number;
  /** Of the last one that the log holds. */
  readonly notedIndex: number;
  readonly appliedIndex: () => number;
  readonly memberId: bigint;
  readonly log: Logger;
  readonly onFatal: (error: Error) => void;
}

/** Bytes in the write-ahead log after which one is noted, whatever the number of entries, so that a start has less to read. */
const MAX_WAL_BYTES = 16 * 1024 * 1024;

export class NotedSnapshots {
  private readonly options: NotedSnapshotsOptions;
  /** What the members were from an index on; the last ones that a note may need. */
  private confStates: { readonly index: number; readonly confState: ConfState }[];
  private noted: { readonly index: number; readonly walBytes: number };
  /** Once the database has this index one is noted, however few entries there are. */
  private dueAt = Infinity;

  constructor(options: NotedSnapshotsOptions) {
    this.options = options;
    this.confStates = [{ index: options.appliedIndex(), confState: options.cluster.confState() }];
    this.noted = { index: options.notedIndex, walBytes: 0 };
  }

  /** Of the last one. */
  get index(): number {
    return this.noted.index;
  }

  /** The members as they were once the entry `index` was applied. */
  confStateAt(index: number): ConfState {
    return this.confStates.findLast((known) => known.index <= index)?.confState ?? this.options.cluster.confState();
  }

  /** The entry applied last changed the members. */
  membersChanged(): void {
    this.confStates.push({ index: this.options.appliedIndex(), confState: this.options.cluster.confState() });
  }

  /** The entry applied last is to be noted as soon as the database has it. */
  demand(): void {
    this.dueAt = this.options.appliedIndex();
  }

  /** A snapshot of another member took the place of everything; the log has its note already. */
  async installed(index: number): Promise<void> {
    const { wal, cluster, appliedIndex } = this.options;
    this.confStates = [{ index: appliedIndex(), confState: cluster.confState() }];
    this.noted = { index, walBytes: wal.writtenBytes };
    await wal.release(index);
    await failPoint('raftAfterWALRelease');
  }

  /** The database has caught up so far. */
  written({ appliedIndex, term = 0 }: Progress): void {
    const { wal, snapshotCount } = this.options;
    const isDue = appliedIndex >= this.dueAt || appliedIndex - this.noted.index > snapshotCount || wal.writtenBytes - this.noted.walBytes > MAX_WAL_BYTES;
    if (isDue) void this.note(appliedIndex, term);
  }

  private async note(index: number, term: number): Promise<void> {
    const { wal, log, memberId, snapshotCount, onFatal, appliedIndex } = this.options;
    const progress = { 'local-member-id': hexId(memberId), 'local-member-applied-index': appliedIndex(), 'local-member-snapshot-index': this.noted.index, 'local-member-snapshot-count': snapshotCount };
    log.info({ ...progress, 'snapshot-forced': this.dueAt !== Infinity }, 'triggering snapshot');
    this.noted = { index, walBytes: wal.writtenBytes };
    this.dueAt = Infinity;
    try {
      await wal.saveSnapshot({ index, term, confState: this.confStateAt(index) });
      await wal.release(index);
      const older = this.confStates.findLastIndex((known) => known.index <= index);
      if (older > 0) this.confStates.splice(0, older);
      log.info({ 'snapshot-index': index }, 'saved snapshot to disk');
    } catch (error) {
      onFatal(new Error(`failed to save a snapshot: ${error instanceof Error ? error.message : String(error)}`, { cause: error }));
    }
  }
}
