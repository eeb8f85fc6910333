/** What a member counts on its way; read when somebody asks for the metrics. */
export class MemberCounts {
  slowApplies = 0;
  slowReadIndexes = 0;
  failedReadIndexes = 0;
  /** Entries that compactions removed, and when the last one was done; seconds since 1970. */
  compactedEntries = 0;
  lastCompaction = 0;
  learnerPromotions = 0;
  /** Keys and values that were put, bytes. */
  putBytes = 0;
  snapshotsInApply = 0;
  /** Of compactions: in the index, one step of removal, and all of it. Source of the bounds: etcd, server/storage/mvcc/metrics.go. */
  readonly indexCompactionMs = new Durations(doubling(0.5, 14));
  readonly compactionPauseMs = new Durations(doubling(1, 13));
  readonly compactionMs = new Durations(doubling(100, 14));
  /** Snapshots from another member. Source of the bounds: etcd, server/etcdserver/api/snap/metrics.go; seconds. */
  readonly snapshotSave = new Durations(doubling(0.1, 10));
  readonly snapshotSync = new Durations(doubling(0.001, 14));
  /** By kind of command, those that were carried out and those that were refused. */
  readonly applies = new Map<string, { readonly done: Durations; readonly refused: Durations }>();

  observeApply(type: string, isDone: boolean, durationMs: number): void {
    let ofType = this.applies.get(type);
    if (ofType === undefined) this.applies.set(type, ofType = { done: new Durations(APPLY_BOUNDS), refused: new Durations(APPLY_BOUNDS) });
    (isDone ? ofType.done : ofType.refused).observe(durationMs / 1000);
    if (type === 'compact') this.indexCompactionMs.observe(durationMs);
  }
}

export const doubling = (start: number, count: number): number[] => Array.from({ length: count }, (_, index) => start * 2 ** index);
/** Source: etcd, server/etcdserver/txn/metrics.go; seconds. */
const APPLY_BOUNDS = doubling(0.0001, 20);

/** A histogram of what may happen too often for one of prom-client. */
export class Durations {
  readonly bounds: readonly number[];
  /** Those up to each bound, and not up to the one before; the rest is in `count` only. */
  readonly upTo: Float64Array;
  count = 0;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.upTo = new Float64Array(bounds.length);
  }

  observe(duration: number): void {
    this.count += 1;
    this.sum += duration;
    for (let at = 0; at < this.bounds.length; at += 1) {
      if (duration > (this.bounds[at] as number)) continue;
      this.upTo[at] = (this.upTo[at] as number) + 1;
      return;
    }
  }
}

/** With another member. */
export interface PeerTraffic {
  sentBytes: number;
  receivedBytes: number;
  failures: number;
}
