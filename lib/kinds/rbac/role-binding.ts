// RoleBinding of rbac.authorization.k8s.io/v1: who has a role in a namespace.
import { pathSegmentProblems } from '#lib/machinery/names.ts';
import { defineKind } from '../define-kind.ts';
import type { RoleBinding } from '../types/rbac-v1.ts';
import { bindingColumns, defaultBinding, validateBinding, validateBindingUpdate } from './rbac-rules.ts';

export const roleBindingKind = defineKind<RoleBinding>({
  group: 'rbac.authorization.k8s.io', version: 'v1', kind: 'RoleBinding', plural: 'rolebindings', singular: 'rolebinding', scope: 'Namespaced',
  schema: 'io.k8s.api.rbac.v1.RoleBinding',
  storageVersionHash: 'eGsCzGH6b1g=',
  applyDefaults: defaultBinding,
  validateName: pathSegmentProblems,
  validate: (binding) => validateBinding(binding, ['Role', 'ClusterRole'], { namespaced: true }),
  validateUpdate: validateBindingUpdate,
  allowCreateOnUpdate: true,
  columns: bindingColumns(),
});
