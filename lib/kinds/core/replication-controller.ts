// ReplicationController of v1: so many pods of one template, as ReplicaSet had it before there was one.
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { selectorFromMap } from '#lib/machinery/selectors.ts';
import { validateAtMostReplicas, validateCounts } from '../apps/workload-validation.ts';
import { ageColumn, countColumn, labelsText, nameColumn, templateColumns, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { ReplicationController } from '../types/core-v1.ts';
import { notNegative } from '../validation.ts';
import { defaultPodTemplate } from './pod-defaults.ts';
import { validatePodTemplate } from './pod-validation.ts';
import { podNameWarnings, podSpecWarnings } from './pod-warnings.ts';

const isEmpty = (labels: Readonly<Record<string, string>> | undefined): boolean => Object.keys(labels ?? {}).length === 0;

function applyDefaults(controller: ReplicationController): void {
  // A body may leave out what the type requires.
  const spec = (controller.spec ??= {});
  spec.replicas ??= 1;
  if (spec.template === undefined) return;
  defaultPodTemplate(spec.template);
  const labels = spec.template.metadata?.labels;
  if (isEmpty(labels)) return;
  if (isEmpty(spec.selector)) spec.selector = { ...labels };
  if (isEmpty(controller.metadata.labels)) controller.metadata.labels = { ...labels };
}

function validate({ spec }: ReplicationController): FieldError[] {
  const { selector = {}, template } = spec;
  const errors = [
    ...notNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
    ...(isEmpty(selector) ? [required('spec.selector')] : []),
    ...notNegative(spec.replicas, 'spec.replicas'),
  ];
  if (template === undefined) return [...errors, required('spec.template')];
  const labels = template.metadata?.labels;
  if (!isEmpty(selector) && !selectorFromMap(selector).matches(labels)) {
    errors.push(invalid('spec.template.metadata.labels', labels ?? null, '`selector` does not match template `labels`'));
  }
  errors.push(...validatePodTemplate(template, 'spec.template'));
  const { restartPolicy, activeDeadlineSeconds } = template.spec ?? {};
  if (restartPolicy !== 'Always') errors.push(notSupported('spec.template.spec.restartPolicy', restartPolicy ?? '', ['Always']));
  if (activeDeadlineSeconds !== undefined) errors.push(forbidden('spec.template.spec.activeDeadlineSeconds', 'activeDeadlineSeconds in ReplicationController is not Supported'));
  return errors;
}

export const replicationControllerKind = defineKind<ReplicationController>({
  group: '', version: 'v1', kind: 'ReplicationController', plural: 'replicationcontrollers', singular: 'replicationcontroller', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.ReplicationController',
  shortNames: ['rc'],
  categories: ['all'],
  storageVersionHash: 'Jond2If31h0=',
  storagePrefix: 'controllers',
  subresources: {
    scale: { verbs: ['get', 'patch', 'update'], kind: 'Scale', group: 'autoscaling', version: 'v1' },
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForCreate: (controller) => { controller.status = { replicas: 0 }; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate,
  validateStatusUpdate: ({ status }) => [
    ...validateCounts(status ?? {}, ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration']),
    ...validateAtMostReplicas(status ?? {}, ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas']),
  ],
  warnings: ({ metadata, spec }, previous) => [
    ...(previous === undefined ? podNameWarnings(metadata.name) : []),
    ...(previous !== undefined && semanticEqual(previous.spec.template, spec.template) ? [] : podSpecWarnings(spec.template?.spec, 'spec.template.spec')),
  ],
  generation: 'spec-change',
  defaultPropagation: 'Orphan',
  selectableFields: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) },
  scale: {
    replicas: ({ spec }) => spec.replicas ?? 0,
    setReplicas: ({ spec }, replicas) => { spec.replicas = replicas; },
    currentReplicas: ({ status }) => status?.replicas ?? 0,
    selector: ({ spec }) => ({ matchLabels: spec.selector ?? {} }),
  },
  columns: [
    nameColumn(),
    countColumn('Desired', ({ spec }) => spec.replicas),
    countColumn('Current', ({ status }) => status?.replicas),
    countColumn('Ready', ({ status }) => status?.readyReplicas),
    ageColumn(),
    ...templateColumns<ReplicationController>(({ spec }) => spec.template),
    textColumn('Selector', ({ spec }) => labelsText(spec.selector), 1),
  ],
});
