// StatefulSet of apps/v1: pods with an ordinal and storage of their own, made and replaced in order.
import { ageColumn, nameColumn, templateColumns, textColumn } from '../columns.ts';
import { defaultClaim } from '../core/persistent-volume-claim.ts';
import { defaultPodTemplate } from '../core/pod-defaults.ts';
import { defineKind } from '../define-kind.ts';
import { dnsLabelProblems } from '#lib/machinery/names.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { StatefulSet } from '../types/apps-v1.ts';
import { notNegative } from '../validation.ts';
import { validateSelector, validateWorkloadTemplate } from './workload-validation.ts';

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
  validate: ({ spec }) => [
    ...notNegative(spec.replicas, 'spec.replicas'),
    ...notNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
    ...validateSelector(spec.selector, 'statefulset'),
    ...validateWorkloadTemplate(spec.template, spec.selector, 'StatefulSet'),
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
