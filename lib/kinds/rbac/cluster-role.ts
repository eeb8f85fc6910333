// ClusterRole of rbac.authorization.k8s.io/v1.
import { defineKind } from '../define-kind.ts';
import type { ClusterRole } from '../types/rbac-v1.ts';

export const clusterRoleKind = defineKind<ClusterRole>({
  group: 'rbac.authorization.k8s.io', version: 'v1', kind: 'ClusterRole', plural: 'clusterroles', singular: 'clusterrole', scope: 'Cluster',
  schema: 'io.k8s.api.rbac.v1.ClusterRole',
  storageVersionHash: 'bYE5ZWDrJ44=',
});
