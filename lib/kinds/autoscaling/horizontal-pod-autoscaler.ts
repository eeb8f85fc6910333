// HorizontalPodAutoscaler of autoscaling/v2: as many replicas of a workload as its metrics ask for.
import { ageColumn, nameColumn, NONE, textColumn } from '../columns.ts';
import { orUnset } from '../core/volume-columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type {
  HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, HPAScalingPolicy, HPAScalingRules, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
} from '../types/autoscaling-v2.ts';
import { validateAutoscaler, validateAutoscalerStatus } from './autoscaler-validation.ts';

const SHOWN_METRICS = 2;
const DEFAULT_CPU_PERCENT = 80;

const FAST: readonly HPAScalingPolicy[] = [{ type: 'Pods', value: 4, periodSeconds: 15 }, { type: 'Percent', value: 100, periodSeconds: 15 }];
const ALL_AT_ONCE: readonly HPAScalingPolicy[] = [{ type: 'Percent', value: 100, periodSeconds: 15 }];

/** What is not said is the default; for going down, how long to wait is the controller's flag. */
function defaultRules(rules: HPAScalingRules | undefined, policies: readonly HPAScalingPolicy[], stabilizationWindowSeconds?: number): HPAScalingRules {
  const window = rules?.stabilizationWindowSeconds ?? stabilizationWindowSeconds;
  return {
    ...rules, ...(window === undefined ? {} : { stabilizationWindowSeconds: window }),
    selectPolicy: rules?.selectPolicy ?? 'Max', policies: rules?.policies ?? structuredClone([...policies]),
  };
}

export function defaultAutoscaler(autoscaler: HorizontalPodAutoscaler): void {
  // A body may leave out what the type requires.
  const spec = (autoscaler.spec ??= {} as HorizontalPodAutoscalerSpec);
  spec.scaleTargetRef ??= {} as HorizontalPodAutoscalerSpec['scaleTargetRef'];
  spec.minReplicas ??= 1;
  if ((spec.metrics ?? []).length === 0) {
    spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: DEFAULT_CPU_PERCENT } } }];
  }
  if (spec.behavior !== undefined) {
    spec.behavior.scaleUp = defaultRules(spec.behavior.scaleUp, FAST, 0);
    spec.behavior.scaleDown = defaultRules(spec.behavior.scaleDown, ALL_AT_ONCE);
  }
}

/** `cpu: 12%/80%`, `memory: 20Mi/50Mi` */
function resourceText(name: string, target: MetricTarget | undefined, current: MetricValueStatus | undefined): string {
  if (target?.averageValue !== undefined) return `${name}: ${current?.averageValue ?? '<unknown>'}/${target.averageValue}`;
  const now = current?.averageUtilization === undefined ? '<unknown>' : `${current.averageUtilization}%`;
  return `${name}: ${now}/${target?.averageUtilization === undefined ? '<auto>' : `${target.averageUtilization}%`}`;
}
function valueText(target: MetricTarget | undefined, current: MetricValueStatus | undefined): string {
  if (target?.averageValue !== undefined) return `${current?.averageValue ?? '<unknown>'}/${target.averageValue} (avg)`;
  return `${current?.value ?? '<unknown>'}/${target?.value ?? '0'}`;
}

function metricText(spec: MetricSpec, status: MetricStatus | undefined): string {
  switch (spec.type) {
    case 'Resource': return resourceText(spec.resource?.name ?? '', spec.resource?.target, status?.resource?.current);
    case 'ContainerResource': return resourceText(spec.containerResource?.name ?? '', spec.containerResource?.target, status?.containerResource?.current);
    case 'Pods': return `${status?.pods?.current?.averageValue ?? '<unknown>'}/${spec.pods?.target?.averageValue ?? '0'}`;
    case 'Object': return valueText(spec.object?.target, status?.object?.current);
    case 'External': return valueText(spec.external?.target, status?.external?.current);
    default: return '<unknown type>';
  }
}

function targetsText({ spec, status }: HorizontalPodAutoscaler): string {
  const metrics = spec.metrics ?? [];
  if (metrics.length === 0) return NONE;
  const shown = metrics.slice(0, SHOWN_METRICS).map((metric, index) => metricText(metric, status?.currentMetrics?.[index])).join(', ');
  return metrics.length > SHOWN_METRICS ? `${shown} + ${metrics.length - SHOWN_METRICS} more...` : shown;
}

export const horizontalPodAutoscalerKind = defineKind<HorizontalPodAutoscaler>({
  group: 'autoscaling', version: 'v2', kind: 'HorizontalPodAutoscaler', plural: 'horizontalpodautoscalers', singular: 'horizontalpodautoscaler', scope: 'Namespaced',
  schema: 'io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler',
  shortNames: ['hpa'],
  categories: ['all'],
  storageVersionHash: 'qwQve8ut294=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults: defaultAutoscaler,
  prepareForCreate: (autoscaler) => { autoscaler.status = { desiredReplicas: 0 }; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate: validateAutoscaler,
  validateStatusUpdate: validateAutoscalerStatus,
  columns: [
    nameColumn(),
    textColumn('Reference', ({ spec: { scaleTargetRef } }) => `${scaleTargetRef.kind ?? ''}/${scaleTargetRef.name ?? ''}`),
    textColumn('Targets', targetsText),
    textColumn('MinPods', ({ spec }) => orUnset(spec.minReplicas?.toString())),
    { name: 'MaxPods', type: 'string', value: ({ spec }) => spec.maxReplicas ?? 0 },
    { name: 'Replicas', type: 'string', value: ({ status }) => status?.currentReplicas ?? 0 },
    ageColumn(),
  ],
});
