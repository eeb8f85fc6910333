// Events about objects in the form of events.k8s.io/v1, as client-go's newer recorder writes them: what is said again
// becomes a series, which is written at its start, now and then while it lasts, and at its end.
// Source: client-go tools/events.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { eventsEventKind } from '#lib/kinds/events/event.ts';
import type { ObjectReference } from '#lib/kinds/types/core-v1.ts';
import type { EventSeries } from '#lib/kinds/types/events-v1.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import type { ApiClient } from './client.ts';
import { EventQueue } from './event-queue.ts';

export interface SeriesRecorderOptions {
  readonly api: ApiClient;
  /** `default-scheduler` */
  readonly controller: string;
  /** Default: the controller and the name of the host. */
  readonly instance: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface Saying {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  /** What was being done: `Scheduling`, `Binding`. */
  readonly action: string;
  /** At most 1024 bytes. */
  readonly note: string;
  readonly related?: ObjectReference;
}

/** Known events; the oldest are forgotten. */
const CACHE_LIMIT = 4096;
/** A series is over when nothing was added for this long; one that lasts is written again so often. Milliseconds. */
const FINISH_MS = 360_000;
const REFRESH_MS = 1_800_000;

interface Known {
  readonly namespace: string;
  readonly name: string;
  readonly reason: string;
  count: number;
  lastMs: number;
  writtenMs: number;
  writtenCount: number;
}

interface Pending {
  readonly regarding: ObjectReference;
  readonly saying: Saying;
  readonly atMs: number;
}

const micro = (atMs: number): string => new Date(atMs).toISOString().replace('Z', '000Z');

export class SeriesRecorder {
  readonly #options: SeriesRecorderOptions;
  readonly #queue: EventQueue;
  readonly #known = new Map<string, Known>();
  #sequence = 0;

  constructor(options: SeriesRecorderOptions) {
    this.#options = options;
    this.#queue = new EventQueue(options);
  }

  /** Never throws and never waits; what cannot be written after 12 tries is dropped with a log line. */
  event(regarding: ObjectReference, saying: Saying): void {
    const atMs = this.#options.clock.nowMs();
    this.#queue.add({ reason: saying.reason, object: regarding.name }, () => this.#write({ regarding, saying, atMs }));
  }

  /** Writes series that are over or have lasted for long, and forgets what is over. Call it every few minutes. */
  async sweep(): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    for (const [key, known] of this.#known) {
      const isOver = nowMs - known.lastMs >= FINISH_MS;
      if (known.count > known.writtenCount && (isOver || nowMs - known.writtenMs >= REFRESH_MS)) await this.#queue.attempt({ reason: known.reason, object: known.name }, () => this.#writeSeries(known));
      if (isOver) this.#known.delete(key);
    }
  }

  async #write(pending: Pending): Promise<void> {
    const { regarding, saying: { type, reason, action, related }, atMs } = pending;
    // The note is no part of it: what differs only there is the same event again.
    const key = JSON.stringify([type, action, reason, referenceKey(regarding), related && referenceKey(related)]);
    const known = this.#known.get(key);
    if (!known || atMs - known.lastMs >= FINISH_MS) return this.#create(pending, key);
    known.count += 1;
    known.lastMs = atMs;
    if (known.count > 2) return;
    try {
      await this.#writeSeries(known);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      this.#known.delete(key); // it has expired on the server
      await this.#create(pending, key);
    }
  }

  async #create({ regarding, saying: { type, reason, action, note, related }, atMs }: Pending, key: string): Promise<void> {
    const { api, controller, instance, signal } = this.#options;
    const namespace = regarding.namespace === undefined || regarding.namespace === '' ? 'default' : regarding.namespace;
    const name = `${regarding.name ?? ''}.${(BigInt(Math.floor(atMs)) * 1_000_000n + BigInt((this.#sequence = (this.#sequence + 1) % 1_000_000))).toString(16)}`;
    await api.create(eventsEventKind, {
      metadata: { name, namespace }, eventTime: micro(atMs), regarding, related, type, reason, action, note, reportingController: controller, reportingInstance: instance,
    }, { signal });
    this.#known.delete(key);
    this.#known.set(key, { namespace, name, reason, count: 1, lastMs: atMs, writtenMs: atMs, writtenCount: 1 });
    if (this.#known.size > CACHE_LIMIT) for (const oldest of this.#known.keys()) return void this.#known.delete(oldest);
  }

  async #writeSeries(known: Known): Promise<void> {
    const { api, clock, signal } = this.#options;
    const { namespace, name, count, lastMs } = known;
    const series: EventSeries = { count, lastObservedTime: micro(lastMs) };
    await api.patch(eventsEventKind, namespace, name, { series }, { type: 'strategic', signal });
    known.writtenMs = clock.nowMs();
    known.writtenCount = count;
  }
}

const referenceKey = ({ apiVersion, kind, namespace, name, uid, fieldPath }: ObjectReference): unknown[] => [apiVersion, kind, namespace, name, uid, fieldPath];
