// One metric of an autoscaler: asks for its values and says how many replicas they call for, in upstream's words.
// Source: pkg/controller/podautoscaler/horizontal.go (computeStatusFor...).
import type { ReconcileApi } from '#lib/controller/own-writes.ts';
import type { MetricSpec, MetricStatus, MetricTarget } from '#lib/kinds/types/autoscaling-v2.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { formatQuantity, milliValue, quantityOfMilli } from '#lib/machinery/quantity.ts';
import { labelSelectorText } from '#lib/machinery/selectors.ts';
import { externalMetric, objectMetric, podsMetric, resourceMetrics } from './metrics-client.ts';
import { MetricError, replicasByAverage, replicasByShare, replicasByUtilization, replicasByValue, type CalculatorSettings, type Proposal } from './replicas.ts';

export interface MetricContext {
  readonly api: ReconcileApi;
  readonly namespace: string;
  /** Text of the target's selector. */
  readonly selector: string;
  readonly pods: readonly Readonly<Pod>[];
  readonly specReplicas: number;
  readonly statusReplicas: number;
  readonly settings: CalculatorSettings;
  readonly nowMs: number;
  /** `Service` => `services`, as discovery tells it. */
  readonly resourceOf: (apiVersion: string | undefined, kind: string) => Promise<string>;
}

export interface MetricResult {
  readonly replicas: number;
  /** What it is called in events and conditions. */
  readonly name: string;
  readonly status: MetricStatus;
}

/** A metric that cannot be had. The message is for the condition, `outer` for the event about all metrics. */
export class InvalidMetric extends Error {
  override readonly name = 'InvalidMetric';
  readonly reason: string;
  readonly outer: string;
  constructor(reason: string, message: string, outer: string) {
    super(message);
    this.reason = reason;
    this.outer = outer;
  }
}

const quantity = (milli: number): string => formatQuantity(quantityOfMilli(milli));

/** Runs `work`; a MetricError becomes an InvalidMetric whose texts begin with these. */
async function named<T>(reason: string, prefixes: { readonly inner: string; readonly outer: string }, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof MetricError)) throw error;
    const message = `${prefixes.inner}${error.message}`;
    throw new InvalidMetric(reason, message, `${prefixes.outer}${message}`);
  }
}

/** Errors in reading a value name it; errors in calculating with it do not. */
async function reading<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MetricError) throw new MetricError(`unable to get ${what}: ${error.message}`);
    throw error;
  }
}

/** Throws InvalidMetric. */
export async function evaluate(spec: MetricSpec, context: MetricContext): Promise<MetricResult> {
  switch (spec.type) {
    case 'Resource': return resource(spec.resource ?? { name: '', target: { type: '' } }, undefined, context);
    case 'ContainerResource': return resource(spec.containerResource ?? { name: '', target: { type: '' } }, spec.containerResource?.container ?? '', context);
    case 'Pods': return pods(spec, context);
    case 'Object': return object(spec, context);
    case 'External': return external(spec, context);
    default: {
      const message = `unknown metric source type ${JSON.stringify(spec.type)}`;
      throw new InvalidMetric('InvalidMetricSourceType', message, message);
    }
  }
}

async function resource({ name, target }: { readonly name: string; readonly target: MetricTarget }, container: string | undefined, context: MetricContext): Promise<MetricResult> {
  const { api, namespace, selector, settings, nowMs, specReplicas } = context;
  const kind = container === undefined ? 'resource' : 'container resource';
  const reason = container === undefined ? 'FailedGetResourceMetric' : 'FailedGetContainerResourceMetric';
  return named(reason, { inner: `failed to get ${name} ${target.averageValue === undefined ? 'utilization' : 'usage'}: `, outer: `failed to get ${name} ${kind} metric value: ` }, async () => {
    const metrics = await reading(`metrics for resource ${name}`, () => resourceMetrics(api, namespace, selector, name, container));
    const options = { pods: context.pods, metrics, currentReplicas: specReplicas, settings, nowMs };
    let proposal: Proposal;
    if (target.averageValue !== undefined) proposal = replicasByAverage(options, name, milliValue(target.averageValue));
    else if (target.averageUtilization !== undefined) proposal = replicasByUtilization(options, name, container, target.averageUtilization);
    else throw new MetricError(`invalid ${kind} metric source: neither an average utilization target nor an average value (usage) target was set`);
    const current = { averageValue: quantity(proposal.milli), ...(proposal.utilization === undefined ? {} : { averageUtilization: proposal.utilization }) };
    const status = container === undefined ? { type: 'Resource', resource: { name, current } } : { type: 'ContainerResource', containerResource: { name, container, current } };
    const label = container === undefined ? `${name} resource` : `${name} container resource`;
    return { replicas: proposal.replicas, status, name: `${label}${proposal.utilization === undefined ? '' : ' utilization (percentage of request)'}` };
  });
}

async function pods({ pods: source }: MetricSpec, { api, namespace, selector, pods: targets, settings, nowMs, specReplicas }: MetricContext): Promise<MetricResult> {
  const metric = source?.metric ?? { name: '' };
  return named('FailedGetPodsMetric', { inner: '', outer: 'failed to get pods metric value: ' }, async () => {
    const metrics = await reading(`metric ${metric.name}`, () => podsMetric(api, namespace, selector, metric));
    const { replicas, milli } = replicasByAverage({ pods: targets, metrics, currentReplicas: specReplicas, settings, nowMs }, '', milliValue(source?.target.averageValue));
    return { replicas, name: `pods metric ${metric.name}`, status: { type: 'Pods', pods: { metric, current: { averageValue: quantity(milli) } } } };
  });
}

async function object({ object: source }: MetricSpec, context: MetricContext): Promise<MetricResult> {
  const { api, namespace, statusReplicas, specReplicas, settings } = context;
  const { describedObject = { kind: '', name: '' }, metric = { name: '' }, target = { type: '' } } = source ?? {};
  return named('FailedGetObjectMetric', { inner: '', outer: 'failed to get object metric value: ' }, async () => {
    if (target.value === undefined && target.averageValue === undefined) throw new MetricError('invalid object metric source: neither a value target nor an average value target was set');
    const resourceName = await context.resourceOf(describedObject.apiVersion, describedObject.kind);
    const milli = await reading(`metric ${metric.name}`, async () => {
      try {
        return await objectMetric(api, namespace, resourceName, describedObject.name, metric);
      } catch (error) {
        throw error instanceof MetricError ? new MetricError(`${describedObject.kind} on ${namespace} ${describedObject.name}/${error.message}`) : error;
      }
    });
    const byShare = target.averageValue !== undefined;
    const proposal = byShare
      ? replicasByShare(milli, milliValue(target.averageValue), statusReplicas, settings.tolerances)
      : replicasByValue(milli, milliValue(target.value), { currentReplicas: specReplicas, pods: context.pods, tolerances: settings.tolerances });
    const current = byShare ? { averageValue: quantity(proposal.milli) } : { value: quantity(proposal.milli) };
    return { replicas: proposal.replicas, name: `${describedObject.kind} metric ${metric.name}`, status: { type: 'Object', object: { describedObject, metric, current } } };
  });
}

async function external({ external: source }: MetricSpec, { api, namespace, statusReplicas, specReplicas, settings, pods: targets }: MetricContext): Promise<MetricResult> {
  const { metric = { name: '' }, target = { type: '' } } = source ?? {};
  const selector = metric.selector === undefined ? 'nil' : labelSelectorText(metric.selector);
  return named('FailedGetExternalMetric', { inner: '', outer: `failed to get ${metric.name} external metric value: ` }, async () => {
    if (target.value === undefined && target.averageValue === undefined) throw new MetricError('invalid external metric source: neither a value target nor an average value target was set');
    const milli = await reading(`external metric ${namespace}/${metric.name}/${selector}`, () => externalMetric(api, namespace, metric));
    const byShare = target.averageValue !== undefined;
    const proposal = byShare
      ? replicasByShare(milli, milliValue(target.averageValue), statusReplicas, settings.tolerances)
      : replicasByValue(milli, milliValue(target.value), { currentReplicas: specReplicas, pods: targets, tolerances: settings.tolerances });
    const current = byShare ? { averageValue: quantity(proposal.milli) } : { value: quantity(proposal.milli) };
    return { replicas: proposal.replicas, name: `external metric ${metric.name}(${selector})`, status: { type: 'External', external: { metric, current } } };
  });
}
