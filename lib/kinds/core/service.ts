// Service of v1.
import { defineKind } from '../define-kind.ts';
import type { Service } from '../types/core-v1.ts';

export const serviceKind = defineKind<Service>({
  group: '', version: 'v1', kind: 'Service', plural: 'services', singular: 'service', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.Service',
  shortNames: ['svc'],
  categories: ['all'],
  storageVersionHash: '0/CO1lhkEBI=',
  storagePrefix: 'services/specs',
  subresources: {
    proxy: { verbs: ['create', 'delete', 'get', 'patch', 'update'], kind: 'ServiceProxyOptions' },
    status: { verbs: ['get', 'patch', 'update'] },
  },
});
