// Where clients find the control plane and whom to trust, for everybody to read. Source: cmd/kubeadm/app/phases/bootstraptoken/clusterinfo, Kubernetes 1.36.
import { stringify } from 'yaml';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { ConfigMap } from '#lib/kinds/types/core-v1.ts';
import type { Role, RoleBinding } from '#lib/kinds/types/rbac-v1.ts';

const RBAC = 'rbac.authorization.k8s.io';
const NAME = 'cluster-info';
const ROLE = 'kubeadm:bootstrap-signer-clusterinfo';
const namespace = 'kube-public';

export function clusterInfoManifests({ server, caPem }: { readonly server: string; readonly caPem: string }): KubernetesObject[] {
  const cluster = { 'certificate-authority-data': Buffer.from(caPem).toString('base64'), server };
  const info: ConfigMap = {
    apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: NAME, namespace },
    data: { kubeconfig: stringify({ apiVersion: 'v1', clusters: [{ cluster, name: '' }], contexts: null, 'current-context': '', kind: 'Config', users: null }, { lineWidth: 0 }) },
  };
  const role: Role = {
    apiVersion: `${RBAC}/v1`, kind: 'Role', metadata: { name: ROLE, namespace },
    rules: [{ apiGroups: [''], resources: ['configmaps'], resourceNames: [NAME], verbs: ['get'] }],
  };
  const binding: RoleBinding = {
    apiVersion: `${RBAC}/v1`, kind: 'RoleBinding', metadata: { name: ROLE, namespace },
    roleRef: { apiGroup: RBAC, kind: 'Role', name: ROLE }, subjects: [{ apiGroup: RBAC, kind: 'User', name: 'system:anonymous' }],
  };
  return [info, role, binding];
}
