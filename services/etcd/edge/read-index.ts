// Linearizable reads without an entry in the log: the leader confirms up to which index a read must see, for all reads that wait together.
// Source: etcd v3.6, server/etcdserver/read (LinearizableReadLoop).
import { etcdError, type EtcdErrorReason } from '#lib/etcd-api/errors.ts';
import type { ReadState } from '../core/raft/raft.ts';

/** Source: etcd, readIndexRetryTime. */
const RETRY_MS = 500;

interface Reader {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface ReadIndexOptions {
  /** False: no leader is known. */
  readonly ask: (context: Uint8Array) => boolean;
  readonly appliedIndex: () => number;
  readonly nextId: () => bigint;
  readonly timeoutMs: number;
  readonly onSlow: () => void;
  readonly onFailed: () => void;
}

export class ReadIndex {
  private readonly options: ReadIndexOptions;
  private waiting: Reader[] = [];
  private asking: Reader[] = [];
  private ids = new Set<string>();
  /** Confirmed, but not applied up to there yet; in order of their indexes. */
  private confirmed: { readonly index: number; readonly readers: readonly Reader[] }[] = [];
  private timer: NodeJS.Timeout | undefined;
  private deadlineMs = 0;

  constructor(options: ReadIndexOptions) {
    this.options = options;
  }

  /** Resolves when the state holds everything that was acknowledged before the call. Rejects with EtcdError. */
  wait(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      if (this.asking.length === 0) this.begin();
    });
  }

  private begin(): void {
    if (this.waiting.length === 0) return;
    this.asking = this.waiting;
    this.waiting = [];
    this.deadlineMs = performance.now() + this.options.timeoutMs;
    this.ask();
  }

  private ask(): void {
    const context = Buffer.allocUnsafe(8);
    context.writeBigUInt64BE(this.options.nextId());
    this.ids.add(context.toString('hex'));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.retry(), RETRY_MS);
    this.options.ask(context);
  }

  private retry(): void {
    this.options.onSlow();
    if (performance.now() >= this.deadlineMs) this.fail('Timeout');
    else this.ask();
  }

  /** Answers of the leader; those to earlier questions are ignored. */
  onReadStates(states: readonly ReadState[]): void {
    for (const { index, context } of states) {
      if (!this.ids.has(Buffer.from(context).toString('hex'))) continue;
      const readers = this.asking;
      this.finish();
      if (index <= this.options.appliedIndex()) for (const { resolve } of readers) resolve();
      else this.confirmed.push({ index, readers });
      this.begin();
    }
  }

  onApplied(index: number): void {
    while (this.confirmed.length > 0 && (this.confirmed[0]?.index ?? Infinity) <= index) for (const { resolve } of this.confirmed.shift()?.readers ?? []) resolve();
  }

  /** There is a leader who can answer now. */
  askAgain(): void {
    if (this.asking.length > 0) this.ask();
  }

  /** Nobody knows whether the one before had answered. */
  onLeaderChanged(): void {
    if (this.asking.length > 0) this.fail('LeaderChanged');
  }

  rejectAll(): void {
    const readers = [...this.asking, ...this.waiting, ...this.confirmed.flatMap((group) => group.readers)];
    this.finish();
    this.waiting = [];
    this.confirmed = [];
    for (const { reject } of readers) reject(etcdError('Stopped'));
  }

  private fail(reason: EtcdErrorReason): void {
    const readers = this.asking;
    this.finish();
    this.options.onFailed();
    for (const { reject } of readers) reject(etcdError(reason));
    this.begin();
  }

  private finish(): void {
    clearTimeout(this.timer);
    this.asking = [];
    this.ids = new Set();
  }
}
