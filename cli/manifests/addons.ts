// What `kubeadm init` and the pod network's installation put into a new cluster.
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import { calicoManifests } from './calico.ts';
import { coreDnsManifests } from './coredns.ts';
import { ingressNginxManifests } from './ingress-nginx.ts';
import { kubeProxyManifests } from './kube-proxy.ts';
import { metricsServerManifests, type MetricsServerOptions } from './metrics-server.ts';
import { storageManifests } from './storage.ts';

export interface AddonOptions {
  /** How the addons that must work before services do reach the API server. */
  readonly apiServerHost: string;
  readonly apiServerPort: number;
  readonly podCidr: string;
  /** Addresses for Services of type LoadBalancer, on the hosts' network. Absent: they stay without. */
  readonly loadBalancerCidr?: string;
  /** Address of the DNS service. */
  readonly clusterDns: string;
  /** Default: cluster.local. */
  readonly clusterDomain?: string;
  /** Absent: without metrics. */
  readonly metricsServer?: MetricsServerOptions;
}

/** In an order in which they can be created: accounts and configuration before the workloads that use them. */
export function addonManifests(options: AddonOptions): KubernetesObject[] {
  return [...calicoManifests(options), ...kubeProxyManifests(options), ...coreDnsManifests(options), ...storageManifests(), ...ingressNginxManifests(),
    ...(options.metricsServer ? metricsServerManifests(options.metricsServer) : [])];
}
