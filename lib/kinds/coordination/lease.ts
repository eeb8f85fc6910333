// Lease of coordination.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { Lease } from '../types/coordination-v1.ts';

export const leaseKind = defineKind<Lease>({
  group: 'coordination.k8s.io', version: 'v1', kind: 'Lease', plural: 'leases', singular: 'lease', scope: 'Namespaced',
  schema: 'io.k8s.api.coordination.v1.Lease',
  storageVersionHash: 'gqkMMb/YqFM=',
});
