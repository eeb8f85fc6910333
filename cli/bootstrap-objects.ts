// What kubeadm writes to a new API server: the admins' role, the control plane's label, the addons.
import { connectToApiserver, type ApiClient } from '#lib/api-client/client.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import { clusterRoleBindingKind } from '#lib/kinds/rbac/cluster-role-binding.ts';
import { allKinds } from '#lib/kinds/registry.ts';
import { isAlreadyExists, isNotFound } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { CLUSTER_DNS, controlPlaneEndpoint, loadBalancerCidr, MASTER, mastersOf, POD_CIDR, urlOf, type HostLayout } from './cluster-layout.ts';
import { addonManifests } from './manifests/addons.ts';
import { clusterInfoManifests } from './manifests/cluster-info.ts';
import { fastAddon } from './manifests/fast-failure-detection.ts';

async function createIfAbsent(api: ApiClient, object: KubernetesObject): Promise<void> {
  const kind = allKinds.find(({ apiVersion, kind: name }) => apiVersion === object.apiVersion && name === object.kind);
  if (!kind) throw new Error(`manifest of unknown kind ${object.apiVersion ?? ''} ${object.kind ?? ''}`);
  await api.create(kind, object).catch(async (error: unknown) => {
    if (isAlreadyExists(error)) return;
    // A Service that is there is refused for its address, which it holds itself. Whether it is there no server may be able to tell at the moment.
    await api.get(kind, object.metadata.namespace, object.metadata.name).catch((failure: unknown) => {
      throw isNotFound(failure) ? error : failure;
    });
  });
}

/**
 * admin.conf belongs to the group kubeadm:cluster-admins, which has no rights until this binding is there; only
 * super-admin.conf (system:masters) can make it. Source: kubeadm phases/kubeconfig EnsureAdminClusterRoleBinding.
 */
export async function bindClusterAdmins(superAdminKubeconfig: string, server: string): Promise<void> {
  const superAdmin = await loadKubeconfig(superAdminKubeconfig);
  const api = connectToApiserver({ ...superAdmin, server }, 'kubreak');
  try {
    await createIfAbsent(api, {
      apiVersion: clusterRoleBindingKind.apiVersion, kind: 'ClusterRoleBinding', metadata: { name: 'kubeadm:cluster-admins' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'kubeadm:cluster-admins' }],
    } as KubernetesObject);
  } finally {
    await api.close();
  }
}

export async function applyAddons(api: ApiClient, hosts: readonly HostLayout[], isFast = false): Promise<void> {
  const masters = mastersOf(hosts);
  const [{ address } = MASTER] = masters;
  const endpoint = controlPlaneEndpoint(hosts);
  // The cluster's authority, which also vouches for metrics-server.
  const { data } = await api.get(configMapKind, 'kube-system', 'extension-apiserver-authentication');
  const caPem = data?.['client-ca-file'] ?? '';
  // The controller manager publishes it in every namespace; the first pods come before it has, and their kubelets would wait out a back-off.
  await createIfAbsent(api, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kube-root-ca.crt', namespace: 'kube-system' }, data: { 'ca.crt': caPem } } as KubernetesObject);
  const manifests = [...(masters.length > 1 ? clusterInfoManifests({ server: urlOf(endpoint), caPem }) : []), ...addonManifests({
    metricsServer: { address, caPem },
    apiServerHost: endpoint.host, apiServerPort: endpoint.port, podCidr: POD_CIDR, clusterDns: CLUSTER_DNS, loadBalancerCidr: loadBalancerCidr(address),
  })];
  // Namespaces first, for what is in them; workloads last, for their pods need the accounts and configuration.
  const stageOf = ({ kind }: KubernetesObject): number => (kind === 'Namespace' ? 0 : kind === 'DaemonSet' || kind === 'Deployment' ? 2 : 1);
  for (const stage of [0, 1, 2]) {
    await Promise.all(manifests.filter((object) => stageOf(object) === stage).map((object) => createIfAbsent(api, isFast ? fastAddon(object) : object)));
  }
}

/** Source: kubeadm phases/markcontrolplane. */
export async function markControlPlane(api: ApiClient, hosts: readonly HostLayout[]): Promise<void> {
  const labels = { 'node-role.kubernetes.io/control-plane': '', 'node.kubernetes.io/exclude-from-external-load-balancers': '' };
  await Promise.all(mastersOf(hosts).map(({ name }) => api.patch(nodeKind, undefined, name, { metadata: { labels } })));
}
