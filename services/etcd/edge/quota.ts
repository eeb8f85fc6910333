// Space: a write that would make the data outgrow the quota raises the alarm NOSPACE, which refuses all puts until it is
// lifted; deleting and compacting go on. Source: etcd v3.6, server/storage/quota.go and server/etcdserver/api/v3rpc/quota.go.
import { etcdError } from '#lib/etcd-api/errors.ts';
import type { PutRequest, RequestOp, TxnRequest } from '#lib/etcd-api/messages.ts';

/** Bytes that a lease, and a key besides its text and value, are counted with. */
const LEASE_COST = 64;
const KEY_COST = 256;

export interface QuotaOptions {
  /** Below 0: no limit. */
  readonly limitBytes: number;
  readonly sizeBytes: () => number;
  /** Resolves when the alarm is up on all members. */
  readonly raiseAlarm: () => Promise<unknown>;
}

export class Quota {
  private readonly options: QuotaOptions;

  constructor(options: QuotaOptions) {
    this.options = options;
  }

  admitPut(request: PutRequest): Promise<void> | void {
    return this.admit(putCost(request));
  }

  admitTxn(request: TxnRequest): Promise<void> | void {
    return this.admit(txnCost(request));
  }

  admitLease(): Promise<void> | void {
    return this.admit(LEASE_COST);
  }

  /** Rejects with EtcdError. */
  private admit(cost: number): Promise<void> | void {
    const { limitBytes, sizeBytes } = this.options;
    if (cost > 0 && limitBytes >= 0 && sizeBytes() + cost >= limitBytes) return this.refuse();
  }

  private async refuse(): Promise<never> {
    await this.options.raiseAlarm();
    throw etcdError('NoSpace');
  }
}

const putCost = ({ key, value }: PutRequest): number => KEY_COST + key.length + value.length;
const opCost = ({ requestPut, requestTxn }: RequestOp): number => (requestPut ? putCost(requestPut) : requestTxn ? txnCost(requestTxn) : 0);
const sum = (ops: readonly RequestOp[]): number => ops.reduce((total, op) => total + opCost(op), 0);
/** Of the dearer branch. */
const txnCost = ({ success, failure }: TxnRequest): number => Math.max(sum(success), sum(failure));
