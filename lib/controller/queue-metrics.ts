// The workqueue_* metrics of client-go, by queue name.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { WorkQueue } from '#lib/api-client/work-queue.ts';
import type { Clock } from '#lib/environment/clock.ts';

const SECONDS_BUCKETS = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000];

interface Observed {
  readonly queue: WorkQueue;
  readonly addedMs: Map<string, number>;
  readonly startedMs: Map<string, number>;
}

export interface QueueObserver {
  added(key: string): void;
  started(key: string): void;
  ended(key: string): void;
  retried(): void;
}

export class QueueMetrics {
  readonly #clock: Clock;
  readonly #observed = new Map<string, Observed>();
  readonly #adds: Counter<'name'>;
  readonly #retries: Counter<'name'>;
  readonly #waited: Histogram<'name'>;
  readonly #worked: Histogram<'name'>;

  constructor(registry: Registry, clock: Clock) {
    this.#clock = clock;
    const common = { registers: [registry], labelNames: ['name'] as const };
    const observed = this.#observed;
    const ages = (name: string): number[] => [...(observed.get(name)?.startedMs.values() ?? [])].map((startedMs) => (clock.nowMs() - startedMs) / 1000);
    const gauge = (name: string, help: string, value: (queue: string, observed: Observed) => number): Gauge<'name'> =>
      new Gauge({ ...common, name, help, collect() { for (const [queue, one] of observed) this.set({ name: queue }, value(queue, one)); } });
    gauge('workqueue_depth', 'Current depth of workqueue', (_, { queue }) => queue.length);
    gauge('workqueue_unfinished_work_seconds', 'How many seconds of work has been done that is in progress and hasn\'t been observed by work_duration.', (queue) => ages(queue).reduce((sum, age) => sum + age, 0));
    gauge('workqueue_longest_running_processor_seconds', 'How many seconds has the longest running processor for workqueue been running.', (queue) => Math.max(0, ...ages(queue)));
    this.#adds = new Counter({ ...common, name: 'workqueue_adds_total', help: 'Total number of adds handled by workqueue' });
    this.#retries = new Counter({ ...common, name: 'workqueue_retries_total', help: 'Total number of retries handled by workqueue' });
    this.#waited = new Histogram({ ...common, name: 'workqueue_queue_duration_seconds', help: 'How long in seconds an item stays in workqueue before being requested.', buckets: SECONDS_BUCKETS });
    this.#worked = new Histogram({ ...common, name: 'workqueue_work_duration_seconds', help: 'How long in seconds processing an item from workqueue takes.', buckets: SECONDS_BUCKETS });
  }

  observe(name: string, queue: WorkQueue): QueueObserver {
    const addedMs = new Map<string, number>();
    const startedMs = new Map<string, number>();
    this.#observed.set(name, { queue, addedMs, startedMs });
    this.#adds.inc({ name }, 0);
    this.#retries.inc({ name }, 0);
    return {
      added: (key) => {
        if (addedMs.has(key)) return;
        addedMs.set(key, this.#clock.nowMs());
        this.#adds.inc({ name });
      },
      started: (key) => {
        const nowMs = this.#clock.nowMs();
        const sinceMs = addedMs.get(key);
        addedMs.delete(key);
        startedMs.set(key, nowMs);
        if (sinceMs !== undefined) this.#waited.observe({ name }, (nowMs - sinceMs) / 1000);
      },
      ended: (key) => {
        const sinceMs = startedMs.get(key);
        startedMs.delete(key);
        if (sinceMs !== undefined) this.#worked.observe({ name }, (this.#clock.nowMs() - sinceMs) / 1000);
      },
      retried: () => this.#retries.inc({ name }),
    };
  }
}
