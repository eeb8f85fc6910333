// Runs controllers over shared caches: starts all watches at once, waits for each controller's own caches, then works.
import { trace } from '@opentelemetry/api';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { TransportError, type ApiClient } from '#lib/api-client/client.ts';
import { EventRecorder } from '#lib/api-client/event-recorder.ts';
import { keyOf, splitKey } from '#lib/api-client/informer.ts';
import { runWorkers, WorkQueue } from '#lib/api-client/work-queue.ts';
import type { Clock } from '#lib/environment/clock.ts';
import type { Random } from '#lib/environment/random.ts';
import { anyKind, type AnyKind } from '#lib/kinds/define-kind.ts';
import { isConflict, StatusError } from '#lib/machinery/status-error.ts';
import { withAbort } from '#lib/service/abort.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { inSpan } from '#lib/tracing/in-span.ts';
import type { Controller, ControllerDefinition, LongRunningDefinition, PeriodicDefinition, ReconcileContext } from './define-controller.ts';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import { OwnWrites, ReconcileApi } from './own-writes.ts';
import { QueueMetrics } from './queue-metrics.ts';
import type { SharedCache } from './shared-cache.ts';

export interface RunControllersOptions {
  readonly controllers: readonly Controller[];
  readonly cache: SharedCache;
  /** The client that a controller writes with: its own service account's, or the process's. */
  readonly clientFor: (serviceAccount: string) => ApiClient;
  readonly metrics: Registry;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** How often, and how long, a worker looks whether the cache shows what the last reconcile of its key wrote. */
const OWN_WRITES_POLL_MS = 5;
const OWN_WRITES_PATIENCE_MS = 2_000;
/** Refusals in a row after which a failing reconcile is worth a warning: the first ones are races. */
const QUIET_FAILURES = 3;

const tracer = trace.getTracer('kubreak/controller');

interface Running {
  readonly options: RunControllersOptions;
  readonly queueMetrics: QueueMetrics;
}

/** Resolves when the signal has aborted and all work has ended. */
export async function runControllers(options: RunControllersOptions): Promise<void> {
  const { controllers, cache, signal } = options;
  const running: Running = { options, queueMetrics: new QueueMetrics(options.metrics, options.clock) };
  // Indexes and handlers first, so that no informer starts without them.
  for (const controller of controllers) if (controller.type !== 'long-running') for (const { declare } of controller.indexes ?? []) declare(cache);
  const starts = controllers.map((controller) => prepare(controller, running));
  await Promise.all([cache.run(signal), ...starts.map((start) => start())]);
}

function prepare(controller: Controller, running: Running): () => Promise<void> {
  switch (controller.type) {
    case 'reconciler': return prepareReconciler(controller, running);
    case 'periodic': return preparePeriodic(controller, running);
    case 'long-running': return prepareLongRunning(controller, running);
  }
}

interface Names {
  readonly name: string;
  readonly serviceAccount?: string;
  readonly eventSource?: string;
}

/** Everything a controller works with, except the api, which is bound to the key at hand. */
function surroundings({ name, serviceAccount = name, eventSource = name }: Names, { options }: Running): Omit<ReconcileContext, 'api'> & { client: ApiClient } {
  const { cache, clock, random, signal } = options;
  const log = options.log.child({ controller: name });
  const client = options.clientFor(serviceAccount);
  const events = new EventRecorder({ api: client, component: eventSource, clock, log, signal });
  return { cache, clock, random, log, signal, client, events };
}

async function cachesSynced(kinds: readonly AnyKind[], { options: { cache, signal } }: Running): Promise<boolean> {
  try {
    await Promise.all(kinds.map((kind) => cache.informer(kind).synced(signal)));
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}

function prepareReconciler(controller: ControllerDefinition<KubernetesObject>, running: Running): () => Promise<void> {
  const { reconciles, alsoWatches = [], reads = [], workers = 1, isRelevantUpdate, queueName = reconciles.singular, backoff = {} } = controller;
  const { cache, clock, signal } = running.options;
  const { client, ...rest } = surroundings(controller, running);
  const queue = new WorkQueue({ clock, ...backoff });
  const observer = running.queueMetrics.observe(queueName, queue);
  const writes = new OwnWrites(cache);
  const resource = reconciles.group === '' ? reconciles.plural : `${reconciles.group}/${reconciles.plural}`;
  const enqueue = (key: string, delayMs = 0): void => {
    observer.added(key);
    queue.addAfter(key, delayMs);
  };
  cache.informer(reconciles).addHandler({
    added: (object) => enqueue(keyOf(object)),
    deleted: (object) => enqueue(keyOf(object)),
    updated: (next, previous) => {
      if (!isRelevantUpdate || isRelevantUpdate(next, previous)) enqueue(keyOf(next));
    },
  });
  for (const source of alsoWatches) source.attach({ cache, reconciles, enqueue });
  const kinds = [anyKind(reconciles), ...alsoWatches.map(({ kind }) => kind), ...reads];
  for (const kind of kinds) cache.informer(kind);

  const work = async (key: string): Promise<number | undefined> => {
    observer.started(key);
    try {
      await ownWritesSeen(key, writes, clock, signal);
      const api = new ReconcileApi(client, writes, key, () => clock.nowMs(), signal);
      const { namespace, name } = splitKey(key);
      const seen = cache.informer(reconciles).getByKey(key)?.metadata;
      return await inSpan(tracer, 'reconcile', {
        root: true, onlyIfFollowed: true,
        attributes: {
          [attribute.controller]: controller.name, [attribute.resource]: resource, [attribute.objectName]: name, ...(namespace === '' ? {} : { [attribute.namespace]: namespace }),
          [attribute.uid]: seen?.uid, [attribute.versionRead]: seen?.resourceVersion,
        },
      }, async () => (await controller.reconcile({ namespace, name }, { ...rest, api })).retryAfterMs);
    } finally {
      observer.ended(key);
    }
  };
  return async () => {
    if (!(await cachesSynced(kinds, running))) return;
    rest.log.debug('caches are synced, starting workers');
    await runWorkers(queue, workers, work, (key, error) => {
      observer.retried();
      report(error, { key, failures: queue.failures(key) }, rest.log);
    }, signal);
  };
}

class StaleCache extends Error {
  override readonly name = 'StaleCache';
}

/** Throws StaleCache when the watch is too far behind: the key comes back with back-off. */
async function ownWritesSeen(key: string, writes: OwnWrites, clock: Clock, signal: AbortSignal): Promise<void> {
  const deadlineMs = clock.nowMs() + OWN_WRITES_PATIENCE_MS;
  while (writes.arePending(key, clock.nowMs())) {
    if (clock.nowMs() > deadlineMs) throw new StaleCache(`the cache does not show yet what was written for ${key}`);
    await clock.sleep(OWN_WRITES_POLL_MS, signal);
  }
}

function preparePeriodic(controller: PeriodicDefinition, running: Running): () => Promise<void> {
  const { cache, clock, signal } = running.options;
  const { client, ...rest } = surroundings(controller, running);
  let wake: (() => void) | undefined;
  let isWoken = false;
  for (const kind of controller.reads) cache.informer(kind);
  for (const { kind, isRelevant } of controller.wokenBy ?? []) {
    const consider = (next: KubernetesObject, previous?: KubernetesObject) => {
      if (!isRelevant(next, previous)) return;
      isWoken = true;
      wake?.();
    };
    cache.informer(kind).addHandler({ added: (object) => consider(object), updated: consider, deleted: (object) => consider(object) });
  }
  return async () => {
    if (!(await cachesSynced(controller.reads, running))) return;
    const api = new ReconcileApi(client, new OwnWrites(cache), controller.name, () => clock.nowMs(), signal);
    let failures = 0;
    while (!signal.aborted) {
      isWoken = false;
      let waitMs = controller.periodMs;
      try {
        const sooner = await inSpan(tracer, 'run', { root: true, onlyIfFollowed: true, attributes: { [attribute.controller]: controller.name } }, () => controller.run({ ...rest, api }));
        waitMs = Math.min(waitMs, sooner ?? waitMs);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        report(error, { failures: ++failures }, rest.log);
      }
      if (isWoken) continue;
      await withAbort(signal, (waking) => {
        wake = () => waking.abort();
        return clock.sleep(waitMs, waking.signal);
      }).catch(() => undefined);
      wake = undefined;
    }
  };
}

function prepareLongRunning(controller: LongRunningDefinition, running: Running): () => Promise<void> {
  const { cache, clock, signal } = running.options;
  const { client, ...rest } = surroundings(controller, running);
  for (const kind of controller.reads) cache.informer(kind);
  return async () => {
    if (!(await cachesSynced(controller.reads, running))) return;
    const api = new ReconcileApi(client, new OwnWrites(cache), controller.name, () => clock.nowMs(), signal);
    await controller.start({ ...rest, cache, api });
  };
}

/** Conflicts and outages pass by themselves; a bug must be seen. */
function report(error: unknown, fields: { key?: string; failures: number }, log: Logger): void {
  const isExpected = error instanceof StatusError || error instanceof TransportError || error instanceof StaleCache;
  if (!isExpected) log.error({ ...fields, err: error }, 'reconcile failed');
  else if (isConflict(error) || fields.failures < QUIET_FAILURES) log.debug({ ...fields, err: error }, 'reconcile failed, trying again');
  else log.warn({ ...fields, err: error }, 'reconcile keeps failing, trying again');
}
