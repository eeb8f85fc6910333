// ReplicaSet of apps/v1: so many pods of one template.
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { type FieldError } from '#lib/machinery/field-error.ts';
import { unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, countColumn, nameColumn, selectorColumn, templateColumns } from '../columns.ts';
import { defaultPodTemplate } from '../core/pod-defaults.ts';
import { podNameWarnings, podSpecWarnings } from '../core/pod-warnings.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { ReplicaSet } from '../types/apps-v1.ts';
import { notNegative } from '../validation.ts';
import { validateAtMostReplicas, validateCounts, validateSelector, validateWorkloadTemplate } from './workload-validation.ts';

function applyDefaults(replicaSet: ReplicaSet): void {
  // A body may leave out what the type requires.
  const spec = (replicaSet.spec ??= {} as ReplicaSet['spec']);
  spec.replicas ??= 1;
  spec.template ??= {};
  defaultPodTemplate(spec.template);
}

const validate = ({ spec }: ReplicaSet): FieldError[] => [
  ...notNegative(spec.replicas, 'spec.replicas'),
  ...notNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
  ...validateSelector(spec.selector, 'deployment'),
  ...validateWorkloadTemplate(spec.template, spec.selector, 'ReplicaSet'),
];

export const replicaSetKind = defineKind<ReplicaSet>({
  group: 'apps', version: 'v1', kind: 'ReplicaSet', plural: 'replicasets', singular: 'replicaset', scope: 'Namespaced',
  schema: 'io.k8s.api.apps.v1.ReplicaSet',
  shortNames: ['rs'],
  categories: ['all'],
  storageVersionHash: 'P1RzHs8/mWQ=',
  subresources: {
    scale: { verbs: ['get', 'patch', 'update'], kind: 'Scale', group: 'autoscaling', version: 'v1' },
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForCreate: (replicaSet) => { replicaSet.status = { replicas: 0 }; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate,
  validateUpdate: (next, previous) => unchanged(next.spec.selector, previous.spec.selector, 'spec.selector'),
  validateStatusUpdate: ({ status }) => [
    ...validateCounts(status ?? {}, ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration', 'terminatingReplicas']),
    ...validateAtMostReplicas(status ?? {}, ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas']),
  ],
  warnings: ({ metadata, spec }, previous) => [
    ...(previous === undefined ? podNameWarnings(metadata.name) : []),
    ...(previous !== undefined && semanticEqual(previous.spec.template, spec.template) ? [] : podSpecWarnings(spec.template?.spec, 'spec.template.spec')),
  ],
  generation: 'spec-change',
  selectableFields: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) },
  scale: {
    replicas: ({ spec }) => spec.replicas ?? 0,
    setReplicas: ({ spec }, replicas) => { spec.replicas = replicas; },
    currentReplicas: ({ status }) => status?.replicas ?? 0,
    selector: ({ spec }) => spec.selector,
  },
  columns: [
    nameColumn(),
    countColumn('Desired', ({ spec }) => spec.replicas),
    countColumn('Current', ({ status }) => status?.replicas),
    countColumn('Ready', ({ status }) => status?.readyReplicas),
    ageColumn(),
    ...templateColumns<ReplicaSet>(({ spec }) => spec.template),
    selectorColumn(({ spec }) => spec.selector),
  ],
});
