// What a ResourceQuota's namespace uses of it. Source: pkg/controller/resourcequota and apiserver pkg/quota/v1/resources.go.
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { ResourceQuota, ResourceQuotaStatus } from '#lib/kinds/types/core-v1.ts';
import { formatQuantity } from '#lib/machinery/quantity.ts';
import { quotaCovers } from '#lib/quota/scopes.ts';
import { addTo, isTrackedBy, objectCountName, usageOf, ZERO, type Amounts, type QuotaResource } from '#lib/quota/usage.ts';

/** Kinds with rules of their own, or counted under their plain name. */
const WELL_KNOWN: readonly QuotaResource[] = ['pods', 'services', 'persistentvolumeclaims', 'configmaps', 'secrets', 'replicationcontrollers', 'resourcequotas'].map((plural) => ({ group: '', plural }));

/** The resource of `count/deployments.apps`; undefined for other names. */
function countedResource(name: string): QuotaResource | undefined {
  const match = /^count\/([^.]+)(?:\.(.+))?$/.exec(name);
  return match?.[1] === undefined ? undefined : { plural: match[1], group: match[2] ?? '' };
}

/** The resources whose objects have to be looked at for a quota. */
export function resourcesOf({ spec }: Readonly<ResourceQuota>): QuotaResource[] {
  const resources = new Map<string, QuotaResource>();
  for (const name of Object.keys(spec?.hard ?? {})) {
    for (const resource of [...WELL_KNOWN.filter((one) => isTrackedBy(one, name)), countedResource(name)]) if (resource) resources.set(objectCountName(resource), resource);
  }
  return [...resources.values()];
}

export function quotaStatus(quota: Readonly<ResourceQuota>, objects: ReadonlyMap<QuotaResource, readonly Readonly<KubernetesObject>[]>, nowMs: number): ResourceQuotaStatus {
  const hard = quota.spec?.hard ?? {};
  const used: Amounts = new Map();
  for (const [resource, list] of objects) {
    const names = Object.keys(hard).filter((name) => isTrackedBy(resource, name));
    for (const name of names) if (!used.has(name)) used.set(name, ZERO);
    for (const object of list) {
      if (!quotaCovers(quota, resource, object)) continue;
      const usage = usageOf(resource, object, nowMs);
      for (const name of names) {
        const amount = usage.get(name);
        if (amount) addTo(used, new Map([[name, amount]]));
      }
    }
  }
  return { hard: { ...hard }, used: Object.fromEntries([...used].map(([name, amount]) => [name, formatQuantity(amount)])) };
}
