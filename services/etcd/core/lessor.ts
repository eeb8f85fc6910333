// When leases expire. The store knows which leases there are; the lessor knows the time they have left, which is not
// replicated but for checkpoints now and then. Source: etcd v3.6, server/lease/lessor.go.
import type { Lease } from './store.ts';

/**
 * How often the time left is made durable for leases with more than that to live, so that a restart does not renew them
 * in full. Source: etcd, lease.defaultLeaseCheckpointInterval.
 */
export const CHECKPOINT_INTERVAL_MS = 5 * 60_000;
/** Leases to revoke in one go, so that a crowd that expires together does not hold up others. Source: etcd, defaultLeaseRevokeRate per second. */
const MAX_EXPIRED_AT_ONCE = 500;

interface Deadline {
  expiresAtMs: number;
  checkpointAtMs: number;
}

export class Lessor {
  private readonly currentLeases: () => ReadonlyMap<bigint, Lease>;
  private readonly deadlines = new Map<bigint, Deadline>();
  private primary = false;

  /** `leases`: the store's, as it is when they are looked at. */
  constructor(leases: () => ReadonlyMap<bigint, Lease>) {
    this.currentLeases = leases;
  }

  private get leases(): ReadonlyMap<bigint, Lease> {
    return this.currentLeases();
  }

  /** Only the leader knows how much time is left. */
  get isPrimary(): boolean {
    return this.primary;
  }

  /**
   * This member leads: all deadlines start to run, from the last checkpoint. `extendMs`: for the time without a leader, when nobody could renew.
   */
  promote(nowMs: number, extendMs: number): void {
    this.primary = true;
    for (const id of this.leases.keys()) this.start(id, nowMs, extendMs);
  }

  /** Another member leads: no lease expires here. */
  demote(): void {
    this.primary = false;
    this.deadlines.clear();
  }

  /** To be called when a lease was granted. */
  start(id: bigint, nowMs: number, extendMs = 0): void {
    const lease = this.leases.get(id);
    if (lease === undefined || !this.primary) return;
    const seconds = lease.remainingTtl > 0 ? lease.remainingTtl : lease.grantedTtl;
    this.deadlines.set(id, { expiresAtMs: nowMs + seconds * 1000 + extendMs, checkpointAtMs: nowMs + CHECKPOINT_INTERVAL_MS });
  }

  /** Starts the lease's time anew. Returns the seconds granted; undefined when there is no such lease any more. */
  renew(id: bigint, nowMs: number): number | undefined {
    const lease = this.leases.get(id);
    if (lease === undefined || (this.remainingMs(id, nowMs) ?? 0) <= 0) return undefined;
    this.deadlines.set(id, { expiresAtMs: nowMs + lease.grantedTtl * 1000, checkpointAtMs: nowMs + CHECKPOINT_INTERVAL_MS });
    return lease.grantedTtl;
  }

  /** A renewed lease whose checkpoint still says that little time is left needs it cleared, or a restart cuts it short. */
  hasCheckpoint(id: bigint): boolean {
    return (this.leases.get(id)?.remainingTtl ?? 0) > 0;
  }

  remainingMs(id: bigint, nowMs: number): number | undefined {
    if (!this.leases.has(id)) return undefined;
    const deadline = this.deadlines.get(id);
    return deadline === undefined ? undefined : deadline.expiresAtMs - nowMs;
  }

  hasExpired(nowMs: number): boolean {
    for (const { expiresAtMs } of this.deadlines.values()) if (expiresAtMs <= nowMs) return true;
    return false;
  }

  /** Leases to revoke now, those longest overdue first. */
  expired(nowMs: number): bigint[] {
    this.forgetRevoked();
    return [...this.deadlines]
      .filter(([, { expiresAtMs }]) => expiresAtMs <= nowMs)
      .sort(([, a], [, b]) => a.expiresAtMs - b.expiresAtMs)
      .slice(0, MAX_EXPIRED_AT_ONCE)
      .map(([id]) => id);
  }

  /** Checkpoints that are due. */
  takeCheckpoints(nowMs: number): { ID: bigint; remainingTTL: number }[] {
    const due = [...this.deadlines].filter(([, deadline]) => deadline.checkpointAtMs <= nowMs && deadline.expiresAtMs > nowMs);
    return due.map(([ID, deadline]) => {
      deadline.checkpointAtMs = nowMs + CHECKPOINT_INTERVAL_MS;
      return { ID, remainingTTL: Math.ceil((deadline.expiresAtMs - nowMs) / 1000) };
    });
  }

  /** The time left of every lease, for an orderly stop. */
  allCheckpoints(nowMs: number): { ID: bigint; remainingTTL: number }[] {
    this.forgetRevoked();
    return [...this.deadlines].map(([ID, { expiresAtMs }]) => ({ ID, remainingTTL: Math.max(1, Math.ceil((expiresAtMs - nowMs) / 1000)) }));
  }

  /** Ids of all leases, the next to expire first. */
  byExpiry(): bigint[] {
    return [...this.leases.keys()].sort((a, b) => (this.deadlines.get(a)?.expiresAtMs ?? Infinity) - (this.deadlines.get(b)?.expiresAtMs ?? Infinity));
  }

  private forgetRevoked(): void {
    for (const id of this.deadlines.keys()) if (!this.leases.has(id)) this.deadlines.delete(id);
  }
}
