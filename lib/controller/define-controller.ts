// What a controller is: the kind it reconciles, what else wakes it, and one function that makes the world as desired.
import type { Logger } from 'pino';
import type { EventRecorder } from '#lib/api-client/event-recorder.ts';
import type { Clock } from '#lib/environment/clock.ts';
import type { Random } from '#lib/environment/random.ts';
import { anyKind, type AnyKind, type Kind, type KubernetesObject } from '#lib/kinds/define-kind.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import { controllerOf } from '#lib/machinery/controller-ref.ts';
import type { OwnerReference } from '#lib/kinds/types/meta-v1.ts';
import type { CacheReader, SharedCache } from './shared-cache.ts';
import type { ReconcileApi } from './own-writes.ts';

/** What a reconcile says when it ends well; throwing means: again, with back-off. */
export interface Outcome {
  readonly retryAfterMs?: number;
}
export const done: Outcome = {};
/** Look again after this time though nothing may have changed. */
export const retryAfterMs = (durationMs: number): Outcome => ({ retryAfterMs: durationMs });

export interface ObjectKey {
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  readonly name: string;
}

export interface ReconcileContext {
  readonly cache: CacheReader;
  readonly api: ReconcileApi;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Whose key an event about another kind becomes. */
export interface EventSource {
  readonly kind: AnyKind;
  readonly attach: (target: { readonly cache: SharedCache; readonly reconciles: AnyKind; readonly enqueue: (key: string, delayMs?: number) => void }) => void;
}

export interface ControllerDefinition<T extends KubernetesObject> {
  /** The upstream name, as --controllers takes it: `replicaset-controller`. */
  readonly name: string;
  /** The service account in kube-system it acts as; default: the name. */
  readonly serviceAccount?: string;
  /** Source of its events; default: the name. */
  readonly eventSource?: string;
  /** Label of its queue in metrics; default: the kind's singular. */
  readonly queueName?: string;
  readonly reconciles: Kind<T>;
  /** Whether an update of the reconciled kind is worth a look; default: always. */
  readonly isRelevantUpdate?: (next: T, previous: T) => boolean;
  readonly alsoWatches?: readonly EventSource[];
  /** Kinds read from the cache without waking the controller. */
  readonly reads?: readonly AnyKind[];
  readonly indexes?: readonly { readonly declare: (cache: SharedCache) => void }[];
  readonly workers?: number;
  /** First and longest wait after failures; default: 5 ms and 1000 s. */
  readonly backoff?: { readonly backoffFirstMs: number; readonly backoffLongestMs: number };
  readonly reconcile: (key: ObjectKey, context: ReconcileContext) => Promise<Outcome>;
}

/** Work that follows the clock instead of events: monitors and sweepers. */
export interface PeriodicDefinition {
  readonly name: string;
  readonly serviceAccount?: string;
  readonly eventSource?: string;
  readonly reads: readonly AnyKind[];
  readonly periodMs: number;
  /** Kinds whose events bring the next run forward, after this time. */
  readonly wokenBy?: readonly { readonly kind: AnyKind; readonly isRelevant: (next: KubernetesObject, previous: KubernetesObject | undefined) => boolean }[];
  readonly indexes?: readonly { readonly declare: (cache: SharedCache) => void }[];
  /** May resolve with a time until the next run that is shorter than the period. */
  readonly run: (context: ReconcileContext) => Promise<number | undefined>;
}

/** A program of its own beside the caches, such as the garbage collector with its graph. */
export interface LongRunningDefinition {
  readonly name: string;
  readonly serviceAccount?: string;
  readonly eventSource?: string;
  readonly reads: readonly AnyKind[];
  readonly start: (context: LongRunningContext) => Promise<void>;
}
export interface LongRunningContext extends Omit<ReconcileContext, 'api' | 'cache'> {
  readonly cache: SharedCache;
  /** A ReconcileApi for one piece of work. */
  readonly api: ReconcileApi;
}

export type Controller =
  | ({ readonly type: 'reconciler' } & ControllerDefinition<KubernetesObject>)
  | ({ readonly type: 'periodic' } & PeriodicDefinition)
  | ({ readonly type: 'long-running' } & LongRunningDefinition);

export function defineController<T extends KubernetesObject>(definition: ControllerDefinition<T>): Controller {
  return { type: 'reconciler', ...(definition as unknown as ControllerDefinition<KubernetesObject>) };
}
export function definePeriodic(definition: PeriodicDefinition): Controller {
  return { type: 'periodic', ...definition };
}
export function defineLongRunning(definition: LongRunningDefinition): Controller {
  return { type: 'long-running', ...definition };
}

const groupOf = (apiVersion: string): string => (apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '');

function refersTo(reference: OwnerReference | undefined, kind: AnyKind): reference is OwnerReference {
  return reference !== undefined && reference.kind === kind.kind && groupOf(reference.apiVersion) === kind.group;
}

export interface OwnedOptions<T> {
  /** Keys of those who might adopt an object that nobody manages. */
  readonly adopters?: (orphan: Readonly<T>, cache: CacheReader) => readonly string[];
  /** Waits so long before the key is worked on, so that several events become one. */
  readonly delayMs?: number;
}

/** An event about the kind wakes the object that manages it, and whoever might adopt it when nobody does. */
export function owned<T extends KubernetesObject>(kind: Kind<T>, { adopters, delayMs }: OwnedOptions<T> = {}): EventSource {
  return {
    kind: anyKind(kind),
    attach: ({ cache, reconciles, enqueue }) => {
      const ownerKey = (object: T): string | undefined => {
        const reference = controllerOf(object);
        if (!refersTo(reference, reconciles)) return undefined;
        return reconciles.namespaced ? `${object.metadata.namespace ?? ''}/${reference.name}` : reference.name;
      };
      const wake = (object: T) => {
        const key = ownerKey(object);
        if (key !== undefined) enqueue(key, delayMs);
        else if (adopters && !controllerOf(object)) for (const adopter of adopters(object, cache)) enqueue(adopter, delayMs);
      };
      cache.informer(kind).addHandler({
        added: wake,
        deleted: wake,
        updated: (next, previous) => {
          const before = ownerKey(previous);
          if (before !== undefined && before !== ownerKey(next)) enqueue(before, delayMs);
          wake(next);
        },
      });
    },
  };
}

export interface MappedOptions<T> {
  readonly isRelevantUpdate?: (next: T, previous: T) => boolean;
  /** New objects wake nobody. */
  readonly ignoresNew?: boolean;
  /** Waits so long before the key is worked on, so that several events become one. */
  readonly delayMs?: number;
}

/** An event about the kind wakes every key that `keysOf` gives, for the object as it was and as it is. */
export function mapped<T extends KubernetesObject>(kind: Kind<T>, keysOf: (object: Readonly<T>, cache: CacheReader) => readonly string[], { isRelevantUpdate, ignoresNew = false, delayMs }: MappedOptions<T> = {}): EventSource {
  return {
    kind: anyKind(kind),
    attach: ({ cache, enqueue }) => {
      const wake = (object: T) => {
        for (const key of keysOf(object, cache)) enqueue(key, delayMs);
      };
      cache.informer(kind).addHandler({
        added: ignoresNew ? () => undefined : wake,
        deleted: wake,
        updated: (next, previous) => {
          if (isRelevantUpdate && !isRelevantUpdate(next, previous)) return;
          wake(previous);
          wake(next);
        },
      });
    },
  };
}

/** An index over a cached kind, for `cache.byIndex`. */
export function index<T extends KubernetesObject>(kind: Kind<T>, name: string, keysOf: (object: T) => readonly string[]): { readonly declare: (cache: SharedCache) => void } {
  return { declare: (cache) => cache.addIndex(kind, name, keysOf) };
}

export { keyOf };
