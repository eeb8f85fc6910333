// Linearizable reads without a log entry (Raft §6.4): the leader remembers its commit index, and learns from a round of heartbeats that it still led
// when the read was asked for. Heartbeats carry the number of the newest read; an answer to it confirms all up to it.
import type { Members } from './members.ts';

/** Further reads are dropped, and asked for again by their clients. */
const MAX_PENDING_READS = 16_384;
const NUMBER_BYTES = 8;
const NO_CONTEXT = new Uint8Array(0);

export interface PendingRead {
  /** The member that asked. */
  readonly from: bigint;
  readonly context: Uint8Array;
  /** The commit index when it was asked for. */
  readonly index: number;
}

export class ReadIndexQueue {
  private pending: PendingRead[] = [];
  /** How many reads were confirmed before `pending`. */
  private confirmed = 0;
  private readonly acknowledged = new Map<bigint, number>();

  add(read: PendingRead): void {
    if (this.pending.length < MAX_PENDING_READS) this.pending.push(read);
  }

  /** What heartbeats carry: the number of the newest read, little endian; empty when none is pending. */
  heartbeatContext(): Uint8Array {
    if (this.pending.length === 0) return NO_CONTEXT;
    const context = new Uint8Array(NUMBER_BYTES);
    new DataView(context.buffer).setBigUint64(0, BigInt(this.confirmed + this.pending.length), true);
    return context;
  }

  /** A member answered a heartbeat with this context. Returns the reads which a majority has confirmed by now. */
  acknowledge(id: bigint, context: Uint8Array, members: Members): readonly PendingRead[] {
    if (context.length !== NUMBER_BYTES || this.pending.length === 0) return [];
    const number = Number(new DataView(context.buffer, context.byteOffset, context.length).getBigUint64(0, true));
    if (number > this.confirmed + this.pending.length) return []; // not an answer to a heartbeat of this leader's
    if (number <= (this.acknowledged.get(id) ?? 0)) return [];
    this.acknowledged.set(id, number);
    return this.takeConfirmed(members);
  }

  /** The reads which a majority has confirmed by now. */
  takeConfirmed(members: Members): readonly PendingRead[] {
    if (this.pending.length === 0) return [];
    const newest = this.confirmed + this.pending.length;
    const agreed = members.agreedBy((voter) => (voter === members.self ? newest : this.acknowledged.get(voter) ?? 0));
    if (agreed <= this.confirmed) return [];
    const reads = this.pending.splice(0, agreed - this.confirmed);
    this.confirmed = agreed;
    return reads;
  }

  clear(): void {
    this.pending = [];
    this.confirmed = 0;
    this.acknowledged.clear();
  }
}
