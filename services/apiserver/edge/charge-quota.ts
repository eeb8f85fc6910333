// Writes what admission charges to a quota, by the store that admission itself guards.
import { anyKind } from '#lib/kinds/define-kind.ts';
import { resourceQuotaKind } from '#lib/kinds/core/resource-quota.ts';
import type { ResourceQuota } from '#lib/kinds/types/core-v1.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import type { ChargeQuota } from '../core/admission/resource-quota.ts';
import { statusRules } from '../core/lifecycle/write.ts';
import { asServer } from './hooks/ensure.ts';
import type { ObjectStore } from './object-store.ts';

/** `store` is asked for late: it is made with the plugins that write through it. */
export function chargeQuotaWith(store: () => ObjectStore): ChargeQuota {
  return async (namespace, name, change) => {
    await store().update({
      kind: anyKind(resourceQuotaKind), namespace, name, subresource: 'status', rules: statusRules, change: (current) => change(current as ResourceQuota),
    }, asServer).catch((error: unknown) => {
      if (!isNotFound(error)) throw error; // a quota that has gone limits nothing
    });
  };
}
