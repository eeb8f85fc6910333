// The member: takes commands, applies them in order, makes them durable together, and only then answers. What is not
// durable yet is not shown to anybody: reads and watches see the store as of the last durable revision.
// With Raft, the log takes the place of the queue here: commands are appended, agreed on, and applied in the same way.
import type { Logger } from 'pino';
import { etcdError, type EtcdErrorReason } from '#lib/etcd-api/errors.ts';
import type { RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse } from '#lib/etcd-api/messages.ts';
import { Store, type Applied, type Command, type CommandType, type ResponseTo, type Write } from '../core/store.ts';
import { StoreError } from '../core/store-error.ts';
import type { Database } from './database.ts';

export interface MemberOptions {
  readonly database: Database;
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly term: number;
  /** Bytes of values held in memory; others are read from the disk. */
  readonly maxValueBytes: number;
  readonly log: Logger;
  /** A batch could not be made durable: the process cannot go on, as memory is ahead of the disk. */
  readonly onFatal: (error: Error) => void;
  readonly onFsync: (seconds: number) => void;
}

/** Commands waiting or under way. Source: etcd, maxGapBetweenApplyAndCommitIndex. */
const MAX_PENDING = 5000;
/** Commands that share one fsync: bounds the batch and the time the event loop is held. */
const MAX_BATCH = 512;

interface Pending {
  readonly command: Command;
  readonly resolve: (response: ResponseTo<CommandType>) => void;
  readonly reject: (error: Error) => void;
}

export class Member {
  readonly store: Store;
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly term: number;
  private readonly options: MemberOptions;
  private readonly listeners = new Set<() => void>();
  private queue: Pending[] = [];
  private flushing: Promise<void> | undefined;
  private isStopping = false;
  private durable: number;
  private index: number;

  private constructor(options: MemberOptions, store: Store, appliedIndex: number) {
    this.options = options;
    this.clusterId = options.clusterId;
    this.memberId = options.memberId;
    this.term = options.term;
    this.store = store;
    this.durable = store.revision;
    this.index = appliedIndex;
  }

  static async start(options: MemberOptions): Promise<Member> {
    const { database, maxValueBytes } = options;
    const stored = await database.load(maxValueBytes);
    return new Member(options, new Store((entry) => database.readValue(entry), stored), stored.appliedIndex);
  }

  /** The newest revision that may be shown. */
  get revision(): number {
    return this.durable;
  }

  get appliedIndex(): number {
    return this.index;
  }

  get pendingCount(): number {
    return this.queue.length;
  }

  header(): ResponseHeader {
    return this.complete({ clusterId: 0n, memberId: 0n, revision: this.durable, raftTerm: 0 });
  }

  /** The store knows revisions only; who answered is for the member to say. */
  complete(header: ResponseHeader): ResponseHeader {
    header.clusterId = this.clusterId;
    header.memberId = this.memberId;
    header.raftTerm = this.term;
    return header;
  }

  /** `listener` is called after each advance of `revision`. */
  onAdvance(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Resolves when the command is durable. Rejects with an EtcdError when it is refused. */
  async propose<T extends CommandType>(command: Command<T>): Promise<ResponseTo<T>> {
    if (this.isStopping) throw etcdError('Stopped');
    if (this.queue.length >= MAX_PENDING) throw etcdError('TooManyRequests');
    const response = await new Promise<ResponseTo<CommandType>>((resolve, reject) => {
      this.queue.push({ command: command as Command, resolve, reject });
      this.flushing ??= this.flushQueue();
    });
    const { header } = response;
    if (header !== undefined) this.complete(header);
    return response as ResponseTo<T>;
  }

  private async flushQueue(): Promise<void> {
    await Promise.resolve(); // commands of the same turn share the first batch
    while (this.queue.length > 0) await this.flushBatch(this.queue.splice(0, MAX_BATCH));
    this.flushing = undefined;
  }

  private async flushBatch(batch: readonly Pending[]): Promise<void> {
    const writes: Write[] = [];
    const results: Applied<CommandType>['result'][] = [];
    try {
      for (const { command } of batch) {
        const applied = this.store.apply(command);
        results.push(applied.result);
        writes.push(...applied.writes);
      }
      this.index += batch.length;
      if (writes.length > 0) await this.writeDurably(writes);
    } catch (error) {
      this.isStopping = true;
      for (const { reject } of [...batch, ...this.queue.splice(0)]) reject(etcdError('Stopped'));
      return this.options.onFatal(new Error('cannot make commands durable', { cause: error }));
    }
    const hasAdvanced = this.store.revision > this.durable;
    this.durable = this.store.revision;
    batch.forEach((pending, at) => settle(pending, results[at] as Applied<CommandType>['result']));
    if (hasAdvanced) for (const listener of this.listeners) listener();
    this.store.releaseValues(this.options.maxValueBytes, this.durable);
  }

  private async writeDurably(writes: readonly Write[]): Promise<void> {
    const start = performance.now();
    await this.options.database.write(writes, { appliedIndex: this.index, revision: this.store.revision });
    this.options.onFsync((performance.now() - start) / 1000);
  }

  /** Throws EtcdError. */
  async range(request: RangeRequest): Promise<RangeResponse> {
    await this.untilReadable();
    return this.answer(() => this.store.range(request, this.durable));
  }

  /** Throws EtcdError. */
  async readOnlyTxn(request: TxnRequest): Promise<TxnResponse> {
    await this.untilReadable();
    return this.answer(() => this.store.readOnlyTxn(request, this.durable));
  }

  /** A compaction that is not durable yet may already have removed what the durable revision shows. */
  private async untilReadable(): Promise<void> {
    if (this.store.compactRevision > this.durable) await this.settled();
  }

  /** Resolves when all commands applied so far are durable. */
  async settled(): Promise<void> {
    await this.flushing;
  }

  private answer<R extends { header: ResponseHeader | undefined }>(read: () => R): R {
    try {
      const response = read();
      if (response.header !== undefined) this.complete(response.header);
      return response;
    } catch (error) {
      throw error instanceof StoreError ? etcdError(error.reason) : error;
    }
  }

  /** Refuses new commands and waits for those under way. */
  async stop(lastCommand?: Command): Promise<void> {
    if (lastCommand !== undefined) await this.propose(lastCommand);
    this.isStopping = true;
    await this.flushing;
    await this.options.database.close();
  }
}

function settle({ resolve, reject }: Pending, result: { response: ResponseTo<CommandType> } | { refused: EtcdErrorReason }): void {
  if ('response' in result) resolve(result.response);
  else reject(etcdError(result.refused));
}
