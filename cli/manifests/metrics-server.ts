// metrics-server's permissions, its Service and its APIService. It runs as a service of the first master and not as a pod,
// so the Service has no selector and its EndpointSlice names that host. Source of the rest: metrics-server's components.yaml.
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { APIService } from '#lib/kinds/types/apiregistration-v1.ts';
import type { Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import type { ClusterRole, ClusterRoleBinding, RoleBinding, RoleRef, Subject } from '#lib/kinds/types/rbac-v1.ts';

export const METRICS_SERVER_PORT = 4443;
/** Whom its client certificate names. */
export const METRICS_SERVER_USER = 'system:metrics-server';

export interface MetricsServerOptions {
  /** Host on which it runs. */
  readonly address: string;
  /** Authority of its serving certificate: the cluster's. */
  readonly caPem: string;
}

const RBAC = 'rbac.authorization.k8s.io';
const labels = { 'k8s-app': 'metrics-server' };
const metadata = { name: 'metrics-server', namespace: 'kube-system', labels };
const subjects: Subject[] = [{ apiGroup: RBAC, kind: 'User', name: METRICS_SERVER_USER }];
const roleRef = (kind: 'ClusterRole' | 'Role', name: string): RoleRef => ({ apiGroup: RBAC, kind, name });

const aggregatedReader: ClusterRole = {
  apiVersion: `${RBAC}/v1`, kind: 'ClusterRole',
  metadata: {
    name: 'system:aggregated-metrics-reader',
    labels: { ...labels, 'rbac.authorization.k8s.io/aggregate-to-admin': 'true', 'rbac.authorization.k8s.io/aggregate-to-edit': 'true', 'rbac.authorization.k8s.io/aggregate-to-view': 'true' },
  },
  rules: [{ apiGroups: ['metrics.k8s.io'], resources: ['pods', 'nodes'], verbs: ['get', 'list', 'watch'] }],
};
const clusterRole: ClusterRole = {
  apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata: { name: METRICS_SERVER_USER, labels },
  rules: [
    { apiGroups: [''], resources: ['nodes/metrics'], verbs: ['get'] },
    { apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['get', 'list', 'watch'] },
  ],
};
const authReader: RoleBinding = {
  apiVersion: `${RBAC}/v1`, kind: 'RoleBinding', metadata: { name: 'metrics-server-auth-reader', namespace: 'kube-system', labels },
  roleRef: roleRef('Role', 'extension-apiserver-authentication-reader'), subjects,
};
const bindings: ClusterRoleBinding[] = [
  { apiVersion: `${RBAC}/v1`, kind: 'ClusterRoleBinding', metadata: { name: 'metrics-server:system:auth-delegator', labels }, roleRef: roleRef('ClusterRole', 'system:auth-delegator'), subjects },
  { apiVersion: `${RBAC}/v1`, kind: 'ClusterRoleBinding', metadata: { name: METRICS_SERVER_USER, labels }, roleRef: roleRef('ClusterRole', METRICS_SERVER_USER), subjects },
];
const service: Service = {
  apiVersion: 'v1', kind: 'Service', metadata,
  spec: { ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: METRICS_SERVER_PORT }] },
};

const endpointSlice = (address: string): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice',
  metadata: { ...metadata, labels: { ...labels, 'kubernetes.io/service-name': 'metrics-server', 'endpointslice.kubernetes.io/managed-by': 'kubreak' } },
  addressType: 'IPv4', endpoints: [{ addresses: [address], conditions: { ready: true } }], ports: [{ name: 'https', port: METRICS_SERVER_PORT, protocol: 'TCP' }],
});

const apiService = (caPem: string): APIService => ({
  apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name: 'v1beta1.metrics.k8s.io', labels },
  spec: {
    group: 'metrics.k8s.io', version: 'v1beta1', groupPriorityMinimum: 100, versionPriority: 100,
    caBundle: Buffer.from(caPem).toString('base64'), service: { name: 'metrics-server', namespace: 'kube-system', port: 443 },
  },
});

export function metricsServerManifests({ address, caPem }: MetricsServerOptions): KubernetesObject[] {
  return [aggregatedReader, clusterRole, authReader, ...bindings, service, endpointSlice(address), apiService(caPem)];
}

/** Its flags as a service of a host with kubeadm's folders. Paths are those that `kubeadmPki` writes. */
export const metricsServerArguments: readonly string[] = [
  '--kubeconfig=/etc/kubernetes/metrics-server.conf', `--secure-port=${METRICS_SERVER_PORT}`,
  '--tls-cert-file=/etc/kubernetes/pki/metrics-server.crt', '--tls-private-key-file=/etc/kubernetes/pki/metrics-server.key',
  // As in kubeadm's clusters: each kubelet vouches for its own serving certificate.
  '--kubelet-insecure-tls', '--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname', '--kubelet-use-node-status-port', '--metric-resolution=15s',
];
