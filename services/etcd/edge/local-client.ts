// What locks and elections need of the store, on behalf of a caller: as a client would, but without the wire.
// Source: etcd v3.6, client/v3/concurrency.
import { rangeRequest, txnRequest, type KeyValue, type RangeRequestInput, type RangeResponse, type ResponseHeader, type TxnRequestInput, type WatchResponse } from '#lib/etcd-api/messages.ts';
import { prefixEnd } from '#lib/etcd-api/prefix.ts';
import { WatchStream } from '../core/watch-stream.ts';
import type { ResponseTo } from '../core/store.ts';
import type { Authenticator } from './authenticator.ts';
import type { Caller } from './caller.ts';
import { newLeaseId } from './lease-service.ts';
import type { Member } from './member.ts';

export interface LocalClientOptions {
  readonly member: Member;
  readonly authenticator: Authenticator;
}

/** Seconds. Source: concurrency.defaultSessionTTL. */
const SESSION_TTL = 60;
const CLEAN_UP_MS = 5_000;
const MAX_RESPONSE_BYTES = 1024 * 1024;

export class LocalClient {
  private readonly options: LocalClientOptions;
  private readonly caller: Caller;
  private readonly signal: AbortSignal;

  /** `signal`: ends what waits; its reason is thrown. */
  constructor(options: LocalClientOptions, caller: Caller, signal: AbortSignal) {
    this.options = options;
    this.caller = caller;
    this.signal = signal;
  }

  /** The same caller, for what has to be put in order when the wait was given up. */
  afterwards(): LocalClient {
    return new LocalClient(this.options, this.caller, AbortSignal.timeout(CLEAN_UP_MS));
  }

  range(input: RangeRequestInput): Promise<RangeResponse> {
    const { member, authenticator } = this.options;
    const request = rangeRequest.decode(rangeRequest.encode(input));
    return authenticator.read(this.caller, (by) => member.store.guard.range(by, request), () => member.range(request));
  }

  async txn(input: TxnRequestInput): Promise<ResponseTo<'txn'>> {
    const { member, authenticator } = this.options;
    return member.propose({ type: 'txn', request: txnRequest.decode(txnRequest.encode(input)), by: await authenticator.identify(this.caller) });
  }

  async delete(key: Buffer): Promise<ResponseHeader> {
    const { header } = await this.txn({ success: [{ requestDeleteRange: { key } }] });
    return header ?? this.options.member.header();
  }

  /** The lease of a session: the one that is named, or a new one. */
  async session(lease: bigint): Promise<bigint> {
    if (lease !== 0n) return lease;
    const { member, authenticator } = this.options;
    const { ID } = await member.propose({ type: 'leaseGrant', request: { ID: newLeaseId(), TTL: SESSION_TTL }, by: await authenticator.identify(this.caller) });
    return ID;
  }

  /** Resolves when no key of the prefix is left that was created at or before `maxCreateRevision`. */
  async untilDeleted(prefix: Buffer, maxCreateRevision: number): Promise<void> {
    for (;;) {
      const { kvs: [newest], header } = await this.range({
        key: prefix, rangeEnd: prefixEnd(prefix), sortTarget: 'CREATE', sortOrder: 'DESCEND', limit: 1, maxCreateRevision: Math.max(1, maxCreateRevision), keysOnly: true,
      });
      if (newest === undefined) return;
      for await (const { type } of this.changes({ key: newest.key, startRevision: header?.revision ?? 0 })) if (type === 'DELETE') break;
    }
  }

  /** What happens to the keys from a revision on. Throws when that was compacted. */
  async *changes({ key, rangeEnd = NONE, startRevision }: { key: Buffer; rangeEnd?: Buffer; startRevision: number }): AsyncGenerator<Change, void> {
    const { member, authenticator } = this.options;
    await authenticator.read(this.caller, (by) => member.store.auth.checkRead(by, key, rangeEnd), () => undefined);
    const stream = new WatchStream(member.store, MAX_RESPONSE_BYTES);
    stream.create({ key, rangeEnd, startRevision, progressNotify: false, filters: [], prevKv: false, watchId: 0, fragment: false }, member.revision);
    let wake = (): void => undefined;
    const stopListening = member.onAdvance(() => wake());
    const onAbort = (): void => wake();
    this.signal.addEventListener('abort', onAbort);
    try {
      for (let seen = -1; ;) {
        while (seen === member.revision && !this.signal.aborted) await new Promise<void>((resolve) => { wake = resolve; });
        this.signal.throwIfAborted();
        seen = member.revision;
        for (const response of stream.takeResponses(seen)) yield* this.changesIn(response);
      }
    } finally {
      stopListening();
      this.signal.removeEventListener('abort', onAbort);
    }
  }

  private *changesIn({ canceled, compactRevision, events }: WatchResponse): Generator<Change> {
    if (canceled) throw new Error(`the watch was overtaken by the compaction at revision ${compactRevision}`);
    for (const { type, kv } of events) {
      if (kv !== undefined && type !== 'UNRECOGNIZED') yield { type, kv, header: { ...this.options.member.header(), revision: kv.modRevision } };
    }
  }
}

interface Change { readonly type: 'PUT' | 'DELETE'; readonly kv: KeyValue; readonly header: ResponseHeader }
const NONE = Buffer.alloc(0);
