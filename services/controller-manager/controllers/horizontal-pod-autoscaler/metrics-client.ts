// Reads the three metrics APIs, which servers behind APIServices answer. Source: pkg/controller/podautoscaler/metrics/client.go.
import type { ReconcileApi } from '#lib/controller/own-writes.ts';
import type { LabelSelector } from '#lib/kinds/types/meta-v1.ts';
import { milliValue } from '#lib/machinery/quantity.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { MetricError, type PodMetric } from './replicas.ts';

interface PodMetricsList {
  readonly items?: readonly { readonly metadata: { readonly name: string }; readonly timestamp: string; readonly window: string; readonly containers: readonly { readonly name: string; readonly usage: Readonly<Record<string, string>> }[] }[] | null;
}
interface MetricValueList {
  readonly items?: readonly { readonly describedObject: { readonly name?: string }; readonly timestamp: string; readonly windowSeconds?: number; readonly value: string }[] | null;
}
interface ExternalMetricValueList {
  readonly items?: readonly { readonly value: string }[] | null;
}

/** Source: metricServerDefaultMetricWindow. */
const DEFAULT_WINDOW_MS = 60_000;

async function ask<T>(api: ReconcileApi, source: string, path: string): Promise<T> {
  try {
    return await api.request<T>('GET', path);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    throw new MetricError(`unable to fetch metrics from ${source}: ${error.message}`);
  }
}

const query = (parameters: Readonly<Record<string, string>>): string => {
  const text = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== '')).toString();
  return text === '' ? '' : `?${text}`;
};
const selectorText = (selector: LabelSelector | undefined): string => (selector === undefined ? '' : labelSelector(selector).toString());

/** A Go duration of metrics-server, such as `15.032s` or `1m0.5s`. */
function windowMs(text: string): number {
  let total = 0;
  for (const [, amount = '0', unit] of text.matchAll(/([\d.]+)(ms|h|m|s)/g)) total += Number(amount) * (unit === 'h' ? 3_600_000 : unit === 'm' ? 60_000 : unit === 's' ? 1_000 : 1);
  return total;
}

/** Usage by pod. `container` undefined: of all containers; a pod of which one says nothing is left out. */
export async function resourceMetrics(api: ReconcileApi, namespace: string, selector: string, resource: string, container: string | undefined): Promise<Map<string, PodMetric>> {
  const { items } = await ask<PodMetricsList>(api, 'resource metrics API', `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods${query({ labelSelector: selector })}`);
  if (!items || items.length === 0) throw new MetricError('no metrics returned from resource metrics API');
  const metrics = new Map<string, PodMetric>();
  for (const { metadata: { name }, timestamp, window, containers } of items) {
    const wanted = container === undefined ? containers : containers.filter((one) => one.name === container);
    if (container !== undefined && wanted.length === 0) throw new MetricError(`failed to get container metrics: container ${container} not present in metrics for pod ${namespace}/${name}`);
    const usages = wanted.map(({ usage }) => usage[resource]);
    if (usages.some((usage) => usage === undefined)) continue;
    metrics.set(name, { milli: usages.reduce((sum, usage) => sum + milliValue(usage), 0), timeMs: parseTimeOrUndefined(timestamp) ?? 0, windowMs: windowMs(window) });
  }
  if (metrics.size === 0) throw new MetricError('no metrics returned from resource metrics API');
  return metrics;
}

const CUSTOM = '/apis/custom.metrics.k8s.io/v1beta2';

/** A metric of each pod. */
export async function podsMetric(api: ReconcileApi, namespace: string, selector: string, metric: { readonly name: string; readonly selector?: LabelSelector | undefined }): Promise<Map<string, PodMetric>> {
  const { items } = await ask<MetricValueList>(api, 'custom metrics API', `${CUSTOM}/namespaces/${namespace}/pods/*/${metric.name}${query({ labelSelector: selector, metricLabelSelector: selectorText(metric.selector) })}`);
  if (!items || items.length === 0) throw new MetricError('no metrics returned from custom metrics API');
  return new Map(items.map(({ describedObject, timestamp, windowSeconds, value }) => [
    describedObject.name ?? '', { milli: milliValue(value), timeMs: parseTimeOrUndefined(timestamp) ?? 0, windowMs: windowSeconds === undefined ? DEFAULT_WINDOW_MS : windowSeconds * 1000 },
  ]));
}

/** A metric of one object, in thousandths; `resource`: `services`, `ingresses.networking.k8s.io`. */
export async function objectMetric(api: ReconcileApi, namespace: string, resource: string, name: string, metric: { readonly name: string; readonly selector?: LabelSelector | undefined }): Promise<number> {
  const path = resource === 'namespaces' ? `${CUSTOM}/namespaces/${name}/metrics/${metric.name}` : `${CUSTOM}/namespaces/${namespace}/${resource}/${name}/${metric.name}`;
  const { items } = await ask<MetricValueList>(api, 'custom metrics API', `${path}${query({ metricLabelSelector: selectorText(metric.selector) })}`);
  const [first] = items ?? [];
  if (!first) throw new MetricError('no metrics returned from custom metrics API');
  return milliValue(first.value);
}

/** The sum of a metric from outside, in thousandths. */
export async function externalMetric(api: ReconcileApi, namespace: string, metric: { readonly name: string; readonly selector?: LabelSelector | undefined }): Promise<number> {
  const { items } = await ask<ExternalMetricValueList>(api, 'external metrics API', `/apis/external.metrics.k8s.io/v1beta1/namespaces/${namespace}/${metric.name}${query({ labelSelector: selectorText(metric.selector) })}`);
  if (!items || items.length === 0) throw new MetricError('no metrics returned from external metrics API');
  return items.reduce((sum, { value }) => sum + milliValue(value), 0);
}
