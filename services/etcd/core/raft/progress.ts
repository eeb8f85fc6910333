// What the leader knows of one member: how far its log agrees, what is on its way, and how it may be sent more.
import type { ReplicationState } from './driver-contract.ts';

export class Progress {
  readonly id: bigint;
  isLearner: boolean;
  /** The member's log agrees with the leader's up to here. */
  match = 0;
  /** Sent next; what lies between is on its way. match < next. */
  next: number;
  /**
   * probe: one message per heartbeat until its place in the log is known. replicate: optimistically, a window of messages.
   * snapshot: nothing but the snapshot until it is installed or failed.
   */
  state: ReplicationState = 'probe';
  /** Heard from since the last check of the quorum. A new member gets the benefit of the doubt. */
  recentActive: boolean;
  /** Until its next answer: a probe was sent, or the window is full. */
  isPaused = false;
  pendingSnapshot = 0;
  readonly inflight: Inflight;
  /** The highest commit index that was sent and may have arrived. */
  private sentCommit = 0;

  constructor(options: { id: bigint; isLearner: boolean; next: number; recentActive: boolean; maxInflightMessages: number }) {
    this.id = options.id;
    this.isLearner = options.isLearner;
    this.next = options.next;
    this.recentActive = options.recentActive;
    this.inflight = new Inflight(options.maxInflightMessages);
  }

  /** A new leader knows nothing yet. */
  reset(match: number, next: number): void {
    this.enter('probe');
    this.match = match;
    this.next = next;
    this.sentCommit = 0;
    this.recentActive = false;
  }

  private enter(state: ReplicationState): void {
    this.state = state;
    this.isPaused = false;
    this.pendingSnapshot = 0;
    this.inflight.clear();
  }

  probe(): void {
    const snapshotSent = this.state === 'snapshot' ? this.pendingSnapshot : 0;
    this.enter('probe');
    this.next = Math.max(this.match, snapshotSent) + 1;
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
  }

  replicate(): void {
    this.enter('replicate');
    this.next = this.match + 1;
  }

  awaitSnapshot(index: number): void {
    this.enter('snapshot');
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.sentCommit = index;
  }

  mayBeSent(): boolean {
    return this.state !== 'snapshot' && !this.isPaused;
  }

  /** An append with `count` entries from `next` on, and `commit`, was sent. */
  sent(count: number, commit: number): void {
    if (this.state === 'replicate') {
      if (count > 0) {
        this.next += count;
        this.inflight.add(this.next - 1);
      }
      this.isPaused = this.inflight.isFull();
    } else if (count > 0) this.isPaused = true;
    this.sentCommit = commit;
  }

  sentCommitIndex(commit: number): void {
    this.sentCommit = commit;
  }

  /** Whether an append without entries would tell the member of more commits among what it has. */
  lacksCommit(committed: number): boolean {
    return committed > this.sentCommit && this.sentCommit < this.next - 1;
  }

  /** False: old news. */
  acknowledged(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.isPaused = false;
    return true;
  }

  /** The member refused an append after `refused`; its log may agree up to `hint`. False: the refusal is outdated. */
  refused(refused: number, hint: number): boolean {
    if (this.state === 'replicate') {
      if (refused <= this.match) return false;
      this.next = this.match + 1;
    } else {
      if (this.next - 1 !== refused) return false;
      this.next = Math.max(Math.min(refused, hint + 1), this.match + 1);
      this.isPaused = false;
    }
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
    return true;
  }
}

/** The last indexes of the appends that are on their way, oldest first, in a ring. */
export class Inflight {
  private readonly limit: number;
  private ring: number[] = [];
  private start = 0;
  private count = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  isFull(): boolean {
    return this.count >= this.limit;
  }

  add(lastIndex: number): void {
    if (this.isFull()) throw new Error('the window of appends on their way is full');
    this.ring[(this.start + this.count) % this.limit] = lastIndex;
    this.count += 1;
  }

  /** Those up to `index` have arrived. */
  freeUpTo(index: number): void {
    while (this.count > 0 && (this.ring[this.start] ?? 0) <= index) {
      this.start = (this.start + 1) % this.limit;
      this.count -= 1;
    }
  }

  clear(): void {
    this.start = 0;
    this.count = 0;
  }
}
