// The space alarm: when the data outgrow the quota, puts are refused until it is lifted; deleting and compacting go on.
// Source: etcd v3.6, server/storage/quota.go. Ours is found out anew after a restart instead of being stored.
import { etcdError } from '#lib/etcd-api/errors.ts';

export class Quota {
  private readonly sizeBytes: () => number;
  private readonly limitBytes: number;
  private raised = false;

  constructor(limitBytes: number, sizeBytes: () => number) {
    this.limitBytes = limitBytes;
    this.sizeBytes = sizeBytes;
  }

  get isExceeded(): boolean {
    return this.raised;
  }

  /** Throws EtcdError. */
  admitWrite(): void {
    if (this.sizeBytes() > this.limitBytes) this.raised = true;
    if (this.raised) throw etcdError('NoSpace');
  }

  /** Lifts the alarm; it comes back with the next put when there still is no space. */
  disarm(): void {
    this.raised = false;
  }
}
