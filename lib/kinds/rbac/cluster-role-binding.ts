// ClusterRoleBinding of rbac.authorization.k8s.io/v1: who has a cluster role everywhere.
import { pathSegmentProblems } from '#lib/machinery/names.ts';
import { defineKind } from '../define-kind.ts';
import type { ClusterRoleBinding } from '../types/rbac-v1.ts';
import { bindingColumns, defaultBinding, validateBinding, validateBindingUpdate } from './rbac-rules.ts';

export const clusterRoleBindingKind = defineKind<ClusterRoleBinding>({
  group: 'rbac.authorization.k8s.io', version: 'v1', kind: 'ClusterRoleBinding', plural: 'clusterrolebindings', singular: 'clusterrolebinding', scope: 'Cluster',
  schema: 'io.k8s.api.rbac.v1.ClusterRoleBinding',
  storageVersionHash: '48tpQ8gZHFc=',
  applyDefaults: defaultBinding,
  validateName: pathSegmentProblems,
  validate: (binding) => validateBinding(binding, ['ClusterRole'], { namespaced: false }),
  validateUpdate: validateBindingUpdate,
  allowCreateOnUpdate: true,
  columns: bindingColumns(),
});
