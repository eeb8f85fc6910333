// ResourceQuota of v1: how much a namespace may ask for.
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { ResourceQuota } from '../types/core-v1.ts';
import { validateQuota, validateQuotaStatusUpdate, validateQuotaUpdate } from './resource-quota-validation.ts';

/** `pods: 1/10, requests.cpu: 100m/1` */
function usageText({ status }: ResourceQuota, isShown: (resource: string) => boolean): string {
  const hard = Object.entries(status?.hard ?? {}).filter(([resource]) => isShown(resource)).sort(([a], [b]) => (a < b ? -1 : 1));
  return hard.map(([resource, limit]) => `${resource}: ${status?.used?.[resource] ?? '0'}/${limit}`).join(', ');
}
const isLimit = (resource: string): boolean => resource.startsWith('limits.');

export const resourceQuotaKind = defineKind<ResourceQuota>({
  group: '', version: 'v1', kind: 'ResourceQuota', plural: 'resourcequotas', singular: 'resourcequota', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.ResourceQuota',
  shortNames: ['quota'],
  storageVersionHash: '8uhSgffRX6w=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  // A body may leave out what the type requires.
  applyDefaults: (quota) => { quota.spec ??= {}; },
  prepareForCreate: (quota) => { quota.status = {}; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate: validateQuota,
  validateUpdate: validateQuotaUpdate,
  validateStatusUpdate: validateQuotaStatusUpdate,
  columns: [
    nameColumn(),
    textColumn('Request', (quota) => usageText(quota, (resource) => !isLimit(resource))),
    textColumn('Limit', (quota) => usageText(quota, isLimit)),
    ageColumn(),
  ],
});
