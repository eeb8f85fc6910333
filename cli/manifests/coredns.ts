// CoreDNS as kubeadm installs it. Source: cmd/kubeadm/app/phases/addons/dns, Kubernetes 1.36.
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { Deployment } from '#lib/kinds/types/apps-v1.ts';
import type { ConfigMap, Service, ServiceAccount } from '#lib/kinds/types/core-v1.ts';
import type { ClusterRole, ClusterRoleBinding } from '#lib/kinds/types/rbac-v1.ts';
import type { AddonOptions } from './addons.ts';

export const COREDNS_IMAGE = 'registry.k8s.io/coredns/coredns:v1.14.2';
const RBAC = 'rbac.authorization.k8s.io';
const metadata = { name: 'coredns', namespace: 'kube-system' };
const labels = { 'k8s-app': 'kube-dns' };

const serviceAccount: ServiceAccount = { apiVersion: 'v1', kind: 'ServiceAccount', metadata };

const clusterRole: ClusterRole = {
  apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata: { name: 'system:coredns' },
  rules: [
    { apiGroups: [''], resources: ['endpoints', 'services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
  ],
};
const clusterRoleBinding: ClusterRoleBinding = {
  apiVersion: `${RBAC}/v1`, kind: 'ClusterRoleBinding', metadata: { name: 'system:coredns' },
  roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: 'system:coredns' },
  subjects: [{ kind: 'ServiceAccount', name: 'coredns', namespace: 'kube-system' }],
};

const configMap = (domain: string): ConfigMap => ({
  apiVersion: 'v1', kind: 'ConfigMap', metadata,
  data: {
    Corefile: `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes ${domain} in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success ${domain}
       disable denial ${domain}
    }
    loop
    reload
    loadbalance
}
`,
  },
});

const service = (clusterIP: string): Service => ({
  apiVersion: 'v1', kind: 'Service',
  metadata: {
    name: 'kube-dns', namespace: 'kube-system',
    labels: { ...labels, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
    annotations: { 'prometheus.io/port': '9153', 'prometheus.io/scrape': 'true' },
  },
  spec: {
    clusterIP,
    selector: labels,
    ports: [
      { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
      { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
      { name: 'metrics', port: 9153, protocol: 'TCP', targetPort: 9153 },
    ],
  },
});

const deployment: Deployment = {
  apiVersion: 'apps/v1', kind: 'Deployment', metadata: { ...metadata, labels },
  spec: {
    replicas: 2,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: {
        priorityClassName: 'system-cluster-critical',
        serviceAccountName: 'coredns',
        nodeSelector: { 'kubernetes.io/os': 'linux' },
        tolerations: [{ key: 'CriticalAddonsOnly', operator: 'Exists' }, { key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }],
        affinity: {
          podAntiAffinity: {
            preferredDuringSchedulingIgnoredDuringExecution: [{
              weight: 100,
              podAffinityTerm: { labelSelector: { matchExpressions: [{ key: 'k8s-app', operator: 'In', values: ['kube-dns'] }] }, topologyKey: 'kubernetes.io/hostname' },
            }],
          },
        },
        dnsPolicy: 'Default',
        containers: [{
          name: 'coredns',
          image: COREDNS_IMAGE,
          imagePullPolicy: 'IfNotPresent',
          args: ['-conf', '/etc/coredns/Corefile'],
          resources: { limits: { memory: '170Mi' }, requests: { cpu: '100m', memory: '70Mi' } },
          ports: [
            { name: 'dns', containerPort: 53, protocol: 'UDP' },
            { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
            { name: 'metrics', containerPort: 9153, protocol: 'TCP' },
            { name: 'liveness-probe', containerPort: 8080, protocol: 'TCP' },
            { name: 'readiness-probe', containerPort: 8181, protocol: 'TCP' },
          ],
          livenessProbe: { httpGet: { path: '/health', port: 'liveness-probe', scheme: 'HTTP' }, initialDelaySeconds: 60, timeoutSeconds: 5, successThreshold: 1, failureThreshold: 5 },
          // Not kubeadm's: it may start before kube-proxy has made the way to the API server, and the readiness probe asks only
          // every 10 s. An API server that is away for an hour is not cured by another CoreDNS, so nothing ends it sooner.
          startupProbe: { httpGet: { path: '/ready', port: 'readiness-probe', scheme: 'HTTP' }, periodSeconds: 1, failureThreshold: 3600 },
          readinessProbe: { httpGet: { path: '/ready', port: 'readiness-probe', scheme: 'HTTP' } },
          securityContext: { allowPrivilegeEscalation: false, capabilities: { add: ['NET_BIND_SERVICE'], drop: ['ALL'] }, readOnlyRootFilesystem: true },
          volumeMounts: [{ name: 'config-volume', mountPath: '/etc/coredns', readOnly: true }],
        }],
        volumes: [{ name: 'config-volume', configMap: { name: 'coredns', items: [{ key: 'Corefile', path: 'Corefile' }] } }],
      },
    },
  },
};

export function coreDnsManifests({ clusterDns, clusterDomain = 'cluster.local' }: AddonOptions): KubernetesObject[] {
  return [serviceAccount, clusterRole, clusterRoleBinding, configMap(clusterDomain), service(clusterDns), deployment];
}
