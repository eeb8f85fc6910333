// Pods that wait for a node: ready to be tried, waiting out a back-off, or waiting for a change in the cluster that may
// help. Source: pkg/scheduler/backend/queue, Kubernetes 1.36.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { ClusterEvent } from './framework.ts';

interface QueuedPod {
  pod: Pod;
  /** When it was queued last: the order within one priority. Milliseconds. */
  queuedMs: number;
  attempts: number;
  /** Plugins that rejected it last; empty after an error. */
  rejectedBy: ReadonlySet<string>;
  place: 'active' | 'backoff' | 'unschedulable' | 'gated' | 'in-flight';
  dueMs: number;
  /** Events that came while it was being tried. */
  missedEvents: ClusterEvent[];
}

export interface SchedulingQueueOptions {
  /** By plugin name: the events after which a pod that it rejected is worth another try. */
  readonly retryOn: ReadonlyMap<string, readonly ClusterEvent[]>;
  /** First and longest back-off of a pod that could not be placed; milliseconds. */
  readonly backoffFirstMs: number;
  readonly backoffLongestMs: number;
  /** A pod is tried again after this time whatever happened; milliseconds. */
  readonly unschedulableLongestMs: number;
}

export function priorityOf(pod: Pod): number {
  return pod.spec.priority ?? 0;
}

export class SchedulingQueue {
  readonly #pods = new Map<string, QueuedPod>();
  readonly #options: SchedulingQueueOptions;

  constructor(options: SchedulingQueueOptions) {
    this.#options = options;
  }

  counts(): Readonly<Record<QueuedPod['place'], number>> {
    const counts = { active: 0, backoff: 0, unschedulable: 0, gated: 0, 'in-flight': 0 };
    for (const { place } of this.#pods.values()) counts[place] += 1;
    return counts;
  }

  /** A pod without a node was seen, or seen again with changes of its own. */
  put(pod: Pod, nowMs: number): void {
    const uid = pod.metadata.uid ?? '';
    const known = this.#pods.get(uid);
    const isGated = (pod.spec.schedulingGates ?? []).length > 0;
    if (!known) {
      this.#pods.set(uid, { pod, queuedMs: nowMs, attempts: 0, rejectedBy: new Set(), place: isGated ? 'gated' : 'active', dueMs: 0, missedEvents: [] });
      return;
    }
    const isChanged = JSON.stringify([known.pod.spec, known.pod.metadata.labels]) !== JSON.stringify([pod.spec, pod.metadata.labels]);
    known.pod = pod;
    if (known.place === 'gated' && !isGated) this.#activate(known, nowMs);
    else if (isChanged && known.place === 'unschedulable') this.#wake(known, nowMs);
    else if (isChanged && known.place === 'in-flight') known.missedEvents.push('Pod/Update');
  }
  remove(pod: Pod): void {
    this.#pods.delete(pod.metadata.uid ?? '');
  }

  /** Of a pod that is being tried: how often by now, and how long since it was queued. */
  waitOf(pod: Pod, nowMs: number): { attempts: number; waitedMs: number } | undefined {
    const queued = this.#pods.get(pod.metadata.uid ?? '');
    return queued && { attempts: queued.attempts, waitedMs: nowMs - queued.queuedMs };
  }

  /** The pod to try next: highest priority, then longest waiting. */
  pop(nowMs: number): Pod | undefined {
    this.#flush(nowMs);
    let best: QueuedPod | undefined;
    for (const queued of this.#pods.values()) {
      if (queued.place !== 'active') continue;
      if (!best || priorityOf(queued.pod) > priorityOf(best.pod) || (priorityOf(queued.pod) === priorityOf(best.pod) && queued.queuedMs < best.queuedMs)) best = queued;
    }
    if (!best) return undefined;
    best.place = 'in-flight';
    best.attempts += 1;
    best.missedEvents = [];
    return best.pod;
  }

  /** The pod was bound. */
  done(pod: Pod): void {
    this.remove(pod);
  }

  /** No node took it; it waits for an event that may help one of the plugins that rejected it. */
  putUnschedulable(pod: Pod, rejectedBy: ReadonlySet<string>, nowMs: number): void {
    const queued = this.#pods.get(pod.metadata.uid ?? '');
    if (!queued) return; // deleted meanwhile
    Object.assign(queued, { rejectedBy, queuedMs: nowMs, place: 'unschedulable', dueMs: nowMs + this.#backoffMs(queued.attempts) });
    if (queued.missedEvents.some((event) => this.#helps(queued, event))) this.#wake(queued, nowMs);
  }
  /** The attempt itself failed; it is tried again after its back-off. */
  putError(pod: Pod, nowMs: number): void {
    const queued = this.#pods.get(pod.metadata.uid ?? '');
    if (queued) Object.assign(queued, { rejectedBy: new Set(), queuedMs: nowMs, place: 'backoff', dueMs: nowMs + this.#backoffMs(queued.attempts) });
  }

  /** Something changed in the cluster; `concerns` says which pods it can be of use to. */
  notify(event: ClusterEvent, nowMs: number, concerns?: (pod: Pod) => boolean): void {
    for (const queued of this.#pods.values()) {
      if (concerns && !concerns(queued.pod)) continue;
      if (queued.place === 'in-flight') {
        if (!queued.missedEvents.includes(event)) queued.missedEvents.push(event);
      } else if (queued.place === 'unschedulable' && this.#helps(queued, event)) this.#wake(queued, nowMs);
    }
  }

  /** Milliseconds until a waiting pod becomes ready by time alone; undefined when none waits. */
  nextDueMs(nowMs: number): number | undefined {
    let due = Infinity;
    for (const { place, dueMs, queuedMs } of this.#pods.values()) {
      if (place === 'backoff') due = Math.min(due, dueMs);
      else if (place === 'unschedulable') due = Math.min(due, queuedMs + this.#options.unschedulableLongestMs);
    }
    return due === Infinity ? undefined : Math.max(0, due - nowMs);
  }

  #helps({ rejectedBy }: QueuedPod, event: ClusterEvent): boolean {
    if (rejectedBy.size === 0) return true;
    return [...rejectedBy].some((plugin) => this.#options.retryOn.get(plugin)?.includes(event) ?? false);
  }
  #backoffMs(attempts: number): number {
    return Math.min(this.#options.backoffFirstMs * 2 ** Math.max(0, attempts - 1), this.#options.backoffLongestMs);
  }
  #wake(queued: QueuedPod, nowMs: number): void {
    if (queued.dueMs <= nowMs) this.#activate(queued, nowMs);
    else queued.place = 'backoff';
  }
  #activate(queued: QueuedPod, nowMs: number): void {
    queued.place = 'active';
    queued.queuedMs = nowMs;
  }
  #flush(nowMs: number): void {
    for (const queued of this.#pods.values()) {
      if (queued.place === 'backoff' && queued.dueMs <= nowMs) queued.place = 'active';
      else if (queued.place === 'unschedulable' && queued.queuedMs + this.#options.unschedulableLongestMs <= nowMs) this.#wake(queued, nowMs);
    }
  }
}
