// What one object costs in terms of a ResourceQuota, and which quotas it falls under. Used by whoever admits objects and by
// whoever counts them afterwards, so that both come to the same figure.
// Source: pkg/quota/v1/evaluator/core, apiserver pkg/quota/v1/generic.
import { parseQuantity, type Quantity } from '#lib/machinery/quantity.ts';
import type { KubernetesObject } from '../define-kind.ts';
import type { PersistentVolumeClaim, Pod, PodAffinityTerm, ResourceQuota, ScopedResourceSelectorRequirement, Service } from '../types/core-v1.ts';
import { podAmounts, type Amounts } from './pod-amounts.ts';
import { qosClassOf } from './pod-qos.ts';

export interface QuotaResource {
  readonly group: string;
  readonly plural: string;
}

const ONE: Quantity = parseQuantity('1');
const count = (number: number): Quantity => parseQuantity(String(number));
/** These are counted under their bare name too. */
const BARE_COUNTS: ReadonlySet<string> = new Set(['configmaps', 'persistentvolumeclaims', 'pods', 'replicationcontrollers', 'resourcequotas', 'secrets', 'services']);
const POD_RESOURCES: ReadonlySet<string> = new Set([
  'count/pods', 'pods', 'cpu', 'memory', 'ephemeral-storage', 'requests.cpu', 'requests.memory', 'requests.ephemeral-storage', 'limits.cpu', 'limits.memory', 'limits.ephemeral-storage',
]);
const CLASS_SUFFIX = '.storageclass.storage.k8s.io/';

export const countName = ({ group, plural }: QuotaResource): string => `count/${plural}${group === '' ? '' : `.${group}`}`;
const isHugePages = (name: string): boolean => name.startsWith('hugepages-');
const isExtended = (name: string): boolean => name.includes('/') && !/(^|\.)kubernetes\.io\//.test(name) && !name.startsWith('requests.');
const isCore = ({ group, plural }: QuotaResource, name: string): boolean => group === '' && plural === name;

/** Those of `names` that objects of this resource can use up. */
export function matchingResources(resource: QuotaResource, names: readonly string[]): string[] {
  const own = countName(resource);
  if (isCore(resource, 'pods')) {
    return names.filter((name) => POD_RESOURCES.has(name) || isHugePages(name) || name.startsWith('requests.hugepages-') || (name.startsWith('requests.') && isExtended(name.slice('requests.'.length))));
  }
  if (isCore(resource, 'services')) return names.filter((name) => ['services', 'services.nodeports', 'services.loadbalancers', own].includes(name));
  if (isCore(resource, 'persistentvolumeclaims')) return names.filter((name) => ['persistentvolumeclaims', 'requests.storage', own].includes(name) || name.includes(CLASS_SUFFIX));
  return names.filter((name) => name === own || (resource.group === '' && name === resource.plural && BARE_COUNTS.has(name)));
}

function computeUsage(requests: ReadonlyMap<string, Quantity>, limits: ReadonlyMap<string, Quantity>): Amounts {
  const usage: Amounts = new Map([['pods', ONE]]);
  for (const [name, amount] of requests) {
    if (['cpu', 'memory', 'ephemeral-storage'].includes(name) || isHugePages(name)) usage.set(name, amount).set(`requests.${name}`, amount);
    else if (isExtended(name)) usage.set(`requests.${name}`, amount);
  }
  for (const name of ['cpu', 'memory', 'ephemeral-storage']) {
    const limit = limits.get(name);
    if (limit) usage.set(`limits.${name}`, limit);
  }
  return usage;
}

/** A pod that is over, or stuck in its end, costs nothing but its entry. */
function isCharged({ metadata, status }: Readonly<Pod>, nowMs: number): boolean {
  if (status?.phase === 'Failed' || status?.phase === 'Succeeded') return false;
  const { deletionTimestamp, deletionGracePeriodSeconds } = metadata;
  return deletionTimestamp === undefined || deletionGracePeriodSeconds === undefined || nowMs <= Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000;
}

function serviceUsage({ spec }: Readonly<Service>): Amounts {
  const ports = spec?.ports ?? [];
  const usage: Amounts = new Map([['services', ONE], ['services.nodeports', count(0)], ['services.loadbalancers', count(0)]]);
  if (spec?.type === 'NodePort') usage.set('services.nodeports', count(ports.length));
  if (spec?.type === 'LoadBalancer') {
    const nodePorts = spec.allocateLoadBalancerNodePorts === false ? ports.filter(({ nodePort }) => Boolean(nodePort)) : ports;
    usage.set('services.nodeports', count(nodePorts.length)).set('services.loadbalancers', ONE);
  }
  return usage;
}

function claimUsage({ metadata, spec, status }: Readonly<PersistentVolumeClaim>): Amounts {
  const usage: Amounts = new Map([['persistentvolumeclaims', ONE]]);
  const className = metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? spec?.storageClassName ?? '';
  if (className !== '') usage.set(`${className}${CLASS_SUFFIX}persistentvolumeclaims`, ONE);
  const asked = spec?.resources?.requests?.['storage'];
  if (asked === undefined) return usage;
  const [requested, allocated] = [parseQuantity(asked), parseQuantity(status?.allocatedResources?.['storage'] ?? '0')];
  const storage = allocated.nanos > requested.nanos ? allocated : requested;
  usage.set('requests.storage', storage);
  if (className !== '') usage.set(`${className}${CLASS_SUFFIX}requests.storage`, storage);
  return usage;
}

export function quotaUsage(resource: QuotaResource, object: Readonly<KubernetesObject>, nowMs: number): Amounts {
  const usage: Amounts = new Map([[countName(resource), ONE]]);
  let more: ReadonlyMap<string, Quantity> = new Map();
  if (isCore(resource, 'pods')) {
    const pod = object as Pod;
    if (isCharged(pod, nowMs)) {
      const { requests, limits } = podAmounts(pod.spec, { withOverhead: true });
      more = computeUsage(requests, limits);
    }
  } else if (isCore(resource, 'services')) more = serviceUsage(object as Service);
  else if (isCore(resource, 'persistentvolumeclaims')) more = claimUsage(object as PersistentVolumeClaim);
  else if (resource.group === '' && BARE_COUNTS.has(resource.plural)) more = new Map([[resource.plural, ONE]]);
  for (const [name, amount] of more) usage.set(name, amount);
  return usage;
}

const CONSTRAINED = ['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'] as const;

/** With a quota on processor or memory every container has to say what it takes. Undefined: nothing is missing. */
export function missingResources(resource: QuotaResource, object: Readonly<KubernetesObject>, restricted: readonly string[]): string | undefined {
  if (!isCore(resource, 'pods')) return undefined;
  const { spec } = object as Pod;
  const missing = new Map<string, string[]>();
  for (const { name, resources } of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    const says = (wanted: string): boolean => {
      const [part, what] = wanted.includes('.') ? wanted.split('.') as [string, string] : ['requests', wanted];
      return resources?.[part as 'requests' | 'limits']?.[what] !== undefined;
    };
    for (const wanted of CONSTRAINED) if (restricted.includes(wanted) && !says(wanted)) missing.set(wanted, [...(missing.get(wanted) ?? []), name]);
  }
  if (missing.size === 0) return undefined;
  return `must specify ${[...missing].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, containers]) => `${name} for: ${[...new Set(containers)].sort().join(',')}`).join('; ')}`;
}

function usesCrossNamespaceAffinity({ spec }: Readonly<Pod>): boolean {
  const crosses = ({ namespaces, namespaceSelector }: PodAffinityTerm): boolean => (namespaces ?? []).length > 0 || namespaceSelector !== undefined;
  return [spec.affinity?.podAffinity, spec.affinity?.podAntiAffinity].some((one) =>
    (one?.requiredDuringSchedulingIgnoredDuringExecution ?? []).some(crosses)
    || (one?.preferredDuringSchedulingIgnoredDuringExecution ?? []).some(({ podAffinityTerm }) => crosses(podAffinityTerm)));
}

function selects({ operator, values = [] }: ScopedResourceSelectorRequirement, value: string): boolean {
  switch (operator) {
    case 'Exists': return value !== '';
    case 'DoesNotExist': return value === '';
    case 'In': return value !== '' && values.includes(value);
    case 'NotIn': return !values.includes(value);
    default: return false;
  }
}

function isInScope(resource: QuotaResource, object: Readonly<KubernetesObject>, selector: ScopedResourceSelectorRequirement): boolean {
  const { scopeName } = selector;
  if (isCore(resource, 'persistentvolumeclaims')) {
    return scopeName === 'VolumeAttributesClass' && selects(selector, (object as PersistentVolumeClaim).spec?.volumeAttributesClassName ?? '');
  }
  if (!isCore(resource, 'pods')) return false;
  const pod = object as Pod;
  const isTerminating = (pod.spec.activeDeadlineSeconds ?? -1) >= 0;
  switch (scopeName) {
    case 'Terminating': return isTerminating;
    case 'NotTerminating': return !isTerminating;
    case 'BestEffort': return qosClassOf(pod) === 'BestEffort';
    case 'NotBestEffort': return qosClassOf(pod) !== 'BestEffort';
    case 'PriorityClass': return selects(selector, pod.spec.priorityClassName ?? '');
    case 'CrossNamespacePodAffinity': return usesCrossNamespaceAffinity(pod);
    default: return false;
  }
}

/** True when the object is in every scope of the quota, and the quota limits something that the object uses. */
export function isUnderQuota({ spec, status }: Readonly<ResourceQuota>, resource: QuotaResource, object: Readonly<KubernetesObject>): boolean {
  const selectors = [...(spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' })), ...(spec?.scopeSelector?.matchExpressions ?? [])];
  const limited = Object.keys(status?.hard ?? spec?.hard ?? {});
  return matchingResources(resource, limited).length > 0 && selectors.every((selector) => isInScope(resource, object, selector));
}
