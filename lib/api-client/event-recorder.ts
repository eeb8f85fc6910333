// Events about objects, as client-go's core/v1 recorder writes them: repeated ones are counted, floods of similar ones
// are folded into one, and a source that is too loud is cut. Source: client-go tools/record.
import { eventKind } from '#lib/kinds/core/event.ts';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { ObjectReference } from '#lib/kinds/types/core-v1.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import type { ApiClient } from './client.ts';
import { EventQueue, type EventQueueOptions } from './event-queue.ts';

export interface EventRecorderOptions extends EventQueueOptions {
  readonly api: ApiClient;
  /** `kubelet`, `replicaset-controller`, ... */
  readonly component: string;
  readonly host?: string;
}

const CACHE_LIMIT = 4096;
/** Distinct messages within AGGREGATION_MS after which similar events are folded. */
const SIMILAR_LIMIT = 10;
const AGGREGATION_MS = 600_000;
/** Token bucket per object: so many at once, then one every REFILL_MS. */
const BURST = 25;
const REFILL_MS = 300_000;

interface Occurrence {
  readonly object: ObjectReference;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  readonly atMs: number;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}
interface Known {
  readonly namespace: string;
  readonly name: string;
  readonly firstTimestamp: string;
  count: number;
}

/** A Map that forgets its oldest entries. */
class Recent<V> extends Map<string, V> {
  override set(key: string, value: V): this {
    super.delete(key);
    super.set(key, value);
    if (this.size > CACHE_LIMIT) for (const oldest of this.keys()) return super.delete(oldest), this;
    return this;
  }
}

/** What an event says about which object; `fieldPath` such as `spec.containers{nginx}`. */
export function referenceTo(object: KubernetesObject, fieldPath?: string): ObjectReference {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  return { apiVersion: object.apiVersion, kind: object.kind, namespace, name, uid, resourceVersion, fieldPath };
}

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #queue: EventQueue;
  readonly #known = new Recent<Known>();
  readonly #similar = new Recent<{ messages: Set<string>; lastMs: number }>();
  readonly #buckets = new Recent<{ tokens: number; atMs: number }>();
  /** Keeps names apart that are made in the same millisecond. */
  #sequence = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#queue = new EventQueue(options);
  }

  /** Never throws and never waits; what cannot be written after 12 tries is dropped with a log line. */
  event(object: ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string, annotations?: Readonly<Record<string, string>>): void {
    const atMs = this.#options.clock.nowMs();
    if (!this.#mayPass(object, atMs)) return;
    this.#queue.add({ reason, object: object.name }, () => this.#write({ object, type, reason, message, atMs, annotations }));
  }

  /** Resolves when nothing waits any more. */
  async flushed(): Promise<void> {
    await this.#queue.flushed();
  }

  #mayPass(object: ObjectReference, atMs: number): boolean {
    const key = [object.kind, object.namespace, object.name, object.uid, object.apiVersion].join('/');
    const bucket = this.#buckets.get(key) ?? { tokens: BURST, atMs };
    const tokens = Math.min(BURST, bucket.tokens + (atMs - bucket.atMs) / REFILL_MS);
    this.#buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, atMs });
    return tokens >= 1;
  }

  /** Folds the message when ten different ones of the same reason came within ten minutes. */
  #aggregated({ object, type, reason, message, atMs }: Occurrence): { key: string; message: string } {
    const group = JSON.stringify([object.kind, object.namespace, object.name, object.uid, object.fieldPath, type, reason]);
    const seen = this.#similar.get(group);
    const similar = seen && atMs - seen.lastMs < AGGREGATION_MS ? seen : { messages: new Set<string>(), lastMs: atMs };
    similar.lastMs = atMs;
    similar.messages.add(message);
    this.#similar.set(group, similar);
    if (similar.messages.size < SIMILAR_LIMIT) return { key: `${group}${message}`, message };
    similar.messages.delete([...similar.messages][0] ?? '');
    return { key: group, message: `(combined from similar events): ${message}` };
  }

  async #write(occurrence: Occurrence): Promise<void> {
    const { api, component, host, signal } = this.#options;
    const { object, type, reason, atMs, annotations } = occurrence;
    const { key, message } = this.#aggregated(occurrence);
    const timestamp = new Date(atMs).toISOString().replace(/\.\d+Z$/, 'Z');
    const namespace = object.namespace === undefined || object.namespace === '' ? 'default' : object.namespace;
    const known = this.#known.get(key);
    if (known) {
      try {
        await api.patch(eventKind, known.namespace, known.name, { count: known.count + 1, lastTimestamp: timestamp, message }, { type: 'strategic', signal });
        known.count += 1;
        return;
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    const name = `${object.name ?? ''}.${(BigInt(Math.floor(atMs)) * 1_000_000n + BigInt((this.#sequence = (this.#sequence + 1) % 1_000_000))).toString(16)}`;
    await api.create(eventKind, {
      metadata: { name, namespace, annotations },
      involvedObject: object, type, reason, message, count: 1, firstTimestamp: timestamp, lastTimestamp: timestamp,
      source: { component, host }, reportingComponent: component, reportingInstance: host ?? '',
    }, { signal });
    this.#known.set(key, { namespace, name, firstTimestamp: timestamp, count: 1 });
  }
}
