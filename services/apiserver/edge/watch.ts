// A client's watch: the state it asks for first, then events from the watch cache, over chunked HTTP or WebSocket.
// Source: apiserver pkg/endpoints/handlers/watch.go, pkg/storage/cacher/cache_watcher.go.
import type { ServerResponse } from 'node:http';
import type { WebSocket } from 'ws';
import type { Clock } from '#lib/environment/clock.ts';
import type { AnyKind } from '#lib/kinds/define-kind.ts';
import { badRequest, expired, StatusError } from '#lib/machinery/status-error.ts';
import type { Selection } from '../core/selection.ts';
import { columnDefinitions, partialMetadata, tableRows, type IncludeObject } from '../core/table.ts';
import { WindowExceededError, type CacheEntry, type CacheEvent, type EventType, type WatchCache } from '../core/watch-cache.ts';
import type { WatchFaults } from '../core/faults/api-faults.ts';
import type { Transform } from './negotiation.ts';

/** Source: cacher.go, bookmarkFrequency. */
const BOOKMARK_PERIOD_MS = 60_000;
/** Events waiting for a slow client; beyond, it is cut off and has to list again. */
const MAX_PENDING_EVENTS = 1_000;
/** The last bookmark comes this long before the watch ends by its timeout. Source: cache_watcher.go. */
const LAST_BOOKMARK_LEAD_MS = 2_000;
/** Made once: an abort without a reason would make an exception with a stack. */
const CUT_OFF = new Error('the watch has ended');

export interface WatchRequest {
  readonly kind: AnyKind;
  readonly selection: Selection;
  /** undefined: from the newest state, told as ADDED events. 0: from any state. */
  readonly fromRevision: number | undefined;
  readonly sendInitialEvents: boolean | undefined;
  readonly allowBookmarks: boolean;
  readonly timeoutMs: number;
  readonly transform: Transform;
  readonly includeObject: IncludeObject;
  /** On demand: the revision it begins at is too old. */
  readonly isExpired?: boolean;
}

/** Where the lines go. */
export interface WatchSink {
  /** Resolves when more may be written. */
  write(bytes: Uint8Array): Promise<void>;
  end(): void;
  /** Cuts the connection of a client that does not read. */
  destroy(): void;
}

export function responseSink(response: ServerResponse): WatchSink {
  let goOn: () => void = () => undefined;
  response.on('drain', () => goOn());
  response.on('close', () => goOn());
  return {
    async write(bytes) {
      if (response.write(bytes) || response.destroyed) return;
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
    },
    end: () => void response.end(),
    destroy: () => void response.destroy(),
  };
}

export function webSocketSink(socket: WebSocket): WatchSink {
  return {
    write: (bytes) => new Promise((resolve) => {
      // one event a frame, without the line's end; a failed send shows as the socket's close
      socket.send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength - 1), { binary: false }, () => resolve());
    }),
    end: () => socket.close(1000),
    destroy: () => socket.terminate(),
  };
}

/** What the event means to a watcher whose selection the object may have entered or left. */
function typeFor(event: CacheEvent, selection: Selection): EventType | undefined {
  const now = event.type !== 'DELETED' && selection.matches(event.entry);
  const before = event.previous !== undefined && selection.matches(event.previous);
  if (now) return before ? 'MODIFIED' : 'ADDED';
  return before ? 'DELETED' : undefined;
}

class Renderer {
  readonly #request: WatchRequest;
  readonly #clock: Clock;
  #isFirst = true;

  constructor(request: WatchRequest, clock: Clock) {
    this.#request = request;
    this.#clock = clock;
  }

  #object(entry: CacheEntry): string {
    const { kind, transform, includeObject } = this.#request;
    const { object } = entry.as(kind);
    if (transform.as === 'object') return entry.as(kind).json();
    if (transform.as !== 'table') return JSON.stringify(partialMetadata(object, transform.apiVersion));
    const rows = tableRows(kind, [object], { includeObject, nowMs: this.#clock.nowMs(), apiVersion: transform.apiVersion });
    return JSON.stringify({
      kind: 'Table', apiVersion: transform.apiVersion, metadata: { resourceVersion: object.metadata.resourceVersion },
      columnDefinitions: this.#isFirst ? columnDefinitions(kind) : null, rows,
    });
  }

  /** Bytes are shared among watchers of the same form, but for the first event of a table. */
  event(event: CacheEvent, type: EventType): Uint8Array {
    const { kind, transform, includeObject } = this.#request;
    const entry = type === 'DELETED' ? event.departure : event.entry;
    const render = (): string => `{"type":"${type}","object":${this.#object(entry)}}\n`;
    if (transform.as === 'table' && this.#isFirst) {
      const bytes = Buffer.from(render());
      this.#isFirst = false;
      return bytes;
    }
    return event.bytes(`${type} ${kind.apiVersion} ${transform.as} ${includeObject}`, render);
  }

  initial(entry: CacheEntry): Uint8Array {
    const bytes = Buffer.from(`{"type":"ADDED","object":${this.#object(entry)}}\n`);
    this.#isFirst = false;
    return bytes;
  }

  bookmark(revision: number, endsInitialEvents: boolean): Uint8Array {
    const { kind, transform } = this.#request;
    const metadata = {
      resourceVersion: String(revision), creationTimestamp: null,
      ...(endsInitialEvents ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
    };
    const object = transform.as === 'table'
      ? { kind: 'Table', apiVersion: transform.apiVersion, metadata: { resourceVersion: String(revision) }, columnDefinitions: this.#isFirst ? columnDefinitions(kind) : null, rows: [{ cells: kind.columns?.map(() => '') ?? [], object: { kind: 'PartialObjectMetadata', apiVersion: transform.apiVersion, metadata } }] }
      : transform.as === 'object' ? { kind: kind.kind, apiVersion: kind.apiVersion, metadata }
        : { kind: 'PartialObjectMetadata', apiVersion: transform.apiVersion, metadata };
    return Buffer.from(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  error(error: StatusError): Uint8Array {
    return Buffer.from(`${JSON.stringify({ type: 'ERROR', object: error.status })}\n`);
  }
}

export interface WatchServices {
  readonly cache: WatchCache;
  readonly clock: Clock;
  /** Waits until the cache shows all that was acknowledged so far; returns that revision. */
  readonly waitUntilFresh: (signal: AbortSignal) => Promise<number>;
  /** A client was too slow. */
  readonly onCut: (kind: AnyKind) => void;
  /** What this watch suffers on demand. */
  readonly faults?: { readonly of: WatchFaults; readonly onChange: (listener: () => void) => () => void };
}

/** The state to tell first, and the revision from which events follow; with what comes in between already queued. */
interface Start {
  readonly initial: readonly CacheEntry[];
  readonly events: readonly CacheEvent[];
  readonly sendsEnd: boolean;
  readonly revision: number;
}

/** Called without waiting in between, so that no event is lost between the snapshot and the subscription. */
function startOf({ selection, kind, fromRevision, sendInitialEvents, allowBookmarks, isExpired }: WatchRequest, cache: WatchCache): Start {
  const resource = cache.of(kind);
  const wantsInitial = sendInitialEvents ?? (fromRevision === undefined || fromRevision === 0);
  if (wantsInitial) {
    return { initial: resource.list(selection.prefix).filter(selection.matches), events: [], sendsEnd: sendInitialEvents === true && allowBookmarks, revision: cache.revision };
  }
  const from = fromRevision === undefined || fromRevision === 0 ? cache.revision : fromRevision;
  if (isExpired === true) throw new WindowExceededError(from, cache.revision);
  return { initial: [], events: resource.eventsAfter(from), sendsEnd: false, revision: from };
}

/**
 * Serves the watch until it times out, the client goes or `signal` aborts. `open` is called once the watch stands: before
 * it, errors are thrown; after it they are sent as ERROR events.
 */
export async function serveWatch(request: WatchRequest, services: WatchServices, open: () => WatchSink, signal: AbortSignal): Promise<void> {
  const { cache, clock } = services;
  const { kind, selection } = request;
  if (request.fromRevision === undefined || (request.sendInitialEvents === true && request.fromRevision !== 0)) await services.waitUntilFresh(signal);
  if (signal.aborted) return;
  const renderer = new Renderer(request, clock);
  const queue: { readonly event: CacheEvent; dueMs: number }[] = [];
  let wake: () => void = () => undefined;
  let isReset = false;
  let sink: WatchSink | undefined;
  const ended = new AbortController();
  const { faults } = services;
  /** Events on time, but for those that a rule holds up; none overtakes another. */
  const enqueue = (event: CacheEvent): void => {
    const delayMs = faults && typeFor(event, selection) ? faults.of.eventDelayMs() : 0;
    queue.push({ event, dueMs: Math.max(queue.at(-1)?.dueMs ?? 0, delayMs === 0 ? 0 : clock.nowMs() + delayMs) });
  };
  const unlisten = faults?.onChange(() => {
    if (!faults.of.delays) for (const item of queue) item.dueMs = 0;
    wake();
  });
  const unsubscribe = cache.of(kind).addWatcher({
    onEvent: (event) => {
      if (ended.signal.aborted) return;
      enqueue(event);
      if (queue.length > MAX_PENDING_EVENTS) {
        services.onCut(kind);
        ended.abort(CUT_OFF);
        sink?.destroy(); // also ends the write that waits for the client
      }
      wake();
    },
    onReset: () => {
      isReset = true;
      wake();
    },
  });
  const stop = (): void => {
    ended.abort(CUT_OFF);
    wake();
  };
  signal.addEventListener('abort', stop, { once: true });
  const startMs = clock.nowMs();
  const endMs = startMs + request.timeoutMs;
  let nextBookmarkMs = request.allowBookmarks ? Math.min(startMs + BOOKMARK_PERIOD_MS, Math.max(startMs, endMs - LAST_BOOKMARK_LEAD_MS)) : Infinity;
  try {
    const start = refusedWhenTooOld(() => startOf(request, cache));
    if (start instanceof StatusError) {
      const refusal = open();
      await refusal.write(renderer.error(start));
      return refusal.end();
    }
    sink = open();
    let told = start.revision;
    const tell = async (to: WatchSink, event: CacheEvent): Promise<void> => {
      if (event.revision <= start.revision) return;
      told = event.revision;
      const type = typeFor(event, selection);
      if (type) await to.write(renderer.event(event, type));
    };
    for (const entry of start.initial) {
      if (ended.signal.aborted) return;
      await sink.write(renderer.initial(entry));
    }
    if (start.sendsEnd) await sink.write(renderer.bookmark(start.revision, true));
    if (faults?.of.delays) {
      const live = queue.splice(0); // what came while the state was told
      for (const event of start.events) enqueue(event);
      for (const { event } of live) enqueue(event);
    } else for (const event of start.events) await tell(sink, event);
    while (!ended.signal.aborted) {
      for (let item = queue[0]; item && item.dueMs <= clock.nowMs() && !ended.signal.aborted; item = queue[0]) {
        queue.shift();
        await tell(sink, item.event);
      }
      if (ended.signal.aborted) break;
      const nowMs = clock.nowMs();
      const cut = faults?.of.nextCut();
      if (cut && cut.leftMs <= 0) {
        if (!cut.take()) continue;
        if (!cut.expired) return sink.destroy();
        await sink.write(renderer.error(expired(`too old resource version: ${told} (${cache.revision})`)));
        break;
      }
      if (isReset || nowMs >= endMs) break;
      if (nowMs >= nextBookmarkMs && queue.length === 0) {
        await sink.write(renderer.bookmark(Math.max(told, cache.revision), false));
        nextBookmarkMs = nowMs + BOOKMARK_PERIOD_MS < endMs ? Math.min(nowMs + BOOKMARK_PERIOD_MS, endMs - LAST_BOOKMARK_LEAD_MS) : Infinity;
        if (nextBookmarkMs <= nowMs) nextBookmarkMs = Infinity;
        continue;
      }
      const dueMs = queue[0]?.dueMs;
      if ((dueMs !== undefined && dueMs <= nowMs) || ended.signal.aborted) continue;
      const pause = new AbortController();
      wake = () => pause.abort(CUT_OFF);
      await clock.sleep(Math.max(1, Math.min(endMs, dueMs ?? nextBookmarkMs, nowMs + (cut?.leftMs ?? Infinity)) - nowMs), pause.signal).catch(() => undefined); // woken
    }
    sink.end();
  } finally {
    unsubscribe();
    unlisten?.();
    signal.removeEventListener('abort', stop);
  }
}

function refusedWhenTooOld(start: () => Start): Start | StatusError {
  try {
    return start();
  } catch (error) {
    if (!(error instanceof WindowExceededError)) throw error;
    return expired(error.message);
  }
}

/** The resourceVersion of a query: undefined when absent. Throws BadRequest. */
export function parseResourceVersion(text: string | null): number | undefined {
  if (text === null || text === '') return undefined;
  if (!/^\d+$/.test(text)) throw badRequest(`invalid resource version: strconv.ParseUint: parsing "${text}": invalid syntax`);
  if (Number(text) > 2 ** 64) throw badRequest(`invalid resource version: strconv.ParseUint: parsing "${text}": value out of range`);
  return Number(text);
}
