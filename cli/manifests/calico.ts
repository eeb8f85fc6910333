// The pod network, after Calico's manifest for the Kubernetes datastore (manifests/calico.yaml, v3.31).
// Without the init containers (calico-node itself installs the CNI programs, which the runtime that is built in does not need) and
// without the parts of Calico that are left out here; see services/calico-node/README.md.
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { DaemonSet, Deployment } from '#lib/kinds/types/apps-v1.ts';
import type { IPPool } from '#lib/kinds/types/calico-v1.ts';
import type { ConfigMap, ServiceAccount } from '#lib/kinds/types/core-v1.ts';
import type { PodDisruptionBudget } from '#lib/kinds/types/policy-v1.ts';
import type { ClusterRole, ClusterRoleBinding, PolicyRule } from '#lib/kinds/types/rbac-v1.ts';
import { SPAN_FOLDER } from '#lib/tracing/span-folder.ts';
import { groupOf } from '../cluster-layout.ts';
import type { AddonOptions } from './addons.ts';

const CALICO_VERSION = 'v3.31.0';
export const CALICO_NODE_IMAGE = `docker.io/calico/node:${CALICO_VERSION}`;
export const CALICO_KUBE_CONTROLLERS_IMAGE = `docker.io/calico/kube-controllers:${CALICO_VERSION}`;
const RBAC = 'rbac.authorization.k8s.io';
const CALICO_GROUP = 'crd.projectcalico.org';
const NODE = 'calico-node';
const CONTROLLERS = 'calico-kube-controllers';
const namespace = 'kube-system';

const serviceAccount = (name: string): ServiceAccount => ({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } });

/** A role and the account of the same name that it is given to. */
const clusterRole = (name: string, rules: PolicyRule[]): (ClusterRole | ClusterRoleBinding)[] => [
  { apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata: { name }, rules },
  { apiVersion: `${RBAC}/v1`, kind: 'ClusterRoleBinding', metadata: { name }, roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name }, subjects: [{ kind: 'ServiceAccount', name, namespace }] },
];
const rule = (apiGroups: string[], resources: string[], verbs: string[]): PolicyRule => ({ apiGroups, resources, verbs });

const nodeRules: PolicyRule[] = [
  rule([''], ['pods', 'nodes', 'namespaces'], ['get', 'list', 'watch']),
  rule([''], ['endpoints', 'services'], ['get', 'list', 'watch']),
  rule(['discovery.k8s.io'], ['endpointslices'], ['list', 'watch']),
  rule([''], ['configmaps'], ['get']),
  rule([''], ['nodes/status'], ['patch', 'update']),
  rule(['networking.k8s.io'], ['networkpolicies'], ['list', 'watch']),
  rule([''], ['serviceaccounts'], ['list', 'watch']),
  rule([''], ['pods/status'], ['patch']),
  rule([CALICO_GROUP], ['ippools'], ['get', 'list', 'watch', 'create', 'update']),
  rule([CALICO_GROUP], ['blockaffinities'], ['get', 'list', 'watch', 'create', 'update', 'delete']),
  rule(['apps'], ['daemonsets'], ['get']),
];
// As Calico's operator writes it where LoadBalancer Services are to get addresses.
const loadBalancerPool = (cidr: string): IPPool => ({
  apiVersion: `${CALICO_GROUP}/v1`, kind: 'IPPool', metadata: { name: 'loadbalancer-ippool' },
  spec: { cidr, blockSize: 32, ipipMode: 'Never', vxlanMode: 'Never', nodeSelector: 'all()', allowedUses: ['LoadBalancer'], assignmentMode: 'Automatic' },
});

const controllerRules: PolicyRule[] = [
  rule([''], ['nodes', 'pods', 'namespaces'], ['get', 'list', 'watch']),
  rule([CALICO_GROUP], ['ippools'], ['list', 'watch']),
  rule([''], ['services'], ['get', 'list', 'watch']),
  rule([''], ['services/status'], ['get', 'update', 'patch']),
  rule([CALICO_GROUP], ['blockaffinities'], ['get', 'list', 'watch', 'create', 'update', 'delete']),
];

const config: ConfigMap = {
  apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'calico-config', namespace },
  data: { typha_service_name: 'none', calico_backend: 'bird', veth_mtu: '0' },
};
/** The agent must work before services do: it reaches the API server by the address of a host. */
const servicesEndpoint = ({ apiServerHost, apiServerPort }: AddonOptions): ConfigMap => ({
  apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kubernetes-services-endpoint', namespace },
  data: { KUBERNETES_SERVICE_HOST: apiServerHost, KUBERNETES_SERVICE_PORT: String(apiServerPort) },
});

const disruptionBudget: PodDisruptionBudget = {
  apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: CONTROLLERS, namespace, labels: { 'k8s-app': CONTROLLERS } },
  spec: { maxUnavailable: 1, selector: { matchLabels: { 'k8s-app': CONTROLLERS } } },
};

const daemonSet = (podCidr: string): DaemonSet => ({
  apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: NODE, namespace, labels: { 'k8s-app': NODE } },
  spec: {
    selector: { matchLabels: { 'k8s-app': NODE } },
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
    template: {
      metadata: { labels: { 'k8s-app': NODE } },
      spec: {
        nodeSelector: { 'kubernetes.io/os': 'linux' },
        hostNetwork: true,
        tolerations: [{ effect: 'NoSchedule', operator: 'Exists' }, { key: 'CriticalAddonsOnly', operator: 'Exists' }, { effect: 'NoExecute', operator: 'Exists' }],
        serviceAccountName: NODE,
        securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
        terminationGracePeriodSeconds: 0,
        priorityClassName: 'system-node-critical',
        containers: [{
          name: NODE,
          image: CALICO_NODE_IMAGE,
          imagePullPolicy: 'IfNotPresent',
          envFrom: [{ configMapRef: { name: 'kubernetes-services-endpoint', optional: true } }],
          env: [
            { name: 'DATASTORE_TYPE', value: 'kubernetes' },
            { name: 'WAIT_FOR_DATASTORE', value: 'true' },
            { name: 'NODENAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
            { name: 'CALICO_NETWORKING_BACKEND', valueFrom: { configMapKeyRef: { name: 'calico-config', key: 'calico_backend' } } },
            { name: 'CLUSTER_TYPE', value: 'k8s,bgp' },
            { name: 'IP', value: 'autodetect' },
            { name: 'CALICO_IPV4POOL_IPIP', value: 'Never' },
            { name: 'CALICO_IPV4POOL_VXLAN', value: 'Never' },
            { name: 'CALICO_IPV4POOL_CIDR', value: podCidr },
            { name: 'CALICO_DISABLE_FILE_LOGGING', value: 'true' },
            { name: 'FELIX_DEFAULTENDPOINTTOHOSTACTION', value: 'ACCEPT' },
            { name: 'FELIX_IPV6SUPPORT', value: 'false' },
            { name: 'FELIX_HEALTHENABLED', value: 'true' },
          ],
          securityContext: { privileged: true, runAsUser: 0, runAsGroup: groupOf('calico-node') ?? 0 },
          resources: { requests: { cpu: '250m' } },
          // By HTTP, as Calico's operator does; a program started for every probe costs more than the agent itself. The startup
          // probe is not Calico's: without it readiness would be asked for once too early and then only 10 s later.
          startupProbe: { httpGet: { host: '127.0.0.1', path: '/liveness', port: 9099 }, periodSeconds: 1, failureThreshold: 60 },
          livenessProbe: { httpGet: { host: '127.0.0.1', path: '/liveness', port: 9099 }, periodSeconds: 10, initialDelaySeconds: 10, failureThreshold: 6, timeoutSeconds: 10 },
          readinessProbe: { httpGet: { host: '127.0.0.1', path: '/readiness', port: 9099 }, periodSeconds: 10, timeoutSeconds: 10 },
          volumeMounts: [
            { name: 'cni-bin-dir', mountPath: '/host/opt/cni/bin' },
            { name: 'cni-net-dir', mountPath: '/host/etc/cni/net.d' },
            { name: 'var-run-calico', mountPath: '/var/run/calico' },
            { name: 'var-lib-calico', mountPath: '/var/lib/calico' },
            { name: 'spans', mountPath: SPAN_FOLDER },
          ],
        }],
        volumes: [
          { name: 'var-run-calico', hostPath: { path: '/var/run/calico', type: 'DirectoryOrCreate' } },
          { name: 'var-lib-calico', hostPath: { path: '/var/lib/calico', type: 'DirectoryOrCreate' } },
          { name: 'spans', hostPath: { path: SPAN_FOLDER, type: 'DirectoryOrCreate' } },
          { name: 'cni-bin-dir', hostPath: { path: '/opt/cni/bin', type: 'DirectoryOrCreate' } },
          { name: 'cni-net-dir', hostPath: { path: '/etc/cni/net.d', type: 'DirectoryOrCreate' } },
        ],
      },
    },
  },
});

const deployment: Deployment = {
  apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: CONTROLLERS, namespace, labels: { 'k8s-app': CONTROLLERS } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { 'k8s-app': CONTROLLERS } },
    strategy: { type: 'Recreate' },
    template: {
      metadata: { name: CONTROLLERS, namespace, labels: { 'k8s-app': CONTROLLERS } },
      spec: {
        nodeSelector: { 'kubernetes.io/os': 'linux' },
        tolerations: [
          { key: 'CriticalAddonsOnly', operator: 'Exists' },
          { key: 'node-role.kubernetes.io/master', effect: 'NoSchedule' },
          { key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' },
        ],
        serviceAccountName: CONTROLLERS,
        securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
        priorityClassName: 'system-cluster-critical',
        containers: [{
          name: CONTROLLERS,
          image: CALICO_KUBE_CONTROLLERS_IMAGE,
          imagePullPolicy: 'IfNotPresent',
          env: [{ name: 'ENABLED_CONTROLLERS', value: 'node,loadbalancer' }, { name: 'DATASTORE_TYPE', value: 'kubernetes' }],
          startupProbe: { httpGet: { path: '/livez', port: 9094 }, periodSeconds: 1, failureThreshold: 60 },
          livenessProbe: { httpGet: { path: '/livez', port: 9094 }, periodSeconds: 10, initialDelaySeconds: 10, failureThreshold: 6, timeoutSeconds: 10 },
          readinessProbe: { httpGet: { path: '/readiness', port: 9094 }, periodSeconds: 10 },
          resources: {},
          securityContext: { runAsNonRoot: true, runAsUser: 999 },
        }],
      },
    },
  },
};

export function calicoManifests(options: AddonOptions): KubernetesObject[] {
  return [
    serviceAccount(NODE), serviceAccount(CONTROLLERS), ...clusterRole(NODE, nodeRules), ...clusterRole(CONTROLLERS, controllerRules),
    config, servicesEndpoint(options), disruptionBudget, daemonSet(options.podCidr), deployment,
    ...(options.loadBalancerCidr === undefined ? [] : [loadBalancerPool(options.loadBalancerCidr)]),
  ];
}
