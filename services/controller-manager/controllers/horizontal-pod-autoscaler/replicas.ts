// How many replicas a metric asks for. Source: pkg/controller/podautoscaler/replica_calculator.go.
import type { HPAScalingRules } from '#lib/kinds/types/autoscaling-v2.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { milliValue, parseQuantity } from '#lib/machinery/quantity.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { isReady, isTerminating, podCondition } from '../../core/pod-state.ts';

/** One pod's value of a metric, in thousandths. */
export interface PodMetric {
  readonly milli: number;
  readonly timeMs: number;
  readonly windowMs: number;
}

export interface Tolerances {
  readonly up: number;
  readonly down: number;
}

export interface CalculatorSettings {
  readonly cpuInitializationMs: number;
  readonly initialReadinessDelayMs: number;
  readonly tolerances: Tolerances;
}

/** Why no number could be found; part of events and conditions. */
export class MetricError extends Error {
  override readonly name = 'MetricError';
}

export interface Proposal {
  readonly replicas: number;
  /** Percent of what the pods request. */
  readonly utilization?: number;
  /** Average per pod, or the whole of an object's or external metric. */
  readonly milli: number;
}

/** Rules give it as a quantity: `50m` is 0.05. */
export const toleranceOf = (rules: HPAScalingRules | undefined, unset: number): number => (rules?.tolerance === undefined ? unset : Number(parseQuantity(rules.tolerance).nanos) / 1e9);

const isWithin = (ratio: number, { up, down }: Tolerances): boolean => ratio >= 1 - down && ratio <= 1 + up;

interface Groups {
  readonly readyCount: number;
  readonly unready: ReadonlySet<string>;
  readonly missing: ReadonlySet<string>;
  readonly ignored: ReadonlySet<string>;
}

function isUnready(pod: Readonly<Pod>, metric: PodMetric, { cpuInitializationMs, initialReadinessDelayMs }: CalculatorSettings, nowMs: number): boolean {
  const ready = podCondition(pod, 'Ready');
  const startMs = parseTimeOrUndefined(pod.status?.startTime ?? '');
  if (!ready || startMs === undefined) return true;
  const changedMs = parseTimeOrUndefined(ready.lastTransitionTime ?? '') ?? 0;
  // While it starts, a sample counts only when it was wholly taken in the present state.
  if (startMs + cpuInitializationMs > nowMs) return ready.status === 'False' || metric.timeMs < changedMs + metric.windowMs;
  return ready.status === 'False' && startMs + initialReadinessDelayMs > changedMs;
}

function grouped(pods: readonly Readonly<Pod>[], metrics: ReadonlyMap<string, PodMetric>, resource: string, settings: CalculatorSettings, nowMs: number): Groups {
  const [unready, missing, ignored] = [new Set<string>(), new Set<string>(), new Set<string>()];
  let readyCount = 0;
  for (const pod of pods) {
    const { name } = pod.metadata;
    const metric = metrics.get(name);
    if (isTerminating(pod) || pod.status?.phase === 'Failed') ignored.add(name);
    else if (pod.status?.phase === 'Pending') unready.add(name);
    else if (!metric) missing.add(name);
    else if (resource === 'cpu' && isUnready(pod, metric, settings, nowMs)) unready.add(name);
    else readyCount += 1;
  }
  return { readyCount, unready, missing, ignored };
}

/** What the pods request of a resource, by pod; of one container only when it is named. */
function requestsOf(pods: readonly Readonly<Pod>[], resource: string, container: string | undefined): Map<string, number> {
  const requests = new Map<string, number>();
  for (const { metadata: { name }, spec } of pods) {
    const whole = container === undefined ? spec.resources?.requests?.[resource] : undefined;
    if (whole !== undefined) {
      requests.set(name, milliValue(whole));
      continue;
    }
    const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
    let sum = 0;
    for (const one of [...spec.containers, ...sidecars]) {
      if (container !== undefined && one.name !== container) continue;
      const request = one.resources?.requests?.[resource];
      if (request === undefined) throw new MetricError(`missing request for ${resource} in container ${one.name} of Pod ${name}`);
      sum += milliValue(request);
    }
    requests.set(name, sum);
  }
  return requests;
}

interface PodsOptions {
  readonly pods: readonly Readonly<Pod>[];
  readonly metrics: ReadonlyMap<string, PodMetric>;
  readonly currentReplicas: number;
  readonly settings: CalculatorSettings;
  readonly nowMs: number;
}

interface Measure {
  readonly ratio: number;
  readonly utilization?: number;
  readonly milli: number;
}

/** `measure`: the ratio of usage to target over these values; `assumed`: what a pod without a sample uses when all use too little. */
function fromPods({ pods, metrics, currentReplicas, settings, nowMs }: PodsOptions, resource: string, measure: (values: ReadonlyMap<string, number>) => Measure, assumed: (pod: string) => number): Proposal {
  const { readyCount, unready, missing, ignored } = grouped(pods, metrics, resource, settings, nowMs);
  const values = new Map<string, number>();
  for (const [name, { milli }] of metrics) if (!ignored.has(name) && !unready.has(name)) values.set(name, milli);
  if (values.size === 0) throw new MetricError('did not receive metrics for targeted pods (pods might be unready)');
  const { ratio, ...seen } = measure(values);
  const scalesUpWithUnready = unready.size > 0 && ratio > 1;
  if (!scalesUpWithUnready && missing.size === 0) {
    return { ...seen, replicas: isWithin(ratio, settings.tolerances) ? currentReplicas : Math.ceil(ratio * readyCount) };
  }
  // Who gives no sample is taken to speak against the change.
  for (const name of missing) {
    if (ratio < 1) values.set(name, assumed(name));
    else if (ratio > 1) values.set(name, 0);
  }
  if (scalesUpWithUnready) for (const name of unready) values.set(name, 0);
  const { ratio: cautious } = measure(values);
  const stay = { ...seen, replicas: currentReplicas };
  if (isWithin(cautious, settings.tolerances) || (ratio < 1 && cautious > 1) || (ratio > 1 && cautious < 1)) return stay;
  const replicas = Math.ceil(cautious * values.size);
  return (cautious < 1 && replicas > currentReplicas) || (cautious > 1 && replicas < currentReplicas) ? stay : { ...seen, replicas };
}

const sumOf = (values: ReadonlyMap<string, number>): number => [...values.values()].reduce((sum, value) => sum + value, 0);

/** As a share of what the pods request. */
export function replicasByUtilization(options: PodsOptions, resource: string, container: string | undefined, targetPercent: number): Proposal {
  refuseNone(options.pods);
  const requests = requestsOf(options.pods, resource, container);
  const measure = (values: ReadonlyMap<string, number>): Measure => {
    let [used, requested, count] = [0, 0, 0];
    for (const [name, milli] of values) {
      const request = requests.get(name);
      if (request === undefined) continue; // gone since the sample was taken
      used += milli;
      requested += request;
      count += 1;
    }
    if (requested === 0) throw new MetricError('no metrics returned matched known pods');
    const utilization = Math.trunc((used * 100) / requested);
    return { ratio: utilization / targetPercent, utilization, milli: Math.trunc(used / count) };
  };
  return fromPods(options, resource, measure, (name) => ((requests.get(name) ?? 0) * Math.max(100, targetPercent)) / 100);
}

/** As an average per pod. */
export function replicasByAverage(options: PodsOptions, resource: string, targetMilli: number): Proposal {
  refuseNone(options.pods);
  const measure = (values: ReadonlyMap<string, number>): Measure => {
    const milli = Math.trunc(sumOf(values) / values.size);
    return { ratio: milli / targetMilli, milli };
  };
  return fromPods(options, resource, measure, () => targetMilli);
}

function refuseNone(pods: readonly unknown[]): void {
  if (pods.length === 0) throw new MetricError('no pods returned by selector while calculating replica count');
}

/** A value of something else than the pods: the more it exceeds the target, the more pods. */
export function replicasByValue(milli: number, targetMilli: number, { currentReplicas, pods, tolerances }: { readonly currentReplicas: number; readonly pods: readonly Readonly<Pod>[]; readonly tolerances: Tolerances }): Proposal {
  const ratio = milli / targetMilli;
  if (currentReplicas === 0) return { replicas: Math.ceil(ratio), milli };
  if (isWithin(ratio, tolerances)) return { replicas: currentReplicas, milli };
  try {
    refuseNone(pods);
  } catch (error) {
    throw new MetricError(`unable to calculate ready pods: ${error instanceof Error ? error.message : String(error)}`);
  }
  return { replicas: Math.ceil(ratio * pods.filter((pod) => pod.status?.phase === 'Running' && isReady(pod)).length), milli };
}

/** The same, divided among the pods there are. */
export function replicasByShare(milli: number, targetMilli: number, statusReplicas: number, tolerances: Tolerances): Proposal {
  const ratio = milli / (targetMilli * statusReplicas);
  return { replicas: isWithin(ratio, tolerances) ? statusReplicas : Math.ceil(milli / targetMilli), milli: statusReplicas === 0 ? 0 : Math.ceil(milli / statusReplicas) };
}
