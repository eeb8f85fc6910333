// The watches of one client stream. A watch is no more than a position in the store's history, so a client that reads
// slowly costs no memory: it falls behind, reads on from the history when it can, and is cancelled once its position was
// compacted. Source for the answers: etcd v3.6, server/etcdserver/api/v3rpc/watch.go and server/storage/mvcc.
import type { Event, WatchCreateRequest, WatchResponse } from '#lib/etcd-api/messages.ts';
import type { Entry } from './key-index.ts';
import { contains, keyRange, type KeyRange } from './key-range.ts';
import { newHeader, type Store } from './store.ts';

/** Events after which a response is sent, at the end of their revision. Source: etcd, watchBatchMaxRevs. */
const MAX_EVENTS_PER_RESPONSE = 1000;
/** Bytes of keys and values after which a response is sent, at the end of their revision. */
const MAX_BYTES_PER_RESPONSE = 1024 * 1024;
/** Stands for "no watch" and for "all watches of the stream". */
const NO_WATCH = -1;

interface Watch {
  readonly id: number;
  readonly range: KeyRange;
  readonly startRevision: number;
  readonly withPrevious: boolean;
  readonly fragment: boolean;
  readonly progressNotify: boolean;
  readonly isWanted: (entry: Entry) => boolean;
  /** The first revision not looked at yet. */
  next: number;
  /** It was cancelled by a compaction; its number is taken, and nothing is told of progress, until the client cancels it, too. As etcd. */
  isCompacted: boolean;
  /** Something was sent since the last round of progress notifications. */
  wasNotified: boolean;
}

const response = (revision: number, watchId: number, rest: Partial<WatchResponse> = {}): WatchResponse =>
  ({ header: newHeader(revision), watchId, created: false, canceled: false, compactRevision: 0, cancelReason: '', fragment: false, events: [], ...rest });

/** The answer to a watch that is not made. */
export const refusedWatch = (revision: number, cancelReason: string): WatchResponse =>
  response(revision, NO_WATCH, { created: true, canceled: true, cancelReason });

export class WatchStream {
  private store: Store;
  private readonly maxFragmentBytes: number;
  private readonly watches = new Map<number, Watch>();
  private nextId = 0;

  /** `maxFragmentBytes`: size above which a response is split for watches that ask for it. */
  constructor(store: Store, maxFragmentBytes: number) {
    this.store = store;
    this.maxFragmentBytes = maxFragmentBytes;
  }

  get size(): number {
    return this.watches.size;
  }

  /** Another store with the same history took the place of the one before; it may have compacted more of it. */
  useStore(store: Store): void {
    this.store = store;
  }

  /** Watches that have not seen everything up to `revision`. */
  behind(revision: number): number {
    let count = 0;
    for (const { next, isCompacted } of this.watches.values()) if (next <= revision && !isCompacted) count += 1;
    return count;
  }

  /** `revision`: the newest one that may be told. */
  create(request: WatchCreateRequest, revision: number): WatchResponse {
    const refuse = (cancelReason: string): WatchResponse => refusedWatch(revision, cancelReason);
    if (request.startRevision < 0) return refuse('etcdserver: mvcc: required revision has been compacted');
    const key = request.key.length > 0 ? request.key : Buffer.from([0]);
    const range = keyRange({ key, rangeEnd: request.rangeEnd });
    if (range.end !== undefined && range.end !== '' && range.end <= range.start) return refuse('mvcc: watcher range is empty');
    if (request.watchId !== 0 && this.watches.has(request.watchId)) return refuse('mvcc: duplicate watch ID provided on the WatchStream');
    const id = request.watchId !== 0 ? request.watchId : this.newId();
    this.watches.set(id, {
      id, range, startRevision: request.startRevision, withPrevious: request.prevKv, fragment: request.fragment, progressNotify: request.progressNotify,
      isWanted: ({ deleted }) => !request.filters.includes(deleted ? 'NODELETE' : 'NOPUT'),
      next: request.startRevision > 0 ? request.startRevision : revision + 1, isCompacted: false, wasNotified: false,
    });
    return response(revision, id, { created: true });
  }

  private newId(): number {
    while (this.watches.has(this.nextId)) this.nextId += 1;
    return this.nextId++;
  }

  /** undefined when there is no such watch. */
  cancel(watchId: number, revision: number): WatchResponse | undefined {
    return this.watches.delete(watchId) ? response(revision, watchId, { canceled: true }) : undefined;
  }

  /** What to send next to a watch that lags behind `revision`; nothing when all are up to date. */
  *takeResponses(revision: number): Generator<WatchResponse, void> {
    for (const watch of this.watches.values()) {
      while (watch.next <= revision && !watch.isCompacted && this.watches.get(watch.id) === watch) {
        if (watch.next < this.store.compactRevision) {
          watch.isCompacted = true;
          yield response(0, watch.id, { canceled: true, compactRevision: this.store.compactRevision });
          break;
        }
        const entries = this.takeEntries(watch, revision);
        if (entries.length > 0) yield* this.eventResponses(watch, entries, revision);
      }
    }
  }

  /** Advances the watch over whole revisions, as far as one response goes. */
  private takeEntries(watch: Watch, revision: number): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    watch.next = this.store.forEachChange(watch.next, revision, (entry) => {
      if (!contains(watch.range, entry.key) || !watch.isWanted(entry)) return;
      entries.push(entry);
      bytes += entry.sizeBytes;
    }, () => entries.length >= MAX_EVENTS_PER_RESPONSE || bytes >= MAX_BYTES_PER_RESPONSE);
    return entries;
  }

  private *eventResponses(watch: Watch, entries: readonly Entry[], revision: number): Generator<WatchResponse, void> {
    watch.wasNotified = true;
    const upTo = Math.min(revision, watch.next - 1);
    const events = entries.map((entry) => this.store.eventOf(entry, watch.withPrevious)); // all now: later they may be compacted
    if (!watch.fragment) return void (yield response(upTo, watch.id, { events }));
    let part: Event[] = [];
    let bytes = 0;
    for (const event of events) {
      const size = sizeOf(event);
      if (part.length > 0 && bytes + size >= this.maxFragmentBytes) {
        yield response(upTo, watch.id, { events: part, fragment: true });
        part = [];
        bytes = 0;
      }
      part.push(event);
      bytes += size;
    }
    yield response(upTo, watch.id, { events: part });
  }

  /** The answer to a progress request: given only when nothing is outstanding on the whole stream. */
  progress(revision: number): WatchResponse | undefined {
    const isSynced = [...this.watches.values()].every(({ next, isCompacted, startRevision }) => next > revision && !isCompacted && startRevision <= revision);
    return this.watches.size > 0 && isSynced ? response(revision, NO_WATCH) : undefined;
  }

  /** One round of notifications, for watches that asked for them and got nothing since the last round. */
  *takeNotifications(revision: number): Generator<WatchResponse, void> {
    for (const watch of this.watches.values()) {
      if (!watch.progressNotify || watch.isCompacted) continue;
      if (!watch.wasNotified && watch.next > revision && watch.startRevision <= revision) yield response(revision, watch.id);
      watch.wasNotified = false;
    }
  }
}

/** What the numbers and lengths of an event take at most, besides keys and values. Bytes. */
const EVENT_OVERHEAD = 128;
const sizeOf = ({ kv, prevKv }: Event): number =>
  EVENT_OVERHEAD + (kv === undefined ? 0 : kv.key.length + kv.value.length) + (prevKv === undefined ? 0 : prevKv.key.length + prevKv.value.length);
