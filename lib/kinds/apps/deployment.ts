// Deployment of apps/v1: pods by template, replaced little by little when the template changes.
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { percentOf } from '#lib/machinery/int-or-percent.ts';
import { unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, nameColumn, selectorColumn, templateColumns, textColumn } from '../columns.ts';
import { defaultPodTemplate } from '../core/pod-defaults.ts';
import { podNameWarnings, podSpecWarnings } from '../core/pod-warnings.ts';
import { defineKind } from '../define-kind.ts';
import { keep, keepStatus } from '../strategy.ts';
import type { Deployment, DeploymentStrategy } from '../types/apps-v1.ts';
import { atMostHundredPercent, intOrPercent, notNegative } from '../validation.ts';
import { validateAtMostReplicas, validateCollisionCount, validateCounts, validateSelector, validateWorkloadTemplate } from './workload-validation.ts';

function applyDefaults(deployment: Deployment): void {
  // A body may leave out what the type requires.
  const spec = (deployment.spec ??= {} as Deployment['spec']);
  spec.template ??= {};
  defaultPodTemplate(spec.template);
  spec.replicas ??= 1;
  spec.strategy ??= {};
  spec.strategy.type ||= 'RollingUpdate';
  if (spec.strategy.type === 'RollingUpdate') {
    spec.strategy.rollingUpdate ??= {};
    spec.strategy.rollingUpdate.maxUnavailable ??= '25%';
    spec.strategy.rollingUpdate.maxSurge ??= '25%';
  }
  spec.revisionHistoryLimit ??= 10;
  spec.progressDeadlineSeconds ??= 600;
}

const isZero = (value: number | string | undefined): boolean => (typeof value === 'string' ? percentOf(value) : value) === 0;

function validateStrategy(strategy: DeploymentStrategy | undefined): FieldError[] {
  const path = 'spec.strategy';
  const { type = '', rollingUpdate } = strategy ?? {};
  switch (type) {
    case 'Recreate':
      return rollingUpdate === undefined ? [] : [forbidden(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'")];
    case 'RollingUpdate': {
      if (rollingUpdate === undefined) return [required(`${path}.rollingUpdate`, 'this should be defaulted and never be nil')];
      const { maxUnavailable, maxSurge } = rollingUpdate;
      return [
        ...intOrPercent(maxUnavailable, `${path}.rollingUpdate.maxUnavailable`),
        ...intOrPercent(maxSurge, `${path}.rollingUpdate.maxSurge`),
        ...(isZero(maxUnavailable) && isZero(maxSurge) ? [invalid(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable, 'may not be 0 when `maxSurge` is 0')] : []),
        ...atMostHundredPercent(maxUnavailable, `${path}.rollingUpdate.maxUnavailable`),
      ];
    }
    default:
      return [notSupported(path, { Type: type, RollingUpdate: rollingUpdate ?? null }, ['Recreate', 'RollingUpdate'])];
  }
}

function validate({ spec }: Deployment): FieldError[] {
  const errors = [
    ...notNegative(spec.replicas, 'spec.replicas'),
    ...validateSelector(spec.selector, 'deployment'),
    ...validateWorkloadTemplate(spec.template, spec.selector, 'ReplicaSet'),
    ...validateStrategy(spec.strategy),
    ...notNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
    ...notNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit'),
  ];
  if (spec.progressDeadlineSeconds !== undefined) {
    errors.push(...notNegative(spec.progressDeadlineSeconds, 'spec.progressDeadlineSeconds'));
    if (spec.progressDeadlineSeconds <= (spec.minReadySeconds ?? 0)) {
      errors.push(invalid('spec.progressDeadlineSeconds', spec.progressDeadlineSeconds, 'must be greater than minReadySeconds'));
    }
  }
  return errors;
}

function validateStatusUpdate({ status = {} }: Deployment, previous: Deployment): FieldError[] {
  return [
    ...validateCounts(status, ['observedGeneration', 'replicas', 'updatedReplicas', 'readyReplicas', 'availableReplicas', 'unavailableReplicas', 'terminatingReplicas', 'collisionCount']),
    ...validateAtMostReplicas(status, ['updatedReplicas', 'readyReplicas', 'availableReplicas']),
    ...validateCollisionCount(status.collisionCount, previous.status?.collisionCount),
  ];
}

export const deploymentKind = defineKind<Deployment>({
  group: 'apps', version: 'v1', kind: 'Deployment', plural: 'deployments', singular: 'deployment', scope: 'Namespaced',
  schema: 'io.k8s.api.apps.v1.Deployment',
  shortNames: ['deploy'],
  categories: ['all'],
  storageVersionHash: '8aSe+NMegvE=',
  subresources: {
    scale: { verbs: ['get', 'patch', 'update'], kind: 'Scale', group: 'autoscaling', version: 'v1' },
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForCreate: (deployment) => { deployment.status = {}; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: (next, previous) => {
    keep(next, previous, 'spec');
    keep(next.metadata, previous.metadata, 'labels');
  },
  validate,
  validateUpdate: (next, previous) => unchanged(next.spec.selector, previous.spec.selector, 'spec.selector'),
  validateStatusUpdate,
  warnings: ({ metadata, spec }, previous) => [
    ...(previous === undefined ? podNameWarnings(metadata.name) : []),
    ...(previous !== undefined && semanticEqual(previous.spec.template, spec.template) ? [] : podSpecWarnings(spec.template.spec, 'spec.template.spec')),
  ],
  generation: 'spec-change',
  // The deployment controller keeps its revision in an annotation, and waits until that was observed too.
  raisesGeneration: (next, previous) => !semanticEqual(next.metadata.annotations, previous.metadata.annotations),
  scale: {
    replicas: ({ spec }) => spec.replicas ?? 0,
    setReplicas: ({ spec }, replicas) => { spec.replicas = replicas; },
    currentReplicas: ({ status }) => status?.replicas ?? 0,
    selector: ({ spec }) => spec.selector,
  },
  columns: [
    nameColumn(),
    textColumn('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`),
    { name: 'Up-to-date', type: 'string', value: ({ status }) => status?.updatedReplicas ?? 0 },
    { name: 'Available', type: 'string', value: ({ status }) => status?.availableReplicas ?? 0 },
    ageColumn(),
    ...templateColumns<Deployment>(({ spec }) => spec.template),
    selectorColumn(({ spec }) => spec.selector),
  ],
});
