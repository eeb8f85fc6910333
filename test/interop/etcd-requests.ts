// Random requests to an etcd, from a seed: few keys, few leases, and revisions near the newest one, so that they meet.
import type {
  CompareInput, DeleteRangeRequestInput, PutRequestInput, RangeRequestInput, RequestOpInput, TxnRequestInput, WatchCreateRequestInput,
} from '#lib/etcd-api/messages.ts';
import { integerBelow, type Random } from '#lib/environment/random.ts';

const KEYS = ['a', 'aa', 'ab', 'b', 'b\0', 'c', 'c/1', 'c/2', 'd', '\xff', '\xff\xff'].map((key) => Buffer.from(key, 'latin1'));
const ENDS = ['\0', 'a', 'b', 'c', 'c0', 'd', '\xff'].map((key) => Buffer.from(key, 'latin1'));
export const LEASES = [1n, 2n, 3n];

export type RandomRequest =
  | { readonly type: 'range'; readonly request: RangeRequestInput }
  | { readonly type: 'put'; readonly request: PutRequestInput }
  | { readonly type: 'deleteRange'; readonly request: DeleteRangeRequestInput }
  | { readonly type: 'txn'; readonly request: TxnRequestInput }
  | { readonly type: 'compact'; readonly request: { readonly revision: number; readonly physical: boolean } }
  | { readonly type: 'leaseGrant'; readonly request: { readonly ID: bigint; readonly TTL: number } }
  | { readonly type: 'leaseRevoke' | 'leaseTimeToLive'; readonly request: { readonly ID: bigint; readonly keys: true } }
  | { readonly type: 'leaseLeases' | 'hashKV'; readonly request: object };

export class RequestMaker {
  private readonly random: Random;
  /** The newest revision, and that of the last compaction, as last heard. */
  revision = 1;
  compacted = 0;

  constructor(random: Random) {
    this.random = random;
  }

  private below(limit: number): number {
    return integerBelow(this.random, limit);
  }

  private chance(probability: number): boolean {
    return this.random.fraction() < probability;
  }

  private pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  private key(): Buffer {
    return this.chance(0.01) ? Buffer.alloc(0) : this.pick(KEYS);
  }

  private range(): { key: Buffer; rangeEnd?: Buffer } {
    return this.chance(0.4) ? { key: this.key() } : { key: this.chance(0.2) ? Buffer.from([0]) : this.key(), rangeEnd: this.pick(ENDS) };
  }

  /** Mostly one that there is. */
  private someRevision(): number {
    if (this.chance(0.5)) return 0;
    return this.chance(0.05) ? this.pick([-1, this.revision + 3]) : Math.max(0, this.revision - this.below(12));
  }

  next(): RandomRequest {
    const dice = this.below(100);
    if (dice < 25) return { type: 'range', request: this.rangeRequest() };
    if (dice < 50) return { type: 'put', request: this.putRequest() };
    if (dice < 58) return { type: 'deleteRange', request: this.deleteRequest() };
    if (dice < 85) return { type: 'txn', request: this.txnRequest(2) };
    if (dice < 88) return { type: 'compact', request: { revision: Math.max(1, this.revision - this.below(20) + 1), physical: this.chance(0.5) } };
    if (dice < 92) return { type: 'leaseGrant', request: { ID: this.pick(LEASES), TTL: this.chance(0.05) ? 9_000_000_001 : 1000 + this.below(9000) } };
    if (dice < 94) return { type: 'leaseRevoke', request: { ID: this.pick(LEASES), keys: true } };
    if (dice < 97) return { type: 'leaseTimeToLive', request: { ID: this.pick(LEASES), keys: true } };
    return { type: dice < 98 ? 'leaseLeases' : 'hashKV', request: {} };
  }

  private rangeRequest(): RangeRequestInput {
    const bound = (): number => (this.chance(0.15) ? Math.max(1, this.revision - this.below(15)) : 0);
    return {
      ...this.range(), limit: this.chance(0.3) ? this.below(5) : 0, revision: this.someRevision(),
      sortOrder: this.pick(['NONE', 'ASCEND', 'DESCEND'] as const), sortTarget: this.pick(['KEY', 'KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE'] as const),
      serializable: this.chance(0.3), keysOnly: this.chance(0.2), countOnly: this.chance(0.15),
      minModRevision: bound(), maxModRevision: bound(), minCreateRevision: bound(), maxCreateRevision: bound(),
    };
  }

  private putRequest(): PutRequestInput {
    const ignoreValue = this.chance(0.1);
    const ignoreLease = this.chance(0.1);
    return {
      key: this.key(), prevKv: this.chance(0.3), ignoreValue, ignoreLease, value: ignoreValue && this.chance(0.9) ? '' : `v${this.below(50)}`,
      lease: (ignoreLease && this.chance(0.9)) || this.chance(0.7) ? 0n : this.pick(LEASES),
    };
  }

  private deleteRequest(): DeleteRangeRequestInput {
    return { ...this.range(), prevKv: this.chance(0.4) };
  }

  private txnRequest(depth: number): TxnRequestInput {
    const ops = (): RequestOpInput[] => Array.from({ length: this.below(4) }, () => this.operation(depth));
    const readsOnly = this.chance(0.2);
    const only = (list: RequestOpInput[]): RequestOpInput[] => (readsOnly ? list.filter(({ requestRange }) => requestRange) : list);
    return { compare: Array.from({ length: this.below(3) }, () => this.compare()), success: only(ops()), failure: only(ops()) };
  }

  private operation(depth: number): RequestOpInput {
    const dice = this.below(20);
    if (dice < 6) return { requestRange: this.rangeRequest() };
    if (dice < 13) return { requestPut: this.putRequest() };
    if (dice < 15) return { requestDeleteRange: this.deleteRequest() };
    return depth > 0 && dice < 19 ? { requestTxn: this.txnRequest(depth - 1) } : { requestPut: this.putRequest() };
  }

  private compare(): CompareInput {
    const target = this.pick(['VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE'] as const);
    const number = this.chance(0.3) ? 0 : this.below(this.revision + 2);
    return {
      ...this.range(), target, result: this.pick(['EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL'] as const),
      ...(target === 'VERSION' ? { version: this.below(4) } : target === 'CREATE' ? { createRevision: number } : target === 'MOD' ? { modRevision: number }
        : target === 'VALUE' ? { value: `v${this.below(50)}` } : { lease: this.pick([0n, ...LEASES]) }),
    };
  }

  /** None that starts before the compaction: with etcd, a watch that is cancelled for that holds up progress on its stream for good. */
  watch(): WatchCreateRequestInput {
    const startRevision = this.someRevision();
    return {
      ...this.range(), startRevision: startRevision > this.compacted ? startRevision : 0, prevKv: this.chance(0.5), progressNotify: this.chance(0.2), fragment: this.chance(0.2),
      filters: [...(this.chance(0.2) ? ['NOPUT' as const] : []), ...(this.chance(0.2) ? ['NODELETE' as const] : [])],
      watchId: this.chance(0.2) ? 1 + this.below(4) : 0,
    };
  }

  watchIdToCancel(): number {
    return this.below(6);
  }
}
