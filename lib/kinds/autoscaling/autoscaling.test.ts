// HorizontalPodAutoscalers in both versions: defaults, checks, conversion, columns.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rulesOf } from '../testing/rules.ts';
import type { HorizontalPodAutoscaler as AutoscalerV1 } from '../types/autoscaling-v1.ts';
import type { HorizontalPodAutoscaler } from '../types/autoscaling-v2.ts';
import { horizontalPodAutoscalerV1Kind } from './horizontal-pod-autoscaler-v1.ts';
import { horizontalPodAutoscalerKind } from './horizontal-pod-autoscaler.ts';

const { created, stored } = rulesOf(horizontalPodAutoscalerKind);
const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };
const autoscaler = (spec: object) => ({ spec: { scaleTargetRef, maxReplicas: 5, ...spec } });
const cpu = (target: object) => ({ metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }] });

test('an autoscaler looks at processor time unless it says otherwise', () => {
  const { spec } = stored(autoscaler({ behavior: { scaleDown: { stabilizationWindowSeconds: 60 } } })) as HorizontalPodAutoscaler;
  assert.equal(spec.minReplicas, 1);
  assert.deepEqual(spec.metrics, [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }]);
  assert.deepEqual(spec.behavior, {
    scaleUp: { stabilizationWindowSeconds: 0, selectPolicy: 'Max', policies: [{ type: 'Pods', value: 4, periodSeconds: 15 }, { type: 'Percent', value: 100, periodSeconds: 15 }] },
    scaleDown: { stabilizationWindowSeconds: 60, selectPolicy: 'Max', policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] },
  });
});

for (const [name, body, expected] of [
  ['an autoscaler without errors', autoscaler({}), []],
  ['no limit', { spec: { scaleTargetRef } }, ['spec.maxReplicas: Required value: must be set and greater than 0', 'spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`']],
  ['limits that cross', autoscaler({ minReplicas: 6 }), ['spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`']],
  ['none at the least', autoscaler({ minReplicas: 0 }), ['spec.minReplicas: Invalid value: 0: must be greater than or equal to 1']],
  ['nothing to scale', { spec: { maxReplicas: 1 } }, ['spec.scaleTargetRef.kind: Required value', 'spec.scaleTargetRef.name: Required value']],
  ['a metric without target', autoscaler(cpu({ type: 'Utilization' })), ['spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization']],
  ['a metric with two targets', autoscaler(cpu({ type: 'Utilization', averageUtilization: 50, averageValue: '1' })), ['spec.metrics[0].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization']],
  ['a metric of another type', autoscaler({ metrics: [{ type: 'Pods', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 5 } } }] }), [
    'spec.metrics[0].pods: Required value: must populate information for the given metric source',
  ]],
  ['an unknown type', autoscaler({ metrics: [{ type: 'x' }] }), ['spec.metrics[0].type: Unsupported value: "x": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"']],
  ['a long wait', autoscaler({ behavior: { scaleUp: { stabilizationWindowSeconds: 4000, policies: [{ type: 'x', value: 0, periodSeconds: 2000 }] } } }), [
    'spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 4000: must be less than or equal to 3600', 'spec.behavior.scaleUp.policies[0].type: Unsupported value: "x": supported values: "Percent", "Pods"',
    'spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero', 'spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 2000: must be less than or equal to 1800',
  ]],
] as const) {
  test(`autoscaler: ${name}`, () => assert.deepEqual(created(body), expected));
}

test('v1 carries in annotations what it has no fields for, and back', () => {
  const v2 = stored(autoscaler({
    metrics: [
      { type: 'Resource', resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '1Gi' } } },
      { type: 'Object', object: { describedObject: scaleTargetRef, metric: { name: 'hits' }, target: { type: 'Value', value: '5' } } },
      { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } },
    ],
    behavior: { scaleUp: { stabilizationWindowSeconds: 5 } },
  })) as HorizontalPodAutoscaler;
  v2.status = { desiredReplicas: 2, currentReplicas: 1, conditions: [{ type: 'AbleToScale', status: 'True' }], currentMetrics: [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 40, averageValue: '100m' } } }] };
  const v1 = horizontalPodAutoscalerV1Kind.storedAs?.fromStored(v2) as AutoscalerV1;
  assert.deepEqual(v1.spec, { maxReplicas: 5, minReplicas: 1, scaleTargetRef, targetCPUUtilizationPercentage: 50 });
  assert.deepEqual(v1.status, { currentCPUUtilizationPercentage: 40, currentReplicas: 1, desiredReplicas: 2 });
  assert.equal(v1.metadata.annotations?.['autoscaling.alpha.kubernetes.io/metrics'],
    '[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}},{"type":"Object","object":{"target":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"},"metricName":"hits","targetValue":"5"}}]');
  assert.match(v1.metadata.annotations?.['autoscaling.alpha.kubernetes.io/behavior'] ?? '', /^\{"ScaleUp":\{"StabilizationWindowSeconds":5,/);
  const back = horizontalPodAutoscalerV1Kind.storedAs?.toStored(v1) as HorizontalPodAutoscaler;
  assert.deepEqual({ ...back, apiVersion: undefined, kind: undefined }, { ...v2, apiVersion: undefined, kind: undefined });
});
test('v1 with processor time alone is stored as v2', () => {
  const v1 = rulesOf(horizontalPodAutoscalerV1Kind).stored({ spec: { scaleTargetRef, maxReplicas: 3, targetCPUUtilizationPercentage: 70 } });
  const v2 = horizontalPodAutoscalerV1Kind.storedAs?.toStored(v1 as AutoscalerV1) as HorizontalPodAutoscaler;
  assert.deepEqual(v2.spec, { maxReplicas: 3, minReplicas: 1, scaleTargetRef, metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } }] });
});

test('the columns of an autoscaler', () => {
  const object = stored({ metadata: { name: 'web', creationTimestamp: '2026-01-01T00:00:00Z' }, ...autoscaler({}) }) as HorizontalPodAutoscaler;
  const cells = () => (horizontalPodAutoscalerKind.columns ?? []).map(({ value }) => value(object, Date.parse('2026-01-01T00:01:00Z')));
  assert.deepEqual(cells(), ['web', 'Deployment/web', 'cpu: <unknown>/80%', '1', 5, 0, '60s']);
  object.status = { desiredReplicas: 2, currentReplicas: 2, currentMetrics: [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 12 } } }] };
  assert.deepEqual(cells(), ['web', 'Deployment/web', 'cpu: 12%/80%', '1', 5, 2, '60s']);
});
