// Where the components are that a partition names: on which hosts, at which addresses.
import { connectToApiserver, TransportError } from '#lib/api-client/client.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import type { ClusterAccess } from '../../access/cluster-access.ts';
import { belongsOn, mastersOf, type Component, type HostLayout } from '../../cluster-layout.ts';
import { UserError } from '../../user-error.ts';
import { parseSelector } from '../../selector.ts';
import type { Place } from './component-cuts.ts';

/** How long the API server may take to tell the addresses of pods; milliseconds. */
const API_TIMEOUT_MS = 5_000;

/** Throws UserError for what does not exist, or cannot be told from others on the network. */
export async function placesOf(cluster: ClusterAccess, selector: string): Promise<Place[]> {
  const { component, host } = parseSelector(cluster, selector);
  if (component.name === 'container-runtime') throw new UserError('container-runtime talks to other components by sockets of its host alone: there is nothing to cut', 2);
  if (component.hosts === 'any') return podPlaces(cluster, component, host);
  return cluster.hosts.filter((each) => (host === undefined || each.name === host) && belongsOn(component, each, cluster.hosts))
    .map(({ name, address }) => ({ component, host: name, address }));
}

async function podPlaces(cluster: ClusterAccess, component: Component, host: string | undefined): Promise<Place[]> {
  const api = connectToApiserver(await loadKubeconfig(await cluster.kubeconfig()), 'kubreak');
  try {
    const { items } = await api.list(podKind, { namespace: 'kube-system', labelSelector: `k8s-app=${component.unit}` }, { signal: AbortSignal.timeout(API_TIMEOUT_MS) });
    const places = items.flatMap(({ spec, status }): Place[] => (status?.podIP === undefined || spec?.nodeName === undefined || (host !== undefined && spec.nodeName !== host) ? []
      : [{ component, host: spec.nodeName, address: status.podIP, isOwnNetwork: true }]));
    if (places.length === 0) throw new UserError(`${component.name} does not run on ${host ?? 'any host'}`);
    return places;
  } catch (error) {
    if (!(error instanceof TransportError || error instanceof StatusError || (error as Error).name === 'TimeoutError')) throw error;
    throw new UserError(`the addresses of ${component.name} are known only to the API server, which does not answer: ${(error as Error).message}`);
  } finally {
    await api.close();
  }
}

/** Who asks the API server by way of the balancer of its own host, where there are several masters. Source: kubeconfigs of lib/pki and manifests. */
export function usesBalancer({ component, host }: Place, hosts: readonly HostLayout[]): boolean {
  const masters = mastersOf(hosts);
  if (masters.length === 1) return false;
  return ['kube-proxy', 'calico-node'].includes(component.name) || (component.name === 'kubelet' && masters.every(({ name }) => name !== host));
}
