// Follows what the cluster says of itself during a drill: nodes, pods, leaders, events, and whether the API server answers at all.
import { systemClock } from '#lib/environment/clock.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { leaseKind } from '#lib/kinds/coordination/lease.ts';
import { eventKind } from '#lib/kinds/core/event.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { leaseState, nodeState, podState, seenEvent, type State } from '../core/changes.ts';
import { short } from '../core/rules.ts';
import type { Timeline } from '../core/timeline.ts';
import type { DrillApi } from './drill-api.ts';

const RETRY_MS = 300;
const LEADERS = new Set(['kube-controller-manager', 'kube-scheduler']);

interface Followed<T extends KubernetesObject> {
  readonly kind: Kind<T>;
  readonly namespace?: string;
  readonly seen: (object: T, isInitial: boolean) => void;
  readonly gone?: (object: T) => void;
}

/** Resolves when the signal has aborted and nothing is followed any more. */
export async function followCluster(api: DrillApi, timeline: Timeline, signal: AbortSignal): Promise<void> {
  const startMs = systemClock.nowMs();
  const change = (kind: 'node' | 'pod' | 'lease', lane: string, { state, text, tone }: State, isInitial: boolean): void => timeline.change({ kind, lane, state, text, tone, isInitial });
  const pods = (namespace: string): Followed<Parameters<typeof podState>[0]> => ({
    kind: podKind, namespace,
    seen: (pod, isInitial) => change('pod', `pod/${pod.metadata.name}`, podState(pod), isInitial),
    gone: (pod) => change('pod', `pod/${pod.metadata.name}`, { state: 'gone', text: 'is gone', tone: 'plain' }, false),
  });
  const counts = new Map<string, number>();
  const events = (namespace: string): Followed<Parameters<typeof seenEvent>[0]> => ({
    kind: eventKind, namespace,
    seen: (event, isInitial) => {
      const { reason, object, message, type, from, count, lastMs } = seenEvent(event);
      const isNew = (counts.get(event.metadata.uid ?? '') ?? 0) < count;
      counts.set(event.metadata.uid ?? '', count);
      if (!isNew || (isInitial && lastMs < startMs)) return;
      timeline.add({ kind: 'event', lane: object, text: short(`${reason}: ${message}${count > 1 ? ` (x${count})` : ''} [${from}]`), tone: type === 'Warning' ? 'bad' : 'plain' });
    },
  });
  const health = new ApiHealth(timeline);
  await Promise.all([
    follow({ kind: nodeKind, seen: (node, isInitial) => change('node', `node/${node.metadata.name}`, nodeState(node), isInitial) }, api, health, signal),
    follow(pods(api.namespace), api, health, signal),
    follow(pods('kube-system'), api, health, signal),
    follow({ kind: leaseKind, namespace: 'kube-system', seen: (lease, isInitial) => {
      if (LEADERS.has(lease.metadata.name)) change('lease', `lease/${lease.metadata.name}`, leaseState(lease), isInitial);
    } }, api, health, signal),
    ...['default', 'kube-system', api.namespace].map((namespace) => follow(events(namespace), api, health, signal)),
  ]);
}

/** One voice for all that ask. */
class ApiHealth {
  readonly #timeline: Timeline;
  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }
  answers(isInitial: boolean): void {
    this.#timeline.change({ kind: 'api', lane: 'API server', state: 'answers', text: 'answers', tone: 'good', isInitial });
  }
  isSilent(problem: string): void {
    this.#timeline.change({ kind: 'api', lane: 'API server', state: 'does not answer', text: `does not answer (${short(problem)})`, tone: 'bad' });
  }
}

async function follow<T extends KubernetesObject>({ kind, namespace, seen, gone }: Followed<T>, api: DrillApi, health: ApiHealth, signal: AbortSignal): Promise<void> {
  const known = new Map<string, T>();
  let isInitial = true;
  while (!signal.aborted) {
    try {
      const { items, resourceVersion } = await api.client.list(kind, { namespace }, api.deadline);
      health.answers(isInitial);
      const there = new Set(items.map(({ metadata }) => metadata.uid ?? ''));
      for (const [uid, object] of known) {
        if (there.has(uid)) continue;
        known.delete(uid);
        gone?.(object);
      }
      for (const object of items) {
        known.set(object.metadata.uid ?? '', object);
        seen(object, isInitial);
      }
      isInitial = false;
      for await (const { type, object } of api.client.watch(kind, { namespace, resourceVersion, signal })) {
        if (type === 'BOOKMARK') continue;
        if (type === 'DELETED') {
          known.delete(object.metadata.uid ?? '');
          gone?.(object);
        } else {
          known.set(object.metadata.uid ?? '', object);
          seen(object, false);
        }
      }
    } catch (error) {
      // Whatever it is, asking again is the answer: a cluster that is being broken says no in many ways.
      if (!signal.aborted) health.isSilent(error instanceof Error ? error.message : String(error));
    }
    await systemClock.sleep(RETRY_MS, signal).catch(() => undefined);
  }
}
