// Whether a requester may have a command applied. Source: etcd v3.6.14, server/etcdserver/apply/apply_auth.go.
import type { DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest } from '#lib/etcd-api/messages.ts';
import { bytesOf } from '../key-range.ts';
import { StoreError } from '../store-error.ts';
import type { AuthStore } from './auth-store.ts';
import type { Requester } from './commands.ts';

type Leases = ReadonlyMap<bigint, { readonly keys: ReadonlySet<string> }>;

/** All throw StoreError. */
export class RequestGuard {
  private readonly auth: AuthStore;
  private readonly leases: Leases;

  constructor(auth: AuthStore, leases: Leases) {
    this.auth = auth;
    this.leases = leases;
  }

  range(by: Requester, { key, rangeEnd }: RangeRequest): void {
    this.auth.checkRead(by, key, rangeEnd);
  }

  put(by: Requester, { key, lease, prevKv }: PutRequest): void {
    this.auth.checkWrite(by, key);
    this.leaseRevoke(by, lease);
    if (prevKv) this.auth.checkRead(by, key);
  }

  deleteRange(by: Requester, { key, rangeEnd, prevKv }: DeleteRangeRequest): void {
    this.auth.checkWrite(by, key, rangeEnd);
    if (prevKv) this.auth.checkRead(by, key, rangeEnd);
  }

  txn(by: Requester, { compare, success, failure }: TxnRequest): void {
    for (const { key, rangeEnd } of compare) this.auth.checkRead(by, key, rangeEnd);
    for (const op of success) this.operation(by, op);
    for (const op of failure) this.operation(by, op);
  }

  private operation(by: Requester, { requestRange, requestPut, requestDeleteRange, requestTxn }: RequestOp): void {
    if (requestRange) this.range(by, requestRange);
    else if (requestPut) this.put(by, requestPut);
    else if (requestDeleteRange) this.deleteRange(by, requestDeleteRange);
    else if (requestTxn) this.txn(by, requestTxn);
  }

  /** Whoever revokes a lease, or ties a key to it, decides on all keys of it: administrators, or who may write them all. */
  leaseRevoke(by: Requester, id: bigint): void {
    const lease = this.leases.get(id);
    if (lease === undefined || lease.keys.size === 0 || this.isAdmin(by)) return;
    for (const key of lease.keys) this.auth.checkWrite(by, bytesOf(key));
  }

  /** The names of a lease's keys are for who may read all of them. */
  leaseKeys(by: Requester, id: bigint): void {
    for (const key of this.leases.get(id)?.keys ?? []) this.auth.checkRead(by, bytesOf(key));
  }

  private isAdmin(by: Requester): boolean {
    try {
      this.auth.checkAdmin(by);
      return true;
    } catch (error) {
      if (error instanceof StoreError) return false;
      throw error;
    }
  }
}
