// Which objects a ResourceQuota with scopes is about. Source: pkg/quota/v1/evaluator/core/pods.go (podMatchesScopeFunc).
import type { PersistentVolumeClaim, Pod, ResourceQuota, ScopedResourceSelectorRequirement } from '#lib/kinds/types/core-v1.ts';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import { podAmounts } from './pod-amounts.ts';
import type { QuotaResource } from './usage.ts';

/** All scopes of a quota, from both places they may stand in. */
export function scopesOf({ spec }: Readonly<ResourceQuota>): ScopedResourceSelectorRequirement[] {
  return [
    ...(spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' })),
    ...(spec?.scopeSelector?.matchExpressions ?? []),
  ];
}

/** The quality of service counts cpu and memory only. */
function isBestEffort({ spec }: Readonly<Pod>): boolean {
  const { requests, limits } = podAmounts(spec);
  const counts = (amounts: ReadonlyMap<string, { readonly nanos: bigint }>) => ['cpu', 'memory'].some((name) => (amounts.get(name)?.nanos ?? 0n) > 0n);
  const asksAtAll = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].some(({ resources }) =>
    [resources?.requests, resources?.limits].some((list) => list && ['cpu', 'memory'].some((name) => list[name] !== undefined && list[name] !== '0')));
  return !counts(requests) && !counts(limits) && !asksAtAll;
}

function usesCrossNamespaceAffinity({ spec }: Readonly<Pod>): boolean {
  const { podAffinity, podAntiAffinity } = spec.affinity ?? {};
  return [podAffinity, podAntiAffinity].some((affinity) => [
    ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
  ].some((term) => (term?.namespaces?.length ?? 0) > 0 || term?.namespaceSelector !== undefined));
}

/** `value`: empty when the object has none. */
function valueMatches({ operator, values = [] }: Readonly<ScopedResourceSelectorRequirement>, value: string): boolean {
  switch (operator) {
    case 'Exists': return value !== '';
    case 'DoesNotExist': return value === '';
    case 'In': return values.includes(value);
    case 'NotIn': return !values.includes(value);
    default: return false;
  }
}

function podMatches(scope: Readonly<ScopedResourceSelectorRequirement>, pod: Readonly<Pod>): boolean {
  const isTerminating = pod.spec.activeDeadlineSeconds !== undefined && pod.spec.activeDeadlineSeconds >= 0;
  switch (scope.scopeName) {
    case 'Terminating': return isTerminating;
    case 'NotTerminating': return !isTerminating;
    case 'BestEffort': return isBestEffort(pod);
    case 'NotBestEffort': return !isBestEffort(pod);
    case 'PriorityClass': return valueMatches(scope, pod.spec.priorityClassName ?? '');
    case 'CrossNamespacePodAffinity': return usesCrossNamespaceAffinity(pod);
    default: return false;
  }
}

function claimMatches(scope: Readonly<ScopedResourceSelectorRequirement>, { spec, status }: Readonly<PersistentVolumeClaim>): boolean {
  if (scope.scopeName !== 'VolumeAttributesClass') return false;
  const names = new Set([spec?.volumeAttributesClassName, status?.currentVolumeAttributesClassName, status?.modifyVolumeStatus?.targetVolumeAttributesClassName].filter((name) => name !== undefined && name !== ''));
  return names.size === 0 ? valueMatches(scope, '') : [...names].some((name) => valueMatches(scope, name ?? ''));
}

/** Whether one scope is about this object. */
export function scopeMatches(scope: Readonly<ScopedResourceSelectorRequirement>, { group, plural }: QuotaResource, object: Readonly<KubernetesObject>): boolean {
  if (group !== '') return false;
  if (plural === 'pods') return podMatches(scope, object as Pod);
  if (plural === 'persistentvolumeclaims') return claimMatches(scope, object as PersistentVolumeClaim);
  return false;
}

/** Whether all scopes of a quota are about this object; a quota without scopes is about everything. */
export function quotaCovers(quota: Readonly<ResourceQuota>, resource: QuotaResource, object: Readonly<KubernetesObject>): boolean {
  return scopesOf(quota).every((scope) => scopeMatches(scope, resource, object));
}
