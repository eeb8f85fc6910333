// ServiceAccount of v1: who a pod is towards the API server.
import { ageColumn, nameColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { ServiceAccount } from '../types/core-v1.ts';

/** Of a reference to a secret only the name counts. */
function keepNamesOfSecrets(account: ServiceAccount): void {
  if (account.secrets !== undefined) account.secrets = account.secrets.map(({ name }) => (name === undefined ? {} : { name }));
}

export const serviceAccountKind = defineKind<ServiceAccount>({
  group: '', version: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts', singular: 'serviceaccount', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.ServiceAccount',
  shortNames: ['sa'],
  storageVersionHash: 'pbx9ZvyFpBE=',
  subresources: {
    token: { verbs: ['create'], kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1' },
  },
  prepareForCreate: keepNamesOfSecrets,
  prepareForUpdate: keepNamesOfSecrets,
  columns: [nameColumn(), ageColumn()],
});
