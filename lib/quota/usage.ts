// What an object takes out of a ResourceQuota. Shared by the API server, which refuses what would exceed a quota, and the
// quota controller, which counts what there is. Source: pkg/quota/v1/evaluator/core and apiserver pkg/quota/v1/generic.
import type { PersistentVolumeClaim, Pod, Service } from '#lib/kinds/types/core-v1.ts';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import { parseQuantity, type Quantity } from '#lib/machinery/quantity.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { addTo, podAmounts, type Amounts } from './pod-amounts.ts';

/** Group and plural of a kind: all that quotas know of it. */
export interface QuotaResource {
  readonly group: string;
  readonly plural: string;
}

const count = (amount: number): Quantity => ({ nanos: BigInt(amount) * 1_000_000_000n, format: 'DecimalSI' });
export const ZERO: Quantity = count(0);

/** `count/deployments.apps` */
export const objectCountName = ({ group, plural }: QuotaResource): string => `count/${group === '' ? plural : `${plural}.${group}`}`;

/** Kinds of the core group that are counted under their own name as well. */
const COUNTED_BY_NAME = new Set(['configmaps', 'secrets', 'replicationcontrollers', 'resourcequotas', 'services', 'persistentvolumeclaims', 'pods']);
const STORAGE_CLASS_SUFFIX = '.storageclass.storage.k8s.io/';
const PLAIN = new Set(['cpu', 'memory', 'ephemeral-storage']);

const isCore = ({ group }: QuotaResource, plural: string, actual: string): boolean => group === '' && plural === actual;

/** Whether a quota that limits `name` has anything to do with objects of the kind. */
export function isTrackedBy(resource: QuotaResource, name: string): boolean {
  if (name === objectCountName(resource)) return true;
  const is = (plural: string) => isCore(resource, plural, resource.plural);
  if (is('pods')) {
    return name === 'pods' || PLAIN.has(name) || (name.startsWith('requests.') && name !== 'requests.storage') || name.startsWith('limits.') || name.startsWith('hugepages-');
  }
  if (is('services')) return name === 'services' || name === 'services.nodeports' || name === 'services.loadbalancers';
  if (is('persistentvolumeclaims')) return name === 'persistentvolumeclaims' || name === 'requests.storage' || name.includes(STORAGE_CLASS_SUFFIX);
  return resource.group === '' && COUNTED_BY_NAME.has(resource.plural) && name === resource.plural;
}

/** Pods that have ended, or whose kubelet is long overdue to end them, take nothing but their place in the store. */
export function isCountedPod(pod: Readonly<Pod>, nowMs: number): boolean {
  if (pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') return false;
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
  if (deletionTimestamp === undefined || deletionGracePeriodSeconds === undefined) return true;
  return nowMs <= (parseTimeOrUndefined(deletionTimestamp) ?? 0) + deletionGracePeriodSeconds * 1000;
}

function podUsage(pod: Readonly<Pod>, nowMs: number): Amounts {
  const usage: Amounts = new Map([['count/pods', count(1)]]);
  if (!isCountedPod(pod, nowMs)) return usage;
  usage.set('pods', count(1));
  const { requests, limits } = podAmounts(pod.spec, { withOverhead: true });
  for (const [name, amount] of requests) {
    if (PLAIN.has(name) || name.startsWith('hugepages-')) usage.set(name, amount);
    usage.set(`requests.${name}`, amount);
  }
  for (const [name, amount] of limits) if (PLAIN.has(name)) usage.set(`limits.${name}`, amount);
  return usage;
}

function serviceUsage({ spec }: Readonly<Service>): Amounts {
  const { type, ports = [], allocateLoadBalancerNodePorts } = spec ?? {};
  let nodePorts = 0;
  if (type === 'NodePort') nodePorts = ports.length;
  else if (type === 'LoadBalancer') nodePorts = allocateLoadBalancerNodePorts === false ? ports.filter(({ nodePort }) => nodePort !== undefined && nodePort !== 0).length : ports.length;
  return new Map([
    ['services', count(1)], ['count/services', count(1)],
    ['services.nodeports', count(nodePorts)], ['services.loadbalancers', count(type === 'LoadBalancer' ? 1 : 0)],
  ]);
}

const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class';

function claimUsage({ metadata, spec, status }: Readonly<PersistentVolumeClaim>): Amounts {
  const usage: Amounts = new Map([['persistentvolumeclaims', count(1)], ['count/persistentvolumeclaims', count(1)]]);
  const className = metadata.annotations?.[BETA_CLASS] ?? spec?.storageClassName ?? '';
  if (className !== '') usage.set(`${className}${STORAGE_CLASS_SUFFIX}persistentvolumeclaims`, count(1));
  const asked = spec?.resources?.requests?.['storage'];
  if (asked === undefined) return usage;
  let storage = parseQuantity(asked);
  // A resize that was tried holds its room until it is done or taken back.
  const allocated = status?.allocatedResources?.['storage'];
  if (allocated !== undefined && parseQuantity(allocated).nanos > storage.nanos) storage = parseQuantity(allocated);
  usage.set('requests.storage', storage);
  if (className !== '') usage.set(`${className}${STORAGE_CLASS_SUFFIX}requests.storage`, storage);
  return usage;
}

/** What one object takes, by the names that quotas use. */
export function usageOf(resource: QuotaResource, object: Readonly<KubernetesObject>, nowMs: number): Amounts {
  if (resource.group === '') {
    switch (resource.plural) {
      case 'pods': return podUsage(object as Pod, nowMs);
      case 'services': return serviceUsage(object as Service);
      case 'persistentvolumeclaims': return claimUsage(object as PersistentVolumeClaim);
      default:
    }
  }
  const usage: Amounts = new Map([[objectCountName(resource), count(1)]]);
  if (resource.group === '' && COUNTED_BY_NAME.has(resource.plural)) usage.set(resource.plural, count(1));
  return usage;
}

/** Only these names. */
export function masked(amounts: Amounts, names: Iterable<string>): Amounts {
  const wanted: Amounts = new Map();
  for (const name of names) {
    const amount = amounts.get(name);
    if (amount) wanted.set(name, amount);
  }
  return wanted;
}

export { addTo, type Amounts };
