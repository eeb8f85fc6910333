// Watches over nodes: marks silent ones Unknown, taints by condition, and tells the world that their pods are not ready.
import { steadily } from '#lib/environment/clock.ts';
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { defineController, definePeriodic, done, index, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { leaseKind } from '#lib/kinds/coordination/lease.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import type { Node } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { isConflict, isNotFound } from '#lib/machinery/status-error.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { isReady } from '../../core/pod-state.ts';
import { conditionsOfLostNode, observeHealth, readyCondition, type GracePeriods, type NodeHealth } from './health.ts';
import { isEvicting, labelsToAdd, noExecuteTaints, noScheduleTaints, type Reach } from './taints.ts';
import { EvictionQueues, type ZoneSettings } from './zones.ts';

export interface NodeLifecycleSettings extends GracePeriods, ZoneSettings {
  readonly monitorPeriodMs: number;
}

const NAME = 'node-lifecycle-controller';
const LEASE_NAMESPACE = 'kube-node-lease';
export const PODS_BY_NODE = 'node-name';
export const podsByNodeIndex = index(podKind, PODS_BY_NODE, ({ spec }) => (spec.nodeName ? [spec.nodeName] : []));

const common = { name: NAME, serviceAccount: 'node-controller', eventSource: 'node-controller' } as const;
const conditionStates = ({ status }: Node): unknown => (status?.conditions ?? []).map(({ type, status: state }) => [type, state]);

/** NoSchedule taints and labels follow each node at once. */
const nodeReconciler = (): Controller => defineController({
  ...common,
  queueName: 'node_lifecycle_controller',
  reconciles: nodeKind,
  isRelevantUpdate: (next, previous) => !semanticEqual(next.spec, previous.spec) || !semanticEqual(next.metadata.labels, previous.metadata.labels) || !semanticEqual(conditionStates(next), conditionStates(previous)),
  workers: 4,
  async reconcile({ name }, { cache, api, clock }) {
    const node = cache.get(nodeKind, undefined, name);
    if (!node || node.metadata.deletionTimestamp !== undefined) return done;
    const taints = noScheduleTaints(node, clock.nowMs());
    const labels = labelsToAdd(node);
    if (!taints && !labels) return done;
    await api.patch(nodeKind, undefined, name, {
      metadata: { ...(taints ? { resourceVersion: node.metadata.resourceVersion } : {}), ...(labels ? { labels } : {}) },
      ...(taints ? { spec: { taints } } : {}),
    }).catch(ignoreGone);
    return done;
  },
});

function ignoreGone(error: unknown): undefined {
  if (isNotFound(error)) return undefined;
  throw error;
}

export function nodeLifecycleControllers(settings: NodeLifecycleSettings): Controller[] {
  const monitor = new NodeMonitor(settings);
  return [nodeReconciler(), definePeriodic({
    ...common,
    reads: [anyKind(nodeKind), anyKind(podKind), anyKind(leaseKind)],
    indexes: [podsByNodeIndex],
    periodMs: settings.monitorPeriodMs,
    // A node that comes back is welcome at once; everything else can wait for the next round.
    wokenBy: [{
      kind: anyKind(nodeKind),
      isRelevant: (next, previous) => previous === undefined || readyCondition(next as Node)?.status !== readyCondition(previous as Node)?.status,
    }],
    run: (context) => monitor.run(context),
  })];
}

class NodeMonitor {
  readonly #settings: NodeLifecycleSettings;
  readonly #queues: EvictionQueues;
  readonly #health = new Map<string, NodeHealth>();
  readonly #known = new Map<string, Readonly<Node>>();

  constructor(settings: NodeLifecycleSettings) {
    this.#settings = settings;
    this.#queues = new EvictionQueues(settings);
  }

  /** One round over all nodes; resolves with the time until a waiting node's turn. */
  async run(context: ReconcileContext): Promise<number | undefined> {
    const { cache, clock, log } = context;
    const nodes = cache.list(nodeKind);
    this.#register(nodes, context);
    const seen: { node: Readonly<Node>; isReady: boolean }[] = [];
    const errors: unknown[] = [];
    for (const node of nodes) {
      try {
        const status = await this.#lookAt(node, context);
        if (status !== undefined) seen.push({ node, isReady: status === 'True' });
      } catch (error) {
        errors.push(error); // the others must not go unwatched
      }
    }
    const { isAllDisrupted, hasJustRecovered } = this.#queues.assess(seen, steadily(clock).nowMs());
    if (hasJustRecovered) {
      log.info('nodes are back after all were silent, starting grace periods anew');
      for (const [name, health] of this.#health) this.#health.set(name, { ...health, probeMs: steadily(clock).nowMs() });
    }
    if (isAllDisrupted) for (const { node } of seen) await this.#taint(node, 'reachable', context);
    for (const name of this.#queues.take(steadily(clock).nowMs())) {
      const node = cache.get(nodeKind, undefined, name);
      if (node) await this.#taint(node, reachOf(readyCondition(node)?.status), context);
    }
    if (errors.length > 0) throw errors[0];
    return this.#queues.nextTurnMs();
  }

  #register(nodes: readonly Readonly<Node>[], { events }: ReconcileContext): void {
    const present = new Set(nodes.map(({ metadata }) => metadata.name));
    for (const node of nodes) {
      const { name } = node.metadata;
      if (this.#known.has(name)) continue;
      this.#known.set(name, node);
      events.event(referenceTo(node), 'Normal', 'RegisteredNode', `Node ${name} event: Registered Node ${name} in Controller`);
    }
    for (const [name, node] of this.#known) {
      if (present.has(name)) continue;
      this.#known.delete(name);
      this.#health.delete(name);
      this.#queues.remove(node);
      events.event(referenceTo(node), 'Normal', 'RemovingNode', `Node ${name} event: Removing Node ${name} from Controller`);
    }
  }

  /** Resolves with the Ready status after this look; undefined while the node has never reported. */
  async #lookAt(node: Readonly<Node>, context: ReconcileContext): Promise<string | undefined> {
    const { cache, api, events, clock } = context;
    const { name } = node.metadata;
    const nowMs = steadily(clock).nowMs();
    const health = observeHealth(node, cache.get(leaseKind, LEASE_NAMESPACE, name), this.#health.get(name), nowMs);
    this.#health.set(name, health);
    const before = readyCondition(node)?.status;
    let after = before;
    const conditions = conditionsOfLostNode(node, health, this.#settings, { nowMs, lostMs: clock.nowMs() });
    if (conditions) {
      const written = await api.updateStatus(nodeKind, { ...node, status: { ...node.status, conditions } }).catch((error: unknown) => {
        if (isConflict(error) || isNotFound(error)) return undefined; // it has just reported, or is gone
        throw error;
      });
      if (!written) return before;
      after = readyCondition(written)?.status;
    }
    if (after === undefined) return undefined;
    if (after === 'True') {
      this.#queues.remove(node);
      await this.#taint(node, 'reachable', context);
      return after;
    }
    if (isEvicting(node)) await this.#taint(node, reachOf(after), context); // only the kind of taint may have to change
    else this.#queues.add(node, nowMs);
    if (before === 'True') events.event(referenceTo(node), 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
    // A node that still talks speaks for its own pods; a silent one cannot.
    if (after === 'Unknown') await this.#markPodsNotReady(name, context);
    return after;
  }

  async #taint(node: Readonly<Node>, reach: Reach, { api, clock, cache }: ReconcileContext): Promise<void> {
    const current = cache.get(nodeKind, undefined, node.metadata.name) ?? node;
    const taints = noExecuteTaints(current, reach, clock.nowMs());
    if (!taints) return;
    await api.patch(nodeKind, undefined, node.metadata.name, { metadata: { resourceVersion: current.metadata.resourceVersion }, spec: { taints } }).catch((error: unknown) => {
      if (isNotFound(error)) return;
      // Its turn is not lost: the next round finds it without the taint and queues it again.
      if (!isConflict(error)) throw error;
    });
  }

  async #markPodsNotReady(nodeName: string, { cache, api, events, clock }: ReconcileContext): Promise<void> {
    for (const pod of cache.byIndex(podKind, PODS_BY_NODE, nodeName)) {
      if (!isReady(pod)) continue;
      const { namespace, name, uid } = pod.metadata;
      const condition = { type: 'Ready', status: 'False', lastTransitionTime: formatTime(clock.nowMs()) };
      await api.patch(podKind, namespace, name, { metadata: { uid }, status: { conditions: [condition] } }, { type: 'strategic', subresource: 'status' })
        .then(() => events.event(referenceTo(pod), 'Warning', 'NodeNotReady', 'Node is not ready'), ignoreGone);
    }
  }
}

const reachOf = (ready: string | undefined): Reach => (ready === 'True' ? 'reachable' : ready === 'False' ? 'not-ready' : 'unreachable');
