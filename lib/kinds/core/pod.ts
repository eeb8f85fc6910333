// Pod of v1: containers that live and die together on one node.
// Defaults, validation and columns are in pod-*.ts beside this file, shared with pod templates where they apply.
import { dnsLabelProblems } from '#lib/machinery/names.ts';
import { defineKind } from '../define-kind.ts';
import { keep, keepStatus } from '../strategy.ts';
import type { Pod, PodAffinityTerm, TopologySpreadConstraint } from '../types/core-v1.ts';
import type { LabelSelectorRequirement } from '../types/meta-v1.ts';
import { podColumns, podRowConditions } from './pod-columns.ts';
import { defaultPod } from './pod-defaults.ts';
import { qosClassOf } from './pod-qos.ts';
import { validatePod, validatePodCreate, validatePodStatusUpdate, validatePodUpdate } from './pod-validation.ts';
import { podWarnings } from './pod-warnings.ts';

/** Turns `matchLabelKeys` into requirements with the pod's own values, so that the scheduler need not know them. */
function addOwnLabels(term: PodAffinityTerm | TopologySpreadConstraint | undefined, labels: Readonly<Record<string, string>>): void {
  if (term?.labelSelector === undefined) return;
  const requirements: LabelSelectorRequirement[] = [];
  const add = (keys: readonly string[] | undefined, operator: string): void => {
    for (const key of keys ?? []) {
      const value = labels[key];
      if (value !== undefined) requirements.push({ key, operator, values: [value] });
    }
  };
  add(term.matchLabelKeys, 'In');
  if ('mismatchLabelKeys' in term) add(term.mismatchLabelKeys, 'NotIn');
  if (requirements.length > 0) term.labelSelector.matchExpressions = [...(term.labelSelector.matchExpressions ?? []), ...requirements];
}

function prepareForCreate(pod: Pod): void {
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
  const terms = [podAffinity, podAntiAffinity].flatMap((one) => [
    ...(one?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(one?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
  ]);
  for (const term of [...terms, ...(pod.spec.topologySpreadConstraints ?? [])]) addOwnLabels(term, pod.metadata.labels ?? {});
  pod.status = { phase: 'Pending', qosClass: qosClassOf(pod) };
  if (pod.spec.schedulingGates !== undefined && pod.spec.schedulingGates.length > 0) {
    pod.status.conditions = [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated', message: 'Scheduling is blocked due to non-empty scheduling gates' }];
  }
}

function prepareForStatusUpdate(next: Pod, previous: Pod): void {
  keep(next, previous, 'spec');
  keep(next.metadata, previous.metadata, 'deletionTimestamp', 'ownerReferences');
  next.status ??= {};
  const qosClass = next.status.qosClass || previous.status?.qosClass;
  if (qosClass) next.status.qosClass = qosClass;
}

/** Nobody waits for a pod that no node has, or that is over. */
function gracePeriodSeconds(pod: Pod, requested: number | undefined): number {
  if (!pod.spec.nodeName || pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return 0;
  const seconds = requested ?? pod.spec.terminationGracePeriodSeconds ?? 0;
  return seconds < 0 ? 1 : seconds;
}

export const podKind = defineKind<Pod>({
  group: '', version: 'v1', kind: 'Pod', plural: 'pods', singular: 'pod', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.Pod',
  shortNames: ['po'],
  categories: ['all'],
  storageVersionHash: 'xPOwRZ+Yhw8=',
  subresources: {
    attach: { verbs: ['create', 'get'], kind: 'PodAttachOptions' },
    binding: { verbs: ['create'], kind: 'Binding' },
    ephemeralcontainers: { verbs: ['get', 'patch', 'update'] },
    eviction: { verbs: ['create'], kind: 'Eviction', group: 'policy', version: 'v1' },
    exec: { verbs: ['create', 'get'], kind: 'PodExecOptions' },
    log: { verbs: ['get'] },
    portforward: { verbs: ['create', 'get'], kind: 'PodPortForwardOptions' },
    proxy: { verbs: ['create', 'delete', 'get', 'patch', 'update'], kind: 'PodProxyOptions' },
    resize: { verbs: ['get', 'patch', 'update'] },
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults: defaultPod,
  prepareForCreate,
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate,
  validate: validatePod,
  validateCreate: validatePodCreate,
  validateUpdate: validatePodUpdate,
  validateStatusUpdate: validatePodStatusUpdate,
  warnings: (pod, previous) => [
    ...(previous === undefined ? nameWarnings(pod) : []),
    ...podWarnings(pod),
  ],
  columns: podColumns,
  rowConditions: podRowConditions,
  generation: 'spec-change',
  gracePeriodSeconds,
  selectableFields: {
    'spec.nodeName': (pod) => pod.spec.nodeName ?? '',
    'spec.restartPolicy': (pod) => pod.spec.restartPolicy ?? '',
    'spec.schedulerName': (pod) => pod.spec.schedulerName ?? '',
    'spec.serviceAccountName': (pod) => pod.spec.serviceAccountName ?? '',
    'spec.hostNetwork': (pod) => String(pod.spec.hostNetwork ?? false),
    'status.phase': (pod) => pod.status?.phase ?? '',
    'status.podIP': (pod) => pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? '',
    'status.nominatedNodeName': (pod) => pod.status?.nominatedNodeName ?? '',
  },
});

function nameWarnings({ metadata }: Pod): string[] {
  const problems = dnsLabelProblems(metadata.name);
  if (problems.length === 0) return [];
  return [`metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [${problems.join(' ')}]`];
}
