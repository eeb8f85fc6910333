// RoleBinding of rbac.authorization.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { RoleBinding } from '../types/rbac-v1.ts';

export const roleBindingKind = defineKind<RoleBinding>({
  group: 'rbac.authorization.k8s.io', version: 'v1', kind: 'RoleBinding', plural: 'rolebindings', singular: 'rolebinding', scope: 'Namespaced',
  schema: 'io.k8s.api.rbac.v1.RoleBinding',
  storageVersionHash: 'eGsCzGH6b1g=',
});
