// Requests that wait for their entry to be applied, by the id that the entry carries.
import { IdTable } from '#lib/machinery/id-table.ts';
import { etcdError, type EtcdError } from '#lib/etcd-api/errors.ts';

export interface Waiter<T> {
  readonly id: bigint;
  /** What was proposed. */
  readonly data: Uint8Array;
  readonly startedMs: number;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** How often those that wait too long are looked for. */
const SWEEP_MS = 100;

/** Of one kind of answer. */
export class Waiters<T> {
  private readonly byId = new IdTable<Waiter<T>>();
  private readonly timeoutMs: number;
  private readonly timeoutError: (startedMs: number) => EtcdError;
  private readonly onTimeout: (waiter: Waiter<T>) => void;
  private sweeper: NodeJS.Timeout | undefined;

  constructor(options: { readonly timeoutMs: number; readonly timeoutError: (startedMs: number) => EtcdError; readonly onTimeout: (waiter: Waiter<T>) => void }) {
    this.timeoutMs = options.timeoutMs;
    this.timeoutError = options.timeoutError;
    this.onTimeout = options.onTimeout;
  }

  get size(): number {
    return this.byId.size;
  }

  wait(id: bigint, data: Uint8Array): Promise<T> {
    this.sweeper ??= setInterval(() => this.sweep(), SWEEP_MS);
    return new Promise<T>((resolve, reject) => {
      this.byId.set(keyOf(id), { id, data, startedMs: performance.now(), resolve, reject });
    });
  }

  /** In no order. */
  values(): Waiter<T>[] {
    return this.byId.values();
  }

  /** undefined when it is somebody else's, or nobody waits any more. */
  take(id: bigint): Waiter<T> | undefined {
    const waiter = this.byId.get(keyOf(id));
    if (waiter?.id !== id) return undefined;
    this.byId.delete(keyOf(id));
    return waiter;
  }

  private sweep(): void {
    const dueMs = performance.now() - this.timeoutMs;
    for (const waiter of this.byId.values()) {
      if (waiter.startedMs > dueMs) continue;
      this.byId.delete(keyOf(waiter.id));
      this.onTimeout(waiter);
      waiter.reject(this.timeoutError(waiter.startedMs));
    }
    if (this.byId.size > 0) return;
    clearInterval(this.sweeper);
    this.sweeper = undefined;
  }

  rejectAll(): void {
    clearInterval(this.sweeper);
    this.sweeper = undefined;
    for (const { reject } of this.byId.values()) reject(etcdError('Stopped'));
    this.byId.clear();
  }
}

/** The counter of RequestIds, which does not come to the same end twice while a request waits. */
const keyOf = (id: bigint): number => Number(BigInt.asUintN(30, id)) + 1;

/** Ids that no other member gives out, nor this one after a restart. Source: etcd v3.6, pkg/idutil. */
export class RequestIds {
  private readonly prefix: bigint;
  private counter: number;

  constructor(memberId: bigint, nowMs: number) {
    this.prefix = (memberId & 0xffffn) << 48n;
    // Milliseconds within some 35 years, and 256 ids for each.
    this.counter = nowMs % 2 ** 40 * 256;
  }

  next(): bigint {
    this.counter = (this.counter + 1) % 2 ** 48;
    return this.prefix | BigInt(this.counter);
  }
}
