// Commands that this member was asked for, from when they are proposed until they are applied.
import { etcdError, type EtcdError } from '#lib/etcd-api/errors.ts';
import type { LogCommand } from '../core/log-command.ts';
import { Waiters, type Waiter } from './waiters.ts';

interface Proposal {
  readonly id: bigint;
  readonly command: LogCommand;
  /** How many leaders there had been when it was given to one; 0: it was not yet. */
  handedTo: number;
}

export interface LocalProposalsOptions {
  readonly timeoutMs: number;
  readonly timeoutError: (startedMs: number) => EtcdError;
  /** It was given up; it may be applied all the same. */
  readonly onFailed: () => void;
}

export class LocalProposals<Result> {
  /** By what stands in the log: what was proposed here need not be decoded when it comes back. Not a Map, for the reason in IdTable. */
  private byData = new WeakMap<Uint8Array, Proposal>();
  private readonly waiters: Waiters<Result>;
  private readonly onFailed: () => void;

  constructor({ timeoutMs, timeoutError, onFailed }: LocalProposalsOptions) {
    this.onFailed = onFailed;
    this.waiters = new Waiters({ timeoutMs, timeoutError, onTimeout: ({ data }) => this.giveUp(data) });
  }

  get size(): number {
    return this.waiters.size;
  }

  add(id: bigint, data: Uint8Array, command: LogCommand): Promise<Result> {
    this.byData.set(data, { id, command, handedTo: 0 });
    return this.waiters.wait(id, data);
  }

  get(data: Uint8Array): { readonly id: bigint; readonly command: LogCommand } | undefined {
    return this.byData.get(data);
  }

  /** False: nobody waits for it any more. */
  has(data: Uint8Array): boolean {
    return this.byData.has(data);
  }

  /** It is applied: whoever waits is to be told. */
  take(id: bigint): Waiter<Result> | undefined {
    const waiter = this.waiters.take(id);
    if (waiter !== undefined) this.byData.delete(waiter.data);
    return waiter;
  }

  /** They were given to a leader; `leaderChanges`: to which one. */
  handed(proposals: readonly Uint8Array[], leaderChanges: number): void {
    for (const data of proposals) {
      const proposal = this.byData.get(data);
      if (proposal !== undefined) proposal.handedTo = leaderChanges;
    }
  }

  /**
   * What was given to a former leader and did not come before the new one's first entry is most likely lost, and nobody can tell: those who wait
   * for it learn now what they would learn when their time is over, as etcd has it.
   */
  giveUpLost(leaderChanges: number): void {
    for (const { id, data } of this.waiters.values()) {
      const handedTo = this.byData.get(data)?.handedTo ?? 0;
      if (handedTo === 0 || handedTo >= leaderChanges) continue;
      this.giveUp(data);
      this.waiters.take(id)?.reject(etcdError('TimeoutDueToLeaderFail'));
    }
  }

  private giveUp(data: Uint8Array): void {
    this.byData.delete(data);
    this.onFailed();
  }

  rejectAll(): void {
    this.byData = new WeakMap();
    this.waiters.rejectAll();
  }
}
