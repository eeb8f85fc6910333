// The annotations in which autoscaling/v1 carries what its fields cannot: metrics as its own older types have them, behavior
// as Go spells the fields of a struct without JSON names. A text that does not parse counts as absent, as upstream has it.
import type {
  CrossVersionObjectReference, HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerCondition, HPAScalingRules, MetricIdentifier, MetricSpec, MetricStatus, MetricTarget,
} from '../types/autoscaling-v2.ts';
import type { LabelSelector } from '../types/meta-v1.ts';

interface OldMetricSpec {
  type: string;
  object?: { target: CrossVersionObjectReference; metricName: string; targetValue: string; selector?: LabelSelector; averageValue?: string };
  pods?: { metricName: string; targetAverageValue: string; selector?: LabelSelector };
  resource?: OldResourceSpec;
  containerResource?: OldResourceSpec & { container: string };
  external?: { metricName: string; metricSelector?: LabelSelector; targetValue?: string; targetAverageValue?: string };
}
interface OldResourceSpec {
  name: string;
  targetAverageUtilization?: number;
  targetAverageValue?: string;
}
interface OldMetricStatus {
  type: string;
  object?: { target: CrossVersionObjectReference; metricName: string; currentValue: string; selector?: LabelSelector; averageValue?: string };
  pods?: { metricName: string; currentAverageValue: string; selector?: LabelSelector };
  resource?: OldResourceStatus;
  containerResource?: OldResourceStatus & { container: string };
  external?: { metricName: string; metricSelector?: LabelSelector; currentValue: string; currentAverageValue?: string };
}
interface OldResourceStatus {
  name: string;
  currentAverageUtilization?: number;
  currentAverageValue: string;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

function parsed(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
function listOf<T>(text: string | undefined): T[] {
  const value = parsed(text);
  return Array.isArray(value) ? value.filter(isObject) as T[] : [];
}

/** Keys whose values are set. */
function set<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };
}

const identifier = (name: string, selector: LabelSelector | undefined): MetricIdentifier => ({ name, ...(selector === undefined ? {} : { selector }) });

function resourceTarget({ targetAverageUtilization, targetAverageValue }: OldResourceSpec): MetricTarget {
  return targetAverageUtilization === undefined ? set({ type: 'AverageValue', averageValue: targetAverageValue }) : { type: 'Utilization', averageUtilization: targetAverageUtilization };
}

function newSpec({ type, object, pods, resource, containerResource, external }: OldMetricSpec): MetricSpec {
  return set<MetricSpec>({
    type,
    object: object && {
      describedObject: object.target, metric: identifier(object.metricName, object.selector),
      target: object.averageValue === undefined ? { type: 'Value', value: object.targetValue } : { type: 'AverageValue', averageValue: object.averageValue },
    },
    pods: pods && { metric: identifier(pods.metricName, pods.selector), target: { type: 'AverageValue', averageValue: pods.targetAverageValue } },
    resource: resource && { name: resource.name, target: resourceTarget(resource) },
    containerResource: containerResource && { container: containerResource.container, name: containerResource.name, target: resourceTarget(containerResource) },
    external: external && {
      metric: identifier(external.metricName, external.metricSelector),
      target: external.targetAverageValue === undefined ? set({ type: 'Value', value: external.targetValue }) : { type: 'AverageValue', averageValue: external.targetAverageValue },
    },
  });
}

function oldResource(name: string, target: MetricTarget): OldResourceSpec {
  return set({ name, targetAverageUtilization: target?.averageUtilization, targetAverageValue: target?.averageValue }) as OldResourceSpec;
}

function oldSpec({ type, object, pods, resource, containerResource, external }: MetricSpec): OldMetricSpec {
  return set({
    type,
    object: object && set({
      target: object.describedObject, metricName: object.metric?.name ?? '', targetValue: object.target?.value ?? '0', selector: object.metric?.selector, averageValue: object.target?.averageValue,
    }),
    pods: pods && set({ metricName: pods.metric?.name ?? '', targetAverageValue: pods.target?.averageValue ?? '0', selector: pods.metric?.selector }),
    resource: resource && oldResource(resource.name, resource.target),
    containerResource: containerResource && { ...oldResource(containerResource.name, containerResource.target), container: containerResource.container },
    external: external && set({
      metricName: external.metric?.name ?? '', metricSelector: external.metric?.selector, targetValue: external.target?.value, targetAverageValue: external.target?.averageValue,
    }),
  }) as OldMetricSpec;
}

function newStatus({ type, object, pods, resource, containerResource, external }: OldMetricStatus): MetricStatus {
  return set<MetricStatus>({
    type,
    object: object && { describedObject: object.target, metric: identifier(object.metricName, object.selector), current: set({ value: object.currentValue, averageValue: object.averageValue }) },
    pods: pods && { metric: identifier(pods.metricName, pods.selector), current: { averageValue: pods.currentAverageValue } },
    resource: resource && { name: resource.name, current: set({ averageUtilization: resource.currentAverageUtilization, averageValue: resource.currentAverageValue }) },
    containerResource: containerResource && {
      container: containerResource.container, name: containerResource.name,
      current: set({ averageUtilization: containerResource.currentAverageUtilization, averageValue: containerResource.currentAverageValue }),
    },
    external: external && { metric: identifier(external.metricName, external.metricSelector), current: set({ value: external.currentValue, averageValue: external.currentAverageValue }) },
  });
}

function oldStatus({ type, object, pods, resource, containerResource, external }: MetricStatus): OldMetricStatus {
  return set({
    type,
    object: object && set({
      target: object.describedObject, metricName: object.metric?.name ?? '', currentValue: object.current?.value ?? '0', selector: object.metric?.selector, averageValue: object.current?.averageValue,
    }),
    pods: pods && set({ metricName: pods.metric?.name ?? '', currentAverageValue: pods.current?.averageValue ?? '0', selector: pods.metric?.selector }),
    resource: resource && set({ name: resource.name, currentAverageUtilization: resource.current?.averageUtilization, currentAverageValue: resource.current?.averageValue ?? '0' }),
    containerResource: containerResource && set({
      name: containerResource.name, currentAverageUtilization: containerResource.current?.averageUtilization, currentAverageValue: containerResource.current?.averageValue ?? '0', container: containerResource.container,
    }),
    external: external && set({
      metricName: external.metric?.name ?? '', metricSelector: external.metric?.selector, currentValue: external.current?.value ?? '0', currentAverageValue: external.current?.averageValue,
    }),
  }) as OldMetricStatus;
}

export const metricsFromText = (text: string | undefined): MetricSpec[] => listOf<OldMetricSpec>(text).map(newSpec);
export const metricsText = (metrics: readonly MetricSpec[]): string => JSON.stringify(metrics.map(oldSpec));
export const currentMetricsFromText = (text: string | undefined): MetricStatus[] => listOf<OldMetricStatus>(text).map(newStatus);
export const currentMetricsText = (metrics: readonly MetricStatus[]): string => JSON.stringify(metrics.map(oldStatus));
export function conditionsFromText(text: string | undefined): HorizontalPodAutoscalerCondition[] | undefined {
  const conditions = listOf<HorizontalPodAutoscalerCondition>(text);
  return conditions.length > 0 ? conditions : undefined;
}

const GO_RULES = { StabilizationWindowSeconds: 'stabilizationWindowSeconds', SelectPolicy: 'selectPolicy', Tolerance: 'tolerance' } as const;

function goRules(rules: HPAScalingRules | undefined): unknown {
  if (rules === undefined) return null;
  return {
    ...Object.fromEntries(Object.entries(GO_RULES).map(([name, field]) => [name, rules[field] ?? null])),
    Policies: rules.policies?.map(({ type, value, periodSeconds }) => ({ Type: type, Value: value, PeriodSeconds: periodSeconds })) ?? null,
  };
}
/** Go reads field names in any case. */
function field(object: unknown, name: string): unknown {
  if (!isObject(object)) return undefined;
  const key = Object.keys(object).find((one) => one.toLowerCase() === name.toLowerCase());
  return key === undefined ? undefined : object[key] ?? undefined;
}
function rulesOf(value: unknown): HPAScalingRules | undefined {
  if (!isObject(value)) return undefined;
  const policies = field(value, 'Policies');
  return set<HPAScalingRules>({
    ...Object.fromEntries(Object.entries(GO_RULES).map(([name, to]) => [to, field(value, name)])),
    policies: Array.isArray(policies)
      ? policies.map((one) => ({ type: String(field(one, 'Type') ?? ''), value: Number(field(one, 'Value') ?? 0), periodSeconds: Number(field(one, 'PeriodSeconds') ?? 0) })) : undefined,
  });
}

export const behaviorText = ({ scaleUp, scaleDown }: HorizontalPodAutoscalerBehavior): string => JSON.stringify({ ScaleUp: goRules(scaleUp), ScaleDown: goRules(scaleDown) });
export function behaviorFromText(text: string | undefined): HorizontalPodAutoscalerBehavior | undefined {
  const value = parsed(text);
  return isObject(value) ? set({ scaleUp: rulesOf(field(value, 'ScaleUp')), scaleDown: rulesOf(field(value, 'ScaleDown')) }) : undefined;
}
