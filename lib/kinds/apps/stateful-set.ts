// StatefulSet of apps/v1: pods with an ordinal and storage of their own, made and replaced in order.
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { percentOf } from '#lib/machinery/int-or-percent.ts';
import { dnsLabelProblems } from '#lib/machinery/names.ts';
import { checked, validateAnnotations, validateLabels, validateLabelSelector } from '#lib/machinery/object-meta.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';
import { ageColumn, nameColumn, templateColumns, textColumn } from '../columns.ts';
import { defaultClaim } from '../core/persistent-volume-claim.ts';
import { defaultPodTemplate } from '../core/pod-defaults.ts';
import { podSpecWarnings } from '../core/pod-warnings.ts';
import { defineKind } from '../define-kind.ts';
import { keep, keepSpec, keepStatus } from '../strategy.ts';
import type { StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy } from '../types/apps-v1.ts';
import { atMostHundredPercent, intOrPercent, notNegative } from '../validation.ts';
import { validateCollisionCount, validateCounts, validateSelector } from './workload-validation.ts';

function applyDefaults(statefulSet: StatefulSet): void {
  // A body may leave out what the type requires.
  const spec = (statefulSet.spec ??= {} as StatefulSet['spec']);
  spec.podManagementPolicy ||= 'OrderedReady';
  spec.updateStrategy ??= {};
  spec.updateStrategy.type ||= 'RollingUpdate';
  if (spec.updateStrategy.type === 'RollingUpdate') {
    spec.updateStrategy.rollingUpdate ??= {};
    spec.updateStrategy.rollingUpdate.partition ??= 0;
  }
  spec.persistentVolumeClaimRetentionPolicy ??= {};
  spec.persistentVolumeClaimRetentionPolicy.whenDeleted ||= 'Retain';
  spec.persistentVolumeClaimRetentionPolicy.whenScaled ||= 'Retain';
  spec.replicas ??= 1;
  spec.revisionHistoryLimit ??= 10;
  spec.template ??= {};
  defaultPodTemplate(spec.template);
  for (const claim of spec.volumeClaimTemplates ?? []) {
    claim.apiVersion ||= 'v1';
    claim.kind ||= 'PersistentVolumeClaim';
    claim.metadata ??= {} as typeof claim.metadata;
    defaultClaim(claim);
  }
}

const POLICIES = ['OrderedReady', 'Parallel'];

function validateManagement(policy: string | undefined): FieldError[] {
  if (!policy) return [required('spec.podManagementPolicy')];
  return POLICIES.includes(policy) ? [] : [invalid('spec.podManagementPolicy', policy, "must be 'OrderedReady' or 'Parallel'")];
}

function validateUpdateStrategy(strategy: StatefulSetUpdateStrategy | undefined): FieldError[] {
  const path = 'spec.updateStrategy';
  const { type, rollingUpdate } = strategy ?? {};
  if (!type) return [required(path)];
  if (type === 'OnDelete') return rollingUpdate === undefined ? [] : [invalid(`${path}.rollingUpdate`, rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'")];
  if (type !== 'RollingUpdate') return [invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'")];
  const { partition, maxUnavailable } = rollingUpdate ?? {};
  const errors = notNegative(partition, `${path}.rollingUpdate.partition`);
  if (maxUnavailable === undefined) return errors;
  const at = `${path}.rollingUpdate.maxUnavailable`;
  errors.push(...intOrPercent(maxUnavailable, at));
  if ((typeof maxUnavailable === 'string' ? percentOf(maxUnavailable) : maxUnavailable) === 0) errors.push(invalid(at, maxUnavailable, 'cannot be 0'));
  return [...errors, ...atMostHundredPercent(maxUnavailable, at)];
}

function validateRetention({ persistentVolumeClaimRetentionPolicy: policy }: StatefulSetSpec): FieldError[] {
  return (['whenDeleted', 'whenScaled'] as const).flatMap((when) => {
    const value = policy?.[when];
    return value === undefined || value === 'Retain' || value === 'Delete' ? [] : [notSupported(`spec.persistentVolumeClaimRetentionPolicy.${when}`, value, ['Retain', 'Delete'])];
  });
}

/** The pod spec itself is not checked: it mounts volumes that only the claims bring, and bad pods are refused one by one. */
function validateTemplate({ selector, template: { metadata, spec } }: StatefulSetSpec): FieldError[] {
  const errors: FieldError[] = [];
  const isSelecting = Object.keys(selector?.matchLabels ?? {}).length + (selector?.matchExpressions ?? []).length > 0;
  if (isSelecting && validateLabelSelector(selector, '').length === 0 && !labelSelector(selector).matches(metadata?.labels)) {
    errors.push(invalid('spec.template.metadata.labels', metadata?.labels ?? null, '`selector` does not match template `labels`'));
  }
  errors.push(...validateLabels(metadata?.labels, 'spec.template.labels'), ...validateAnnotations(metadata?.annotations, 'spec.template.annotations'));
  if (spec?.restartPolicy !== 'Always') errors.push(notSupported('spec.template.spec.restartPolicy', spec?.restartPolicy ?? '', ['Always']));
  if (spec?.activeDeadlineSeconds !== undefined) errors.push(forbidden('spec.template.spec.activeDeadlineSeconds', 'activeDeadlineSeconds in StatefulSet is not Supported'));
  return errors;
}

const validate = ({ spec }: StatefulSet): FieldError[] => [
  ...validateManagement(spec.podManagementPolicy),
  ...validateUpdateStrategy(spec.updateStrategy),
  ...validateRetention(spec),
  ...notNegative(spec.replicas, 'spec.replicas'),
  ...notNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
  ...notNegative(spec.ordinals?.start, 'spec.ordinals.start'),
  ...(spec.serviceName ? checked('spec.serviceName', spec.serviceName, dnsLabelProblems) : []),
  ...validateSelector(spec.selector, 'statefulset'),
  ...validateTemplate(spec),
];

const UPDATABLE = ['replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy', 'minReadySeconds'] as const;

function validateUpdate({ spec: next }: StatefulSet, { spec: previous }: StatefulSet): FieldError[] {
  const undone = { ...next };
  keep(undone, previous, ...UPDATABLE);
  if (semanticEqual(undone, previous)) return [];
  const fields = UPDATABLE.map((name) => `'${name}'`);
  return [forbidden('spec', `updates to statefulset spec for fields other than ${fields.slice(0, -1).join(', ')} and ${fields.at(-1) ?? ''} are forbidden`)];
}

const COUNTS = ['replicas', 'readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas', 'observedGeneration', 'collisionCount'];

function validateStatusUpdate({ status }: StatefulSet, previous: StatefulSet): FieldError[] {
  const { replicas = 0, availableReplicas = 0, readyReplicas = 0 } = status ?? {};
  const errors = validateCounts(status ?? {}, COUNTS);
  for (const name of ['readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas'] as const) {
    if ((status?.[name] ?? 0) > replicas) errors.push(invalid(`status.${name}`, status?.[name], 'cannot be greater than status.replicas'));
  }
  if (availableReplicas > readyReplicas) errors.push(invalid('status.availableReplicas', availableReplicas, 'cannot be greater than status.readyReplicas'));
  return [...errors, ...validateCollisionCount(status?.collisionCount, previous.status?.collisionCount)];
}

export const statefulSetKind = defineKind<StatefulSet>({
  group: 'apps', version: 'v1', kind: 'StatefulSet', plural: 'statefulsets', singular: 'statefulset', scope: 'Namespaced',
  schema: 'io.k8s.api.apps.v1.StatefulSet',
  shortNames: ['sts'],
  categories: ['all'],
  storageVersionHash: 'H+vl74LkKdo=',
  subresources: {
    scale: { verbs: ['get', 'patch', 'update'], kind: 'Scale', group: 'autoscaling', version: 'v1' },
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForCreate: (statefulSet) => { statefulSet.status = { replicas: 0 }; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validateName: dnsLabelProblems,
  validate,
  validateUpdate,
  validateStatusUpdate,
  warnings: ({ spec }, previous) => [
    ...(previous !== undefined && semanticEqual(previous.spec.template, spec.template) ? [] : podSpecWarnings(spec.template.spec, 'spec.template.spec')),
    ...((spec.revisionHistoryLimit ?? 0) < 0 ? ['spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended'] : []),
  ],
  generation: 'spec-change',
  scale: {
    replicas: ({ spec }) => spec.replicas ?? 0,
    setReplicas: ({ spec }, replicas) => { spec.replicas = replicas; },
    currentReplicas: ({ status }) => status?.replicas ?? 0,
    selector: ({ spec }) => spec.selector,
  },
  columns: [
    nameColumn(),
    textColumn('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`),
    ageColumn(),
    ...templateColumns<StatefulSet>(({ spec }) => spec.template),
  ],
});
