// Why the store refuses a request; the edge turns the reason into etcd's code and text.
import type { EtcdErrorReason } from '#lib/etcd-api/errors.ts';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly reason: EtcdErrorReason;

  constructor(reason: EtcdErrorReason) {
    super(reason);
    this.reason = reason;
  }
}
