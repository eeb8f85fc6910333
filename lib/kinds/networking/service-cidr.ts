// ServiceCIDR of networking.k8s.io/v1: a range from which Services get their addresses.
import { ageColumn, joined, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepStatus } from '../strategy.ts';
import type { ServiceCIDR } from '../types/networking-v1.ts';

export const serviceCidrKind = defineKind<ServiceCIDR>({
  group: 'networking.k8s.io', version: 'v1', kind: 'ServiceCIDR', plural: 'servicecidrs', singular: 'servicecidr', scope: 'Cluster',
  schema: 'io.k8s.api.networking.v1.ServiceCIDR',
  storageVersionHash: 'gNLvruQhW2g=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  // A body may leave out what the type requires.
  applyDefaults: (range) => { range.spec ??= {}; },
  prepareForCreate: (range) => { range.status = {}; },
  prepareForUpdate: keepStatus,
  columns: [nameColumn(), textColumn('CIDRs', ({ spec }) => joined(spec.cidrs)), ageColumn()],
});
