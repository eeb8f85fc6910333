// What else the API server makes by itself: system namespaces, priority classes, the service `kubernetes`, trust roots.
// Source: pkg/controlplane/controller/{systemnamespaces,kubernetesservice,clusterauthenticationtrust}, pkg/apis/scheduling/v1/helpers.go.
import type { ConfigMap, Endpoints, Namespace, Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import type { PriorityClass } from '#lib/kinds/types/scheduling-v1.ts';

export const SYSTEM_NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'] as const;

export const namespaceObject = (name: string): Namespace => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: {} });

const priorityClass = (name: string, value: number, description: string): PriorityClass =>
  ({ apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name }, value, description });

export const systemPriorityClasses = (): PriorityClass[] => [
  priorityClass('system-node-critical', 2_000_001_000, 'Used for system critical pods that must not be moved from their current node.'),
  priorityClass('system-cluster-critical', 2_000_000_000, 'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.'),
];

export const KUBERNETES = { namespace: 'default', name: 'kubernetes' } as const;

export const kubernetesService = (clusterIP: string, port: number): Service => ({
  apiVersion: 'v1', kind: 'Service', metadata: { ...KUBERNETES, labels: { provider: 'kubernetes', component: 'apiserver' } },
  spec: {
    clusterIP, clusterIPs: [clusterIP], ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack', type: 'ClusterIP', sessionAffinity: 'None',
    ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: port }],
  },
});

export const kubernetesEndpoints = (addresses: readonly string[], port: number): Endpoints => ({
  apiVersion: 'v1', kind: 'Endpoints', metadata: { ...KUBERNETES, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
  subsets: [{ addresses: addresses.map((ip) => ({ ip })), ports: [{ name: 'https', port, protocol: 'TCP' }] }],
});

export const kubernetesEndpointSlice = (addresses: readonly string[], port: number): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { ...KUBERNETES, labels: { 'kubernetes.io/service-name': 'kubernetes' } },
  addressType: 'IPv4', endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  ports: [{ name: 'https', port, protocol: 'TCP' }],
});

export interface TrustOptions {
  readonly clientCaPem: string;
  readonly requestHeaderCaPem: string;
  readonly allowedNames: readonly string[];
  readonly usernameHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
}

/** How aggregated API servers and others recognise whom this server vouches for. */
export function authenticationTrust(options: TrustOptions): ConfigMap {
  const list = (values: readonly string[]): string => JSON.stringify(values);
  return {
    apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'kube-system', name: 'extension-apiserver-authentication' },
    data: {
      ...(options.clientCaPem === '' ? {} : { 'client-ca-file': options.clientCaPem }),
      ...(options.requestHeaderCaPem === '' ? {} : {
        'requestheader-allowed-names': list(options.allowedNames), 'requestheader-client-ca-file': options.requestHeaderCaPem,
        'requestheader-extra-headers-prefix': list(options.extraHeaderPrefixes), 'requestheader-group-headers': list(options.groupHeaders),
        'requestheader-uid-headers': list(options.uidHeaders), 'requestheader-username-headers': list(options.usernameHeaders),
      }),
    },
  };
}
