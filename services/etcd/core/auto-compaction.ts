// Which revision --auto-compaction-mode and --auto-compaction-retention let go of, and when.
// Source: etcd v3.6, server/etcdserver/api/v3compactor.

export type AutoCompaction =
  | { readonly mode: 'off' }
  | { readonly mode: 'revision'; readonly keepRevisions: number }
  | { readonly mode: 'periodic'; readonly keepMs: number };

const REVISION_INTERVAL_MS = 5 * 60_000;
const MAX_PERIODIC_INTERVAL_MS = 60 * 60_000;
/** Samples taken in one retention period. */
const SAMPLES = 10;

export class AutoCompactor {
  readonly intervalMs: number;
  private readonly policy: Exclude<AutoCompaction, { mode: 'off' }>;
  /** Revisions by the time they were current, oldest first. */
  private samples: { readonly atMs: number; readonly revision: number }[] = [];

  constructor(policy: Exclude<AutoCompaction, { mode: 'off' }>) {
    this.policy = policy;
    this.intervalMs = policy.mode === 'revision' ? REVISION_INTERVAL_MS : Math.min(policy.keepMs, MAX_PERIODIC_INTERVAL_MS) / SAMPLES;
  }

  /** To be asked every `intervalMs`; undefined when there is nothing to compact. */
  revisionToCompact(nowMs: number, current: number, compacted: number): number | undefined {
    const revision = this.policy.mode === 'revision' ? current - this.policy.keepRevisions : this.sample(nowMs, current, this.policy.keepMs);
    return revision !== undefined && revision > compacted && revision > 0 ? revision : undefined;
  }

  private sample(nowMs: number, current: number, keepMs: number): number | undefined {
    this.samples.push({ atMs: nowMs, revision: current });
    const old = this.samples.filter(({ atMs }) => atMs <= nowMs - keepMs);
    this.samples = this.samples.slice(Math.max(0, old.length - 1));
    return old.at(-1)?.revision;
  }
}
