// Deletes objects whose owners are gone. Watches every kind that can be deleted, finding new kinds as they are served.
import { Informer } from '#lib/api-client/informer.ts';
import type { ApiClient } from '#lib/api-client/client.ts';
import { runWorkers, WorkQueue } from '#lib/api-client/work-queue.ts';
import { TransportError } from '#lib/api-client/client.ts';
import { defineLongRunning, type Controller, type LongRunningContext } from '#lib/controller/define-controller.ts';
import { kindId } from '#lib/controller/shared-cache.ts';
import { daemonSetKind } from '#lib/kinds/apps/daemon-set.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { replicaSetKind } from '#lib/kinds/apps/replica-set.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { anyKind, type AnyKind, type KubernetesObject } from '#lib/kinds/define-kind.ts';
import { isConflict, StatusError } from '#lib/machinery/status-error.ts';
import { discover } from '../../edge/discovery.ts';
import { Collector, UnknownKind } from './collector.ts';
import { Graph, type GraphNode } from './graph.ts';

/** How often new kinds are looked for. Source: the garbage collector's sync period. */
const DISCOVERY_PERIOD_MS = 30_000;
/** Longest wait for all watches before work begins with those there are. */
const SYNC_PATIENCE_MS = 30_000;
/** Nothing here is urgent while a cluster comes up, and dozens of watches are a load. */
const START_DELAY_MS = 1_000;
const FIRST_LIST_PATIENCE_MS = 1_000;

export interface GarbageCollectorOptions {
  readonly workers: number;
  /** Asks for metadata only. */
  readonly metadataApi: ApiClient;
}

export const garbageCollector = ({ workers, metadataApi }: GarbageCollectorOptions): Controller => defineLongRunning({
  name: 'garbage-collector-controller',
  serviceAccount: 'generic-garbage-collector',
  // Nothing urgent: the watches of the controllers that build the cluster come first.
  reads: [anyKind(podKind), anyKind(replicaSetKind), anyKind(deploymentKind), anyKind(daemonSetKind), anyKind(nodeKind)],
  start: (context) => collectGarbage(context, metadataApi, workers),
});

async function collectGarbage(context: LongRunningContext, metadataApi: ApiClient, workers: number): Promise<void> {
  const { api, clock, events, log, signal } = context;
  await clock.sleep(START_DELAY_MS, signal).catch(() => undefined);
  const [deletions, orphanings] = [new WorkQueue({ clock }), new WorkQueue({ clock })];
  const graph = new Graph({
    attemptToDelete: (node) => deletions.add(node.identity.uid),
    attemptToOrphan: (node) => orphanings.add(node.identity.uid),
    invalidOwner: ({ identity }, { apiVersion, kind, name, uid }) => {
      const { namespace } = identity;
      events.event(identity, 'Warning', 'OwnerRefInvalidNamespace', `ownerRef [${apiVersion}/${kind}, namespace: ${namespace}, name: ${name}, uid: ${uid}] does not exist in namespace "${namespace}"`);
    },
  });
  const monitors = new Monitors(context, metadataApi, graph);
  const collector = new Collector({ graph, api, kindOf: (apiVersion, kind) => monitors.kindOf(apiVersion, kind), attemptToDelete: (node) => deletions.add(node.identity.uid) });
  const watching = monitors.run();
  await monitors.synced();
  log.debug({ objects: graph.size }, 'garbage collector has synced');

  const onNode = (work: (node: GraphNode) => Promise<void>) => async (uid: string): Promise<undefined> => {
    const node = graph.get(uid);
    if (node) await work(node);
  };
  const onError = (uid: string, error: unknown): void => {
    const fields = { ...graph.get(uid)?.identity, err: error };
    const isExpected = error instanceof StatusError || error instanceof TransportError || error instanceof UnknownKind;
    if (isExpected) log[isConflict(error) || error instanceof UnknownKind ? 'debug' : 'warn'](fields, 'cannot collect object, trying again');
    else log.error(fields, 'cannot collect object');
  };
  await Promise.all([
    watching,
    runWorkers(deletions, workers, onNode((node) => collector.attemptToDelete(node)), onError, signal),
    runWorkers(orphanings, workers, onNode((node) => collector.attemptToOrphan(node)), onError, signal),
  ]);
}

/** One watch per kind: the shared informer where there is one, else one of metadata only. */
class Monitors {
  readonly #context: LongRunningContext;
  readonly #metadataApi: ApiClient;
  readonly #graph: Graph;
  /** `apiVersion/Kind` of everything served, whether watched or not. */
  #served = new Map<string, AnyKind>();
  readonly #watched = new Map<string, { informer: Informer<KubernetesObject>; stop: AbortController | undefined }>();
  readonly #running = new Set<Promise<void>>();
  #hasDiscovered: () => void = () => undefined;
  readonly #discovered = new Promise<void>((resolve) => (this.#hasDiscovered = resolve));

  constructor(context: LongRunningContext, metadataApi: ApiClient, graph: Graph) {
    this.#context = context;
    this.#metadataApi = metadataApi;
    this.#graph = graph;
  }

  kindOf(apiVersion: string, kind: string): AnyKind | undefined {
    const exact = this.#served.get(`${apiVersion}/${kind}`);
    if (exact) return exact;
    // A reference may name another version of the group than the preferred one.
    const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
    return [...this.#served.values()].find((one) => one.group === group && one.kind === kind);
  }

  /** Resolves when every watch has its first list, or after a while with those that have. */
  async synced(): Promise<void> {
    const { clock, signal } = this.#context;
    await Promise.race([this.#discovered.then(() => Promise.all([...this.#watched.values()].map(({ informer }) => informer.synced(signal)))), clock.sleep(SYNC_PATIENCE_MS, signal)]).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }

  async run(): Promise<void> {
    const { clock, log, signal } = this.#context;
    let retryMs = 100;
    while (!signal.aborted) {
      let waitMs = DISCOVERY_PERIOD_MS;
      try {
        await this.#resync();
        this.#hasDiscovered();
      } catch (error) {
        if (signal.aborted) break;
        if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
        log.debug({ err: error }, 'discovery failed, trying again');
        waitMs = retryMs = Math.min(retryMs * 2, DISCOVERY_PERIOD_MS);
      }
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
    await Promise.all(this.#running);
  }

  async #resync(): Promise<void> {
    const { api, log } = this.#context;
    const { kinds, failed } = await discover((method, path) => api.request(method, path));
    for (const [version, reason] of failed) log.warn({ version, reason }, 'cannot discover resources');
    const isFailed = ({ apiVersion }: AnyKind) => failed.has(apiVersion);
    const kept = [...this.#served.values()].filter(isFailed);
    this.#served = new Map([...kept, ...kinds].map((kind) => [`${kind.apiVersion}/${kind.kind}`, kind]));
    const wanted = new Map([...kept, ...kinds].filter(isCollectable).map((kind) => [kindId(kind), kind]));
    for (const [id, { stop }] of this.#watched) {
      if (wanted.has(id)) continue;
      stop?.abort(new Error(`${id} is no longer served`));
      this.#watched.delete(id);
    }
    for (const [id, kind] of wanted) if (!this.#watched.has(id)) await this.#watch(id, kind);
  }

  /** Resolves when the watch has its first list, or after a moment: one by one they get in nobody's way. */
  async #watch(id: string, kind: AnyKind): Promise<void> {
    const { cache, clock, random, log, signal } = this.#context;
    const shared = cache.has(kind);
    const stop = shared ? undefined : new AbortController();
    const informer = shared ? cache.informer(kind) : new Informer<KubernetesObject>({ api: this.#metadataApi, kind, transform: (object) => slim(object, kind), clock, random, log });
    informer.addHandler({
      added: (object) => this.#graph.observe(object),
      updated: (object) => this.#graph.observe(object),
      deleted: (object) => this.#graph.remove(object.metadata.uid ?? ''),
    });
    this.#watched.set(id, { informer, stop });
    if (!stop) return;
    const running = informer.run(AbortSignal.any([signal, stop.signal])).finally(() => this.#running.delete(running));
    this.#running.add(running);
    const patience = new AbortController();
    const limit = AbortSignal.any([signal, patience.signal]);
    await Promise.race([informer.synced(limit).catch(() => undefined), clock.sleep(FIRST_LIST_PATIENCE_MS, limit).catch(() => undefined)]);
    patience.abort();
  }
}

/** Events come and go by themselves, and nothing depends on them. */
const isCollectable = ({ kind, verbs }: AnyKind): boolean => kind !== 'Event' && (['list', 'watch', 'delete'] as const).every((verb) => verbs.includes(verb));

/** What the graph needs; a server that sends whole objects costs traffic but no memory. */
function slim({ metadata: { uid, namespace, name, resourceVersion, deletionTimestamp, finalizers, ownerReferences } }: KubernetesObject, { apiVersion, kind }: AnyKind): KubernetesObject {
  return { apiVersion, kind, metadata: { uid, namespace, name, resourceVersion, deletionTimestamp, finalizers, ownerReferences } };
}
