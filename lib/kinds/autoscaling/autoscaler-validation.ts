// Checks of HorizontalPodAutoscalers. Source: pkg/apis/autoscaling/validation.
import { forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { dnsLabelProblems, pathSegmentProblems } from '#lib/machinery/names.ts';
import { checked, validateLabelSelector } from '#lib/machinery/object-meta.ts';
import { parseQuantity } from '#lib/machinery/quantity.ts';
import type {
  ContainerResourceMetricSource, CrossVersionObjectReference, ExternalMetricSource, HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior, HPAScalingRules, MetricIdentifier, MetricSpec,
  MetricTarget, ObjectMetricSource, PodsMetricSource, ResourceMetricSource,
} from '../types/autoscaling-v2.ts';
import { notNegative } from '../validation.ts';

const MAX_WINDOW_SECONDS = 3600;
const MAX_PERIOD_SECONDS = 1800;

const isPositive = (amount: string): boolean => parseQuantity(amount).nanos > 0n;

function validateReference(reference: Partial<CrossVersionObjectReference> | undefined, path: string): FieldError[] {
  const { kind, name, apiVersion } = reference ?? {};
  const errors = [
    ...(kind ? checked(`${path}.kind`, kind, pathSegmentProblems) : [required(`${path}.kind`)]),
    ...(name ? checked(`${path}.name`, name, pathSegmentProblems) : [required(`${path}.name`)]),
  ];
  if ((apiVersion ?? '').split('/').length > 2) errors.push(invalid(`${path}.apiVersion`, apiVersion, `unexpected GroupVersion string: ${apiVersion ?? ''}`));
  return errors;
}

function validateMetric(metric: Partial<MetricIdentifier> | undefined, path: string): FieldError[] {
  const { name, selector } = metric ?? {};
  return [...(name ? checked(`${path}.name`, name, pathSegmentProblems) : [required(`${path}.name`, 'must specify a metric name')]), ...validateLabelSelector(selector, `${path}.selector`)];
}

function validateTarget(target: Partial<MetricTarget> | undefined, path: string): FieldError[] {
  const { type, value, averageValue, averageUtilization } = target ?? {};
  const errors: FieldError[] = [];
  if (!type) errors.push(required(`${path}.type`, 'must specify a metric target type'));
  else if (type !== 'Utilization' && type !== 'Value' && type !== 'AverageValue') errors.push(invalid(`${path}.type`, type, 'must be either Utilization, Value, or AverageValue'));
  if (value !== undefined && !isPositive(value)) errors.push(invalid(`${path}.value`, value, 'must be positive'));
  if (averageValue !== undefined && !isPositive(averageValue)) errors.push(invalid(`${path}.averageValue`, averageValue, 'must be positive'));
  if (averageUtilization !== undefined && averageUtilization < 1) errors.push(invalid(`${path}.averageUtilization`, averageUtilization, 'must be greater than 0'));
  return errors;
}

/** Of resources: so much a pod, or so much of what was requested. */
function validateUsageTarget(target: Partial<MetricTarget> | undefined, path: string): FieldError[] {
  const { averageUtilization, averageValue } = target ?? {};
  const errors = validateTarget(target, path);
  if (averageUtilization === undefined && averageValue === undefined) errors.push(required(`${path}.averageUtilization`, 'must set either a target raw value or a target utilization'));
  if (averageUtilization !== undefined && averageValue !== undefined) errors.push(forbidden(`${path}.averageValue`, 'may not set both a target raw value and a target utilization'));
  return errors;
}

const SOURCES = {
  object: ({ describedObject, metric, target }: ObjectMetricSource, path: string) => [
    ...validateReference(describedObject, `${path}.describedObject`), ...validateMetric(metric, `${path}.metric`), ...validateTarget(target, `${path}.target`),
    ...(target?.value === undefined && target?.averageValue === undefined ? [required(`${path}.target.averageValue`, 'must set either a target value or averageValue')] : []),
  ],
  external: ({ metric, target }: ExternalMetricSource, path: string) => [
    ...validateMetric(metric, `${path}.metric`), ...validateTarget(target, `${path}.target`),
    ...(target?.value === undefined && target?.averageValue === undefined ? [required(`${path}.target.averageValue`, 'must set either a target value for metric or a per-pod target')] : []),
    ...(target?.value !== undefined && target.averageValue !== undefined ? [forbidden(`${path}.target.value`, 'may not set both a target value for metric and a per-pod target')] : []),
  ],
  pods: ({ metric, target }: PodsMetricSource, path: string) => [
    ...validateMetric(metric, `${path}.metric`), ...validateTarget(target, `${path}.target`),
    ...(target?.averageValue === undefined || !isPositive(target.averageValue) ? [required(`${path}.target.averageValue`, 'must specify a positive target averageValue')] : []),
  ],
  resource: ({ name, target }: ResourceMetricSource, path: string) => [
    ...(name ? [] : [required(`${path}.name`, 'must specify a resource name')]), ...validateUsageTarget(target, `${path}.target`),
  ],
  containerResource: ({ name, container, target }: ContainerResourceMetricSource, path: string) => [
    ...(name ? [] : [required(`${path}.name`, 'must specify a resource name')]),
    ...(container ? checked(`${path}.container`, container, dnsLabelProblems) : [required(`${path}.container`, 'must specify a container')]),
    ...validateUsageTarget(target, `${path}.target`),
  ],
} as const;
type Source = keyof typeof SOURCES;

const FIELDS: Readonly<Record<string, Source>> = { ContainerResource: 'containerResource', External: 'external', Object: 'object', Pods: 'pods', Resource: 'resource' };

function validateMetricSpec(spec: MetricSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec.type) errors.push(required(`${path}.type`, 'must specify a metric source type'));
  const expected = FIELDS[spec.type];
  if (expected === undefined) errors.push(notSupported(`${path}.type`, spec.type ?? '', Object.keys(FIELDS)));
  const present = (Object.keys(SOURCES) as Source[]).filter((name) => spec[name] !== undefined);
  const [first] = present;
  if (first !== undefined) errors.push(...(SOURCES[first] as (source: unknown, path: string) => FieldError[])(spec[first], `${path}.${first}`));
  if (expected !== undefined && !present.includes(expected)) errors.push(required(`${path}.${expected}`, 'must populate information for the given metric source'));
  if (present.length !== 1) errors.push(...present.filter((name) => name !== expected).map((name) => forbidden(`${path}.${name}`, 'must populate the given metric source only')));
  return errors;
}

function validateRules(rules: HPAScalingRules | undefined, path: string): FieldError[] {
  if (rules === undefined) return [];
  const { stabilizationWindowSeconds: window, selectPolicy, policies = [], tolerance } = rules;
  const errors: FieldError[] = [];
  if (window !== undefined && window < 0) errors.push(invalid(`${path}.stabilizationWindowSeconds`, window, 'must be greater than or equal to zero'));
  if (window !== undefined && window > MAX_WINDOW_SECONDS) errors.push(invalid(`${path}.stabilizationWindowSeconds`, window, `must be less than or equal to ${MAX_WINDOW_SECONDS}`));
  if (selectPolicy !== undefined && !['Disabled', 'Max', 'Min'].includes(selectPolicy)) errors.push(notSupported(`${path}.selectPolicy`, selectPolicy, ['Disabled', 'Max', 'Min']));
  if (policies.length === 0) errors.push(required(`${path}.policies`, 'must specify at least one Policy'));
  policies.forEach(({ type, value, periodSeconds }, index) => {
    const at = `${path}.policies[${index}]`;
    if (type !== 'Pods' && type !== 'Percent') errors.push(notSupported(`${at}.type`, type ?? '', ['Percent', 'Pods']));
    if ((value ?? 0) <= 0) errors.push(invalid(`${at}.value`, value ?? 0, 'must be greater than zero'));
    if ((periodSeconds ?? 0) <= 0) errors.push(invalid(`${at}.periodSeconds`, periodSeconds ?? 0, 'must be greater than zero'));
    if ((periodSeconds ?? 0) > MAX_PERIOD_SECONDS) errors.push(invalid(`${at}.periodSeconds`, periodSeconds, `must be less than or equal to ${MAX_PERIOD_SECONDS}`));
  });
  if (tolerance !== undefined && parseQuantity(tolerance).nanos < 0n) errors.push(invalid(`${path}.tolerance`, tolerance, 'must be greater than or equal to 0'));
  return errors;
}

const validateBehavior = (behavior: HorizontalPodAutoscalerBehavior | undefined, path: string): FieldError[] =>
  [...validateRules(behavior?.scaleUp, `${path}.scaleUp`), ...validateRules(behavior?.scaleDown, `${path}.scaleDown`)];

export function validateAutoscaler({ spec }: HorizontalPodAutoscaler): FieldError[] {
  const { minReplicas, maxReplicas = 0, metrics = [] } = spec;
  const errors: FieldError[] = [];
  if (minReplicas !== undefined && minReplicas < 1) errors.push(invalid('spec.minReplicas', minReplicas, 'must be greater than or equal to 1'));
  if (maxReplicas === 0) errors.push(required('spec.maxReplicas', 'must be set and greater than 0'));
  else if (maxReplicas < 1) errors.push(invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to 1'));
  if (minReplicas !== undefined && maxReplicas < minReplicas) errors.push(invalid('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`'));
  return [
    ...errors,
    ...validateReference(spec.scaleTargetRef, 'spec.scaleTargetRef'),
    ...metrics.flatMap((metric, index) => validateMetricSpec(metric, `spec.metrics[${index}]`)),
    ...validateBehavior(spec.behavior, 'spec.behavior'),
  ];
}

export function validateAutoscalerStatus({ status }: HorizontalPodAutoscaler): FieldError[] {
  return [...notNegative(status?.currentReplicas, 'status.currentReplicas'), ...notNegative(status?.desiredReplicas, 'status.desiredReplicas')];
}
