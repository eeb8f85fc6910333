// The default storage class, and the rights of its provisioner, which runs inside the controller manager.
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { ClusterRole, ClusterRoleBinding } from '#lib/kinds/types/rbac-v1.ts';
import type { StorageClass } from '#lib/kinds/types/storage-v1.ts';

const RBAC = 'rbac.authorization.k8s.io';
const NAME = 'local-path-provisioner';

const storageClass: StorageClass = {
  apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass',
  metadata: { name: 'standard', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
  provisioner: 'kubreak.dev/local-path',
  reclaimPolicy: 'Delete',
  volumeBindingMode: 'WaitForFirstConsumer',
};

const clusterRole: ClusterRole = {
  apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata: { name: NAME },
  rules: [
    { apiGroups: [''], resources: ['persistentvolumeclaims'], verbs: ['get', 'list', 'watch', 'update'] },
    { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['storage.k8s.io'], resources: ['storageclasses'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: [''], resources: ['persistentvolumes'], verbs: ['get', 'list', 'watch', 'create', 'update', 'delete'] },
    { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch', 'create', 'delete'] },
    { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'patch', 'update'] },
  ],
};
const clusterRoleBinding: ClusterRoleBinding = {
  apiVersion: `${RBAC}/v1`, kind: 'ClusterRoleBinding', metadata: { name: NAME },
  roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: NAME },
  subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: 'kube-system' }],
};

export const storageManifests = (): KubernetesObject[] => [clusterRole, clusterRoleBinding, storageClass];
