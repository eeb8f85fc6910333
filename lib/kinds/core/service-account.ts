// ServiceAccount of v1.
import { defineKind } from '../define-kind.ts';
import type { ServiceAccount } from '../types/core-v1.ts';

export const serviceAccountKind = defineKind<ServiceAccount>({
  group: '', version: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts', singular: 'serviceaccount', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.ServiceAccount',
  shortNames: ['sa'],
  storageVersionHash: 'pbx9ZvyFpBE=',
  subresources: {
    token: { verbs: ['create'], kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1' },
  },
});
