// Objects that come from a cluster with other certificates: those that name its authority get this cluster's.
import type { ApiClient } from '#lib/api-client/client.ts';
import { apiServiceKind } from '#lib/kinds/apiregistration/api-service.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { controlPlaneEndpoint, urlOf, type HostLayout } from '../cluster-layout.ts';
import { clusterInfoManifests } from '../manifests/cluster-info.ts';

export async function adoptAuthority(api: ApiClient, caPem: string, hosts: readonly HostLayout[]): Promise<void> {
  const ifThere = (error: unknown): void => {
    if (!isNotFound(error)) throw error;
  };
  const { items } = await api.list(configMapKind, { fieldSelector: 'metadata.name=kube-root-ca.crt' }); // its controller would, some time
  for (const { metadata } of items) await api.patch(configMapKind, metadata.namespace, metadata.name, { data: { 'ca.crt': caPem } }).catch(ifThere);
  await api.patch(apiServiceKind, undefined, 'v1beta1.metrics.k8s.io', { spec: { caBundle: Buffer.from(caPem).toString('base64') } }).catch(ifThere);
  // The cluster's own programs have read the other one when they started, and would not find their API server. Others get the file anew within a minute.
  const pods = await api.list(podKind, { namespace: 'kube-system' });
  const ours = pods.items.filter(({ metadata }) => metadata.ownerReferences?.some(({ controller, kind }) => controller === true && kind !== 'Node'));
  await Promise.all(ours.map(({ metadata }) => api.delete(podKind, metadata.namespace, metadata.name).catch(ifThere)));
  const [info] = clusterInfoManifests({ server: urlOf(controlPlaneEndpoint(hosts)), caPem });
  await api.patch(configMapKind, 'kube-public', 'cluster-info', { data: (info as { data?: object } | undefined)?.data }).catch(ifThere);
}
