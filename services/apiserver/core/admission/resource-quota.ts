// ResourceQuota: what a namespace may hold altogether. The use is written to the quota before the object is, each time
// against the state that was read, so that writes at the same moment cannot pass the limit together.
// Source: apiserver pkg/admission/plugin/resourcequota.
import { resourceQuotaKind } from '#lib/kinds/core/resource-quota.ts';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { Pod, ResourceQuota } from '#lib/kinds/types/core-v1.ts';
import type { Clock } from '#lib/environment/clock.ts';
import { addQuantities, canonicalQuantity, formatQuantity, parseQuantity, type Quantity } from '#lib/machinery/quantity.ts';
import { quotaCovers } from '#lib/quota/scopes.ts';
import { isTrackedBy, usageOf, type Amounts, type QuotaResource } from '#lib/quota/usage.ts';
import type { ObjectReader } from '../object-reader.ts';
import { refusal, type AdmissionAttributes, type AdmissionPlugin } from './admission.ts';

/** Changes a quota's status by optimistic rounds; `change` throws to refuse, and returns what it was given to leave it. */
export type ChargeQuota = (namespace: string, name: string, change: (quota: Readonly<ResourceQuota>) => ResourceQuota) => Promise<void>;

type ResourceList = Readonly<Record<string, string>>;

function isMeasured({ operation, kind, subresource, object }: AdmissionAttributes): boolean {
  if (operation === 'DELETE' || !object || !kind.namespaced) return false;
  if (kind.group === '' && kind.plural === 'pods') return operation === 'CREATE' ? subresource === '' : subresource === 'resize';
  const mayGrow = kind.group === '' && ['services', 'persistentvolumeclaims'].includes(kind.plural);
  return subresource === '' && (operation === 'CREATE' || mayGrow);
}

const CONSTRAINED = ['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'] as const;

/** With a quota on processor or memory every container has to say what it takes. Undefined: nothing is missing. */
export function missingResources(resource: QuotaResource, object: Readonly<KubernetesObject>, restricted: readonly string[]): string | undefined {
  if (resource.group !== '' || resource.plural !== 'pods') return undefined;
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

/** True when the object is in every scope of the quota, and the quota limits something that the object uses. */
function isUnderQuota(quota: Readonly<ResourceQuota>, resource: QuotaResource, object: Readonly<KubernetesObject>): boolean {
  return Object.keys(quota.status?.hard ?? quota.spec?.hard ?? {}).some((name) => isTrackedBy(resource, name)) && quotaCovers(quota, resource, object);
}

/** What an update adds; less than before costs nothing here, the count afterwards gives it back. */
function increase(usage: Amounts, previous: Amounts | undefined): Amounts {
  const more: Amounts = new Map();
  for (const [name, { nanos, format }] of usage) {
    const difference = nanos - (previous?.get(name)?.nanos ?? 0n);
    if (difference > 0n) more.set(name, { nanos: difference, format });
  }
  return more;
}

const listed = (names: readonly string[], valueOf: (name: string) => string): string => [...names].sort().map((name) => `${name}=${valueOf(name)}`).join(',');

/** The quota with `delta` charged, or why it cannot be. */
export function charged(quota: Readonly<ResourceQuota>, delta: Amounts): { readonly next: ResourceQuota } | { readonly refused: string } {
  const hard: ResourceList = quota.status?.hard ?? {};
  const used: ResourceList = quota.status?.used ?? {};
  const requested = [...delta].filter(([name]) => hard[name] !== undefined);
  const total = new Map<string, Quantity>(requested.map(([name, amount]) => [name, addQuantities(parseQuantity(used[name] ?? '0'), amount)]));
  const exceeded = requested.map(([name]) => name).filter((name) => (total.get(name)?.nanos ?? 0n) > parseQuantity(hard[name] ?? '0').nanos);
  if (exceeded.length > 0) {
    const amount = (name: string): string => formatQuantity(delta.get(name) ?? parseQuantity('0'));
    return {
      refused: `exceeded quota: ${quota.metadata.name}, requested: ${listed(exceeded, amount)}, `
        + `used: ${listed(exceeded, (name) => canonicalQuantity(used[name] ?? '0'))}, limited: ${listed(exceeded, (name) => canonicalQuantity(hard[name] ?? '0'))}`,
    };
  }
  const nextUsed = { ...used, ...Object.fromEntries([...total].map(([name, amount]) => [name, formatQuantity(amount)])) };
  return { next: { ...quota, metadata: { ...quota.metadata }, status: { ...quota.status, used: nextUsed } } };
}

export function resourceQuota({ objects, clock, charge }: { readonly objects: ObjectReader; readonly clock: Clock; readonly charge: ChargeQuota }): AdmissionPlugin {
  /** What this quota is to be charged, undefined when it does not concern the object. Throws the refusal. */
  function deltaFor(quota: Readonly<ResourceQuota>, attributes: AdmissionAttributes): Amounts | undefined {
    const { kind, object, previous, operation } = attributes;
    if (!object || !isUnderQuota(quota, kind, object)) return undefined;
    const { name } = quota.metadata;
    const hard = Object.keys(quota.status?.hard ?? {});
    const restricted = hard.filter((one) => isTrackedBy(kind, one));
    const missing = missingResources(kind, object, restricted);
    if (missing !== undefined) throw refusal(attributes, `failed quota: ${name}: ${missing}`);
    if (restricted.some((one) => quota.status?.used?.[one] === undefined)) throw refusal(attributes, `status unknown for quota: ${name}, resources: ${[...restricted].sort().join(',')}`);
    const nowMs = clock.nowMs();
    const before = operation === 'UPDATE' && previous && isUnderQuota(quota, kind, previous) ? usageOf(kind, previous, nowMs) : undefined;
    return increase(usageOf(kind, object, nowMs), before);
  }

  function chargedOrRefused(quota: Readonly<ResourceQuota>, attributes: AdmissionAttributes): ResourceQuota {
    const delta = deltaFor(quota, attributes);
    if (!delta || ![...delta.keys()].some((name) => quota.status?.hard?.[name] !== undefined)) return quota as ResourceQuota;
    const outcome = charged(quota, delta);
    if ('refused' in outcome) throw refusal(attributes, outcome.refused);
    return outcome.next;
  }

  return {
    name: 'ResourceQuota',
    validate: async (attributes) => {
      if (!isMeasured(attributes)) return;
      const quotas = objects.listCached(resourceQuotaKind, attributes.namespace);
      // all of them are asked before the first is charged
      const concerned = quotas.filter((quota) => chargedOrRefused(quota, attributes) !== quota);
      if (attributes.dryRun) return;
      for (const quota of concerned) await charge(attributes.namespace, quota.metadata.name, (current) => chargedOrRefused(current, attributes));
    },
  };
}
