// Watches that outlive streams and members: each goes on after the last revision that it was told, wherever it can.
import type { WatchResponse } from '#lib/etcd-api/messages.ts';
import { prefixEnd } from '#lib/etcd-api/client.ts';
import { pause, Roaming, type DriveContext } from './clients.ts';
import type { WatchCall } from './connection.ts';
import type { StoreEvent, WatchMessage, WatchRecord, WatchStreamRecord } from './history.ts';
import { keyStateOf } from './workload.ts';

export interface WatcherOptions {
  readonly name: string;
  readonly prefix: string;
  /** Stays with this member; otherwise changes it from time to time. */
  readonly member?: number;
  /** The first revision; 0: from now. */
  readonly startRevision: number;
  readonly withPrevKv: boolean;
  readonly noDeletes: boolean;
}

/** After so many messages a watch without a member of its own ends its stream and resumes; about. */
const MESSAGES_PER_STREAM = 400;
/** Between requests for progress; milliseconds. */
const PROGRESS_EVERY_MS = 300;
/** Between the end of a stream and the next; milliseconds. */
const PAUSE_MS = 100;
/** A stream that does not even say that the watch is there is given up; milliseconds. */
const CREATE_DEADLINE_MS = 4_000;

export class Watcher {
  /** What was told up to. */
  position = 0;
  readonly record: WatchRecord;
  /** The watch cannot go on. */
  failure: string | undefined;
  private readonly context: DriveContext;
  private readonly options: WatcherOptions;

  constructor(context: DriveContext, options: WatcherOptions) {
    this.context = context;
    this.options = options;
    this.record = { name: options.name, prefix: options.prefix, withPrevKv: options.withPrevKv, noDeletes: options.noDeletes, streams: [] };
    context.history.watches.push(this.record);
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { member, startRevision } = this.options;
    const roaming = new Roaming(this.context);
    let next = startRevision;
    while (!signal.aborted && this.failure === undefined) {
      if (member === undefined) roaming.move();
      else roaming.member = member;
      const stream: WatchStreamRecord = { member: roaming.member, startRevision: next, messages: [] };
      await this.follow(roaming.connection.watch(), stream, signal);
      if (stream.messages.length > 0) {
        this.record.streams.push(stream);
        next = Math.max(next, this.position + 1);
      }
      if (!signal.aborted) await pause(PAUSE_MS);
    }
    roaming.close();
  }

  /** Resolves when the stream has ended, for whatever reason. */
  private follow(call: WatchCall, record: WatchStreamRecord, signal: AbortSignal): Promise<void> {
    const { prefix, noDeletes, withPrevKv, member } = this.options;
    const { random, history, nowMs } = this.context;
    const limit = member === undefined ? MESSAGES_PER_STREAM * (0.2 + random.fraction()) : Infinity;
    return new Promise((resolve) => {
      const end = (why: string): void => {
        if (record.end !== undefined) return;
        record.end = why;
        clearInterval(asking);
        clearTimeout(creating);
        signal.removeEventListener('abort', onAbort);
        call.cancel();
        resolve();
      };
      const onAbort = (): void => end('the run is over');
      const asking = setInterval(() => call.write({ progressRequest: {} }), PROGRESS_EVERY_MS);
      const creating = setTimeout(() => {
        if (record.messages.length === 0) end('not created');
      }, CREATE_DEADLINE_MS);
      signal.addEventListener('abort', onAbort, { once: true });
      call.on('error', (error) => end(error.message));
      call.on('end', () => end('ended by the server'));
      call.on('data', (response: WatchResponse) => {
        if (record.end !== undefined) return; // what is still on its way does not count: the next stream is told it again
        if (response.canceled) {
          if (response.compactRevision > 0) this.failure = `canceled at compact revision ${response.compactRevision}: ${response.cancelReason}`;
          return end(`canceled: ${response.cancelReason}`);
        }
        const message = messageOf(response, nowMs());
        record.messages.push(message);
        this.position = Math.max(this.position, positionAfter(message, record.startRevision === 0));
        history.count(message.kind === 'events' ? 'watch events' : `watch ${message.kind}`, Math.max(message.events.length, 1));
        if (record.messages.length > limit && !message.fragment) end('resumed elsewhere');
      });
      call.write({
        createRequest: {
          key: prefix, rangeEnd: prefixEnd(prefix), progressNotify: true, prevKv: withPrevKv, filters: noDeletes ? ['NODELETE'] : [],
          ...(record.startRevision > 0 ? { startRevision: record.startRevision } : {}),
        },
      });
    });
  }
}

/** What was before its creation is owed to a watch only if it asked for it. */
function positionAfter({ kind, headerRevision, events, fragment }: WatchMessage, isFromNow: boolean): number {
  switch (kind) {
    case 'created': return isFromNow ? headerRevision : 0;
    case 'progress': return headerRevision;
    case 'events': return (events.at(-1)?.revision ?? 0) - (fragment ? 1 : 0);
  }
}

function messageOf({ header, created, fragment, events }: WatchResponse, ms: number): WatchMessage {
  return {
    ms, kind: created ? 'created' : events.length > 0 ? 'events' : 'progress', headerRevision: header?.revision ?? 0, fragment,
    events: events.flatMap(({ type, kv, prevKv }): StoreEvent[] => (kv === undefined ? [] : [{
      type: type === 'DELETE' ? type : 'PUT', key: Buffer.from(kv.key).toString(), revision: kv.modRevision, ...(type === 'PUT' ? { kv: keyStateOf(kv) } : {}),
      ...(prevKv === undefined ? {} : { prevKv: keyStateOf(prevKv) }), ...(kv.lease === 0n ? {} : { lease: kv.lease.toString(16) }),
    }])),
  };
}
