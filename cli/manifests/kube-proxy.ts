// kube-proxy as kubeadm installs it. Source: cmd/kubeadm/app/phases/addons/proxy, Kubernetes 1.36.
// Without the mounts of /lib/modules and /run/xtables.lock: nftables needs neither.
import type { DaemonSet } from '#lib/kinds/types/apps-v1.ts';
import type { ConfigMap, ServiceAccount } from '#lib/kinds/types/core-v1.ts';
import type { ClusterRoleBinding, Role, RoleBinding } from '#lib/kinds/types/rbac-v1.ts';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import { SPAN_FOLDER } from '#lib/tracing/span-folder.ts';
import { groupOf, KUBERNETES_VERSION } from '../cluster-layout.ts';
import type { AddonOptions } from './addons.ts';

const RBAC = 'rbac.authorization.k8s.io';

const serviceAccount: ServiceAccount = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'kube-proxy', namespace: 'kube-system' } };

const clusterRoleBinding: ClusterRoleBinding = {
  apiVersion: `${RBAC}/v1`, kind: 'ClusterRoleBinding', metadata: { name: 'kubeadm:node-proxier' },
  roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: 'system:node-proxier' },
  subjects: [{ kind: 'ServiceAccount', name: 'kube-proxy', namespace: 'kube-system' }],
};

/** Lets a node that joins read the configuration. */
const role: Role = {
  apiVersion: `${RBAC}/v1`, kind: 'Role', metadata: { name: 'kube-proxy', namespace: 'kube-system' },
  rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get'], resourceNames: ['kube-proxy'] }],
};
const roleBinding: RoleBinding = {
  apiVersion: `${RBAC}/v1`, kind: 'RoleBinding', metadata: { name: 'kube-proxy', namespace: 'kube-system' },
  roleRef: { apiGroup: RBAC, kind: 'Role', name: 'kube-proxy' },
  subjects: [{ apiGroup: RBAC, kind: 'Group', name: 'system:bootstrappers:kubeadm:default-node-token' }],
};

const configMap = ({ apiServerHost, apiServerPort, podCidr }: AddonOptions): ConfigMap => ({
  apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kube-proxy', namespace: 'kube-system', labels: { app: 'kube-proxy' } },
  data: {
    'config.conf': `apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection:
  acceptContentTypes: ""
  burst: 0
  contentType: ""
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
  qps: 0
clusterCIDR: ${podCidr}
configSyncPeriod: 0s
conntrack:
  maxPerCore: null
  min: null
  tcpBeLiberal: false
  tcpCloseWaitTimeout: null
  tcpEstablishedTimeout: null
  udpStreamTimeout: 0s
  udpTimeout: 0s
detectLocal:
  bridgeInterface: ""
  interfaceNamePrefix: ""
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
kind: KubeProxyConfiguration
metricsBindAddress: ""
mode: nftables
nftables:
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
nodePortAddresses: null
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
`,
    'kubeconfig.conf': `apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://${apiServerHost}:${apiServerPort}
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
`,
  },
});

const daemonSet: DaemonSet = {
  apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: 'kube-proxy', namespace: 'kube-system', labels: { 'k8s-app': 'kube-proxy' } },
  spec: {
    selector: { matchLabels: { 'k8s-app': 'kube-proxy' } },
    updateStrategy: { type: 'RollingUpdate' },
    template: {
      metadata: { labels: { 'k8s-app': 'kube-proxy' } },
      spec: {
        priorityClassName: 'system-node-critical',
        hostNetwork: true,
        serviceAccountName: 'kube-proxy',
        nodeSelector: { 'kubernetes.io/os': 'linux' },
        tolerations: [{ operator: 'Exists' }],
        containers: [{
          name: 'kube-proxy',
          image: `registry.k8s.io/kube-proxy:${KUBERNETES_VERSION}`,
          imagePullPolicy: 'IfNotPresent',
          command: ['/usr/local/bin/kube-proxy', '--config=/var/lib/kube-proxy/config.conf', '--hostname-override=$(NODE_NAME)'],
          env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
          resources: {},
          securityContext: { privileged: true, runAsUser: 0, runAsGroup: groupOf('kube-proxy') ?? 0 },
          volumeMounts: [{ name: 'kube-proxy', mountPath: '/var/lib/kube-proxy' }, { name: 'spans', mountPath: SPAN_FOLDER }],
        }],
        volumes: [{ name: 'kube-proxy', configMap: { name: 'kube-proxy' } }, { name: 'spans', hostPath: { path: SPAN_FOLDER, type: 'DirectoryOrCreate' } }],
      },
    },
  },
};

export function kubeProxyManifests(options: AddonOptions): KubernetesObject[] {
  return [serviceAccount, clusterRoleBinding, role, roleBinding, configMap(options), daemonSet];
}
