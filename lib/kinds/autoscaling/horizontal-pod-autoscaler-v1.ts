// HorizontalPodAutoscaler of autoscaling/v1, which knows processor time only; what else there is stands in annotations.
// Source: pkg/apis/autoscaling/v1/conversion.go, pkg/apis/autoscaling/annotations.go.
import { anyKind, defineKind, type Column, type KubernetesObject } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { HorizontalPodAutoscaler as HorizontalPodAutoscalerV1 } from '../types/autoscaling-v1.ts';
import type { HorizontalPodAutoscaler, MetricSpec } from '../types/autoscaling-v2.ts';
import { validateAutoscaler, validateAutoscalerStatus } from './autoscaler-validation.ts';
import { behaviorFromText, behaviorText, conditionsFromText, currentMetricsFromText, currentMetricsText, metricsFromText, metricsText } from './v1-annotations.ts';
import { defaultAutoscaler, horizontalPodAutoscalerKind } from './horizontal-pod-autoscaler.ts';

const METRICS = 'autoscaling.alpha.kubernetes.io/metrics';
const CURRENT_METRICS = 'autoscaling.alpha.kubernetes.io/current-metrics';
const CONDITIONS = 'autoscaling.alpha.kubernetes.io/conditions';
const BEHAVIOR = 'autoscaling.alpha.kubernetes.io/behavior';

const isCpuUtilization = ({ type, resource }: MetricSpec): boolean => type === 'Resource' && resource?.name === 'cpu' && resource.target?.averageUtilization !== undefined;

function cleared<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

function toStored({ metadata, spec, status }: HorizontalPodAutoscalerV1): HorizontalPodAutoscaler {
  const { [METRICS]: metrics, [CURRENT_METRICS]: currentMetrics, [CONDITIONS]: conditions, [BEHAVIOR]: behavior, ...annotations } = metadata.annotations ?? {};
  const cpu = spec?.targetCPUUtilizationPercentage;
  const currentCpu = status?.currentCPUUtilizationPercentage;
  const wanted = [
    ...metricsFromText(metrics),
    ...(cpu === undefined ? [] : [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: cpu } } }]),
  ];
  const current = currentMetricsFromText(currentMetrics);
  if (current.length === 0 && currentCpu !== undefined) current.push({ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: currentCpu } } });
  const { annotations: _, ...otherMetadata } = metadata;
  const stored: HorizontalPodAutoscaler = {
    apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler',
    metadata: { ...otherMetadata, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) },
    spec: cleared({
      behavior: behaviorFromText(behavior), maxReplicas: spec?.maxReplicas ?? 0, metrics: wanted.length > 0 ? wanted : undefined, minReplicas: spec?.minReplicas, scaleTargetRef: spec?.scaleTargetRef ?? { kind: '', name: '' },
    }),
    ...(status === undefined ? {} : { status: cleared({
      conditions: conditionsFromText(conditions), currentMetrics: current.length > 0 ? current : undefined, currentReplicas: status.currentReplicas ?? 0, desiredReplicas: status.desiredReplicas ?? 0,
      lastScaleTime: status.lastScaleTime, observedGeneration: status.observedGeneration,
    }) }),
  };
  defaultAutoscaler(stored);
  return stored;
}

function fromStored(object: KubernetesObject): HorizontalPodAutoscalerV1 {
  // The registry hands over objects of `storedAs.kind`.
  const { metadata, spec, status } = object as HorizontalPodAutoscaler;
  const currentCpu = status?.currentMetrics?.find(({ type, resource }) => type === 'Resource' && resource?.name === 'cpu' && resource.current?.averageUtilization !== undefined);
  const others = (spec.metrics ?? []).filter((metric) => !isCpuUtilization(metric));
  const annotations: Record<string, string> = {
    ...metadata.annotations,
    ...(others.length > 0 ? { [METRICS]: metricsText(others) } : {}),
    ...((status?.currentMetrics ?? []).length > 0 ? { [CURRENT_METRICS]: currentMetricsText(status?.currentMetrics ?? []) } : {}),
    ...((status?.conditions ?? []).length > 0 ? { [CONDITIONS]: JSON.stringify(status?.conditions) } : {}),
    ...(spec.behavior === undefined ? {} : { [BEHAVIOR]: behaviorText(spec.behavior) }),
  };
  return {
    apiVersion: 'autoscaling/v1', kind: 'HorizontalPodAutoscaler',
    metadata: { ...metadata, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) },
    spec: cleared({
      maxReplicas: spec.maxReplicas, minReplicas: spec.minReplicas, scaleTargetRef: spec.scaleTargetRef,
      targetCPUUtilizationPercentage: (spec.metrics ?? []).find(isCpuUtilization)?.resource?.target.averageUtilization,
    }),
    status: cleared({
      currentCPUUtilizationPercentage: currentCpu?.resource?.current.averageUtilization, currentReplicas: status?.currentReplicas ?? 0, desiredReplicas: status?.desiredReplicas ?? 0,
      lastScaleTime: status?.lastScaleTime, observedGeneration: status?.observedGeneration,
    }),
  };
}

export const horizontalPodAutoscalerV1Kind = defineKind<HorizontalPodAutoscalerV1>({
  group: 'autoscaling', version: 'v1', kind: 'HorizontalPodAutoscaler', plural: 'horizontalpodautoscalers', singular: 'horizontalpodautoscaler', scope: 'Namespaced',
  schema: 'io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler',
  shortNames: ['hpa'],
  categories: ['all'],
  storageVersionHash: 'qwQve8ut294=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults: (autoscaler) => {
    // A body may leave out what the type requires.
    const spec = (autoscaler.spec ??= {} as HorizontalPodAutoscalerV1['spec']);
    spec.scaleTargetRef ??= {} as HorizontalPodAutoscalerV1['spec']['scaleTargetRef'];
    spec.minReplicas ??= 1;
  },
  prepareForCreate: (autoscaler) => { autoscaler.status = { currentReplicas: 0, desiredReplicas: 0 }; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate: (autoscaler) => validateAutoscaler(toStored(autoscaler)),
  validateStatusUpdate: (autoscaler) => validateAutoscalerStatus(toStored(autoscaler)),
  columns: (horizontalPodAutoscalerKind.columns ?? []).map((column): Column<HorizontalPodAutoscalerV1> => ({ ...column, value: (autoscaler, nowMs) => column.value(toStored(autoscaler), nowMs) })),
  storedAs: { kind: anyKind(horizontalPodAutoscalerKind), toStored, fromStored },
});
