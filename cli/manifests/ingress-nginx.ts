// The Ingress controller as its own manifest installs it (deploy/static/provider/cloud/deploy.yaml, v1.14), without the
// admission webhook. It has no pod until the first Ingress of its class asks for one: see the annotation.
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { Deployment } from '#lib/kinds/types/apps-v1.ts';
import type { Namespace, Service, ServiceAccount } from '#lib/kinds/types/core-v1.ts';
import type { IngressClass } from '#lib/kinds/types/networking-v1.ts';
import type { ClusterRole, ClusterRoleBinding, Role, RoleBinding } from '#lib/kinds/types/rbac-v1.ts';

export const INGRESS_NGINX_IMAGE = 'registry.k8s.io/ingress-nginx/controller:v1.14.0';
/** The controller manager scales a Deployment with it from 0 to 1 when an Ingress of class nginx comes, once. */
const START_ANNOTATION = 'kubreak.dev/start-on-first-ingress';
const RBAC = 'rbac.authorization.k8s.io';
const NAME = 'ingress-nginx';
const CONTROLLER = 'ingress-nginx-controller';
const labels = { 'app.kubernetes.io/instance': NAME, 'app.kubernetes.io/name': NAME };
const controllerLabels = { ...labels, 'app.kubernetes.io/component': 'controller' };
const inNamespace = (name: string) => ({ name, namespace: NAME, labels });
const subjects = [{ kind: 'ServiceAccount', name: NAME, namespace: NAME }];

const namespace: Namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAME, labels }, spec: {} };
const serviceAccount: ServiceAccount = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: inNamespace(NAME) };
const clusterRole: ClusterRole = {
  apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata: { name: NAME, labels },
  rules: [
    { apiGroups: [''], resources: ['configmaps', 'endpoints', 'nodes', 'pods', 'secrets', 'namespaces'], verbs: ['list', 'watch'] },
    { apiGroups: [''], resources: ['services'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['networking.k8s.io'], resources: ['ingresses', 'ingressclasses'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['networking.k8s.io'], resources: ['ingresses/status'], verbs: ['update'] },
    { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch', 'get'] },
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['list', 'watch'] },
  ],
};
const clusterRoleBinding: ClusterRoleBinding = {
  apiVersion: `${RBAC}/v1`, kind: 'ClusterRoleBinding', metadata: { name: NAME, labels }, roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: NAME }, subjects,
};
const role: Role = {
  apiVersion: `${RBAC}/v1`, kind: 'Role', metadata: inNamespace(NAME),
  rules: [
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], resourceNames: ['ingress-nginx-leader'], verbs: ['get', 'update'] },
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  ],
};
const roleBinding: RoleBinding = {
  apiVersion: `${RBAC}/v1`, kind: 'RoleBinding', metadata: inNamespace(NAME), roleRef: { apiGroup: RBAC, kind: 'Role', name: NAME }, subjects,
};
const service: Service = {
  apiVersion: 'v1', kind: 'Service', metadata: inNamespace(CONTROLLER),
  spec: {
    type: 'LoadBalancer', externalTrafficPolicy: 'Cluster', selector: controllerLabels,
    ports: [
      { name: 'http', port: 80, protocol: 'TCP', targetPort: 'http', appProtocol: 'http' },
      { name: 'https', port: 443, protocol: 'TCP', targetPort: 'https', appProtocol: 'https' },
    ],
  },
};
const deployment: Deployment = {
  apiVersion: 'apps/v1', kind: 'Deployment',
  metadata: { ...inNamespace(CONTROLLER), labels: controllerLabels, annotations: { [START_ANNOTATION]: 'true' } },
  spec: {
    replicas: 0, minReadySeconds: 0, revisionHistoryLimit: 10,
    selector: { matchLabels: controllerLabels },
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
    template: {
      metadata: { labels: controllerLabels },
      spec: {
        dnsPolicy: 'ClusterFirst', serviceAccountName: NAME, terminationGracePeriodSeconds: 300, nodeSelector: { 'kubernetes.io/os': 'linux' },
        containers: [{
          name: 'controller', image: INGRESS_NGINX_IMAGE, imagePullPolicy: 'IfNotPresent',
          args: [
            '/nginx-ingress-controller', '--publish-service=$(POD_NAMESPACE)/ingress-nginx-controller', '--election-id=ingress-nginx-leader',
            '--controller-class=k8s.io/ingress-nginx', '--ingress-class=nginx',
          ],
          env: [
            { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
          ],
          ports: [{ name: 'http', containerPort: 80, protocol: 'TCP' }, { name: 'https', containerPort: 443, protocol: 'TCP' }],
          readinessProbe: { httpGet: { path: '/healthz', port: 10254, scheme: 'HTTP' }, initialDelaySeconds: 1, periodSeconds: 2, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3 },
          livenessProbe: { httpGet: { path: '/healthz', port: 10254, scheme: 'HTTP' }, initialDelaySeconds: 10, periodSeconds: 10, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 5 },
          resources: { requests: { cpu: '100m', memory: '90Mi' } },
        }],
      },
    },
  },
};
const ingressClass: IngressClass = {
  apiVersion: 'networking.k8s.io/v1', kind: 'IngressClass', metadata: { name: 'nginx', labels: controllerLabels }, spec: { controller: 'k8s.io/ingress-nginx' },
};

export function ingressNginxManifests(): KubernetesObject[] {
  return [namespace, serviceAccount, clusterRole, clusterRoleBinding, role, roleBinding, service, ingressClass, deployment];
}
