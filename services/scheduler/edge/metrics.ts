// Metrics under upstream's names. Source: pkg/scheduler/metrics.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { SchedulingQueue } from '../core/scheduling-queue.ts';

export interface SchedulerMetrics {
  readonly attempted: (result: 'scheduled' | 'unschedulable' | 'error', seconds: number) => void;
  readonly preempted: (victims: number) => void;
}

export function schedulerMetrics(registry: Registry, queue: SchedulingQueue): SchedulerMetrics {
  const registers = [registry];
  const attempts = new Counter({ name: 'scheduler_schedule_attempts_total', help: 'Number of attempts to schedule pods, by the result.', labelNames: ['result', 'profile'], registers });
  const latency = new Histogram({
    name: 'scheduler_scheduling_attempt_duration_seconds', help: 'Scheduling attempt latency in seconds (scheduling algorithm + binding)', labelNames: ['result', 'profile'],
    buckets: Array.from({ length: 15 }, (_, exponent) => 0.001 * 2 ** exponent), registers,
  });
  const victims = new Counter({ name: 'scheduler_preemption_attempts_total', help: 'Total preemption attempts in the cluster till now', registers });
  new Gauge({
    name: 'scheduler_pending_pods', help: 'Number of pending pods, by the queue type.', labelNames: ['queue'], registers,
    collect() {
      const { active, backoff, unschedulable, gated } = queue.counts();
      for (const [name, count] of Object.entries({ active, backoff, unschedulable, gated })) this.set({ queue: name }, count);
    },
  });
  const profile = 'default-scheduler';
  return {
    attempted: (result, seconds) => {
      attempts.inc({ result, profile });
      latency.observe({ result, profile }, seconds);
    },
    preempted: () => victims.inc(),
  };
}
