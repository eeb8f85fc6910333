// When the change happened that a new endpoint answers: exported as an annotation, so that others can measure how long
// programming a Service took. Source: endpointslice/trigger_time_tracker.go.
import type { Pod, Service } from '#lib/kinds/types/core-v1.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { podCondition } from './pod-state.ts';

interface Seen {
  readonly podTimesMs: ReadonlyMap<string, number>;
  readonly serviceMs: number;
}

export class TriggerTimes {
  readonly #seen = new Map<string, Seen>();

  /** The earliest change since the last call for this Service; undefined when nothing changed. */
  next(key: string, service: Readonly<Service>, pods: readonly Readonly<Pod>[]): number | undefined {
    const podTimesMs = new Map<string, number>();
    for (const pod of pods) {
      const changedMs = parseTimeOrUndefined(podCondition(pod, 'Ready')?.lastTransitionTime ?? '');
      if (changedMs !== undefined) podTimesMs.set(pod.metadata.name, changedMs);
    }
    const serviceMs = parseTimeOrUndefined(service.metadata.creationTimestamp ?? '') ?? 0;
    const before = this.#seen.get(key);
    this.#seen.set(key, { podTimesMs, serviceMs });
    const changes: number[] = [];
    for (const [name, changedMs] of podTimesMs) if (changedMs > (before?.podTimesMs.get(name) ?? 0)) changes.push(changedMs);
    if (!before || before.serviceMs !== serviceMs) changes.push(serviceMs);
    return changes.length === 0 ? undefined : Math.min(...changes);
  }

  forget(key: string): void {
    this.#seen.delete(key);
  }
}
