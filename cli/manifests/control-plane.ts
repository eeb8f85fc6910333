// The static pods of the control plane, as kubeadm writes them to /etc/kubernetes/manifests, but each with a group of its own (cluster-layout.ts).
// Source: cmd/kubeadm/app/phases/{controlplane,etcd}, Kubernetes 1.36.
import { stringify } from 'yaml';
import type { Container, Pod, Probe } from '#lib/kinds/types/core-v1.ts';
import { SPAN_FOLDER } from '#lib/tracing/span-folder.ts';
import { API_PORT, etcdPeerUrl, groupOf, initialEtcdCluster, KUBERNETES_VERSION, POD_CIDR, SERVICE_CIDR } from '../cluster-layout.ts';
import { FAST_READINESS, FAST_STARTUP, FAST_STATIC_POD_LIVENESS, fastArguments, fastVariables, SCHEDULER_CONFIG_PATH } from './fast-failure-detection.ts';

export const ETCD_IMAGE = 'registry.k8s.io/etcd:3.6.8-0';
const PKI = '/etc/kubernetes/pki';

interface StaticPod {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly cpu: string;
  readonly memory?: string;
  /** Host paths mounted at the same place. */
  readonly files: readonly { readonly path: string; readonly isFile?: boolean; readonly writable?: boolean }[];
  readonly live: Endpoint;
  readonly ready?: Endpoint;
  readonly annotations?: Readonly<Record<string, string>>;
}
interface Endpoint {
  readonly host: string;
  readonly path: string;
  readonly port: number;
  readonly scheme: 'HTTP' | 'HTTPS';
}

function probe(httpGet: Endpoint, failureThreshold: number, periodSeconds: number): Probe {
  return { httpGet, failureThreshold, periodSeconds, timeoutSeconds: 15, ...(periodSeconds === 1 ? {} : { initialDelaySeconds: 10 }) };
}

/** A path of the host that a static pod gets beside what kubeadm gives it. */
export interface StaticPodMount {
  readonly hostPath: string;
  readonly path: string;
  readonly type: 'File' | 'Directory';
}

function podOf(pod: StaticPod, extra: readonly StaticPodMount[], isFast: boolean): Pod {
  const container: Container = {
    name: pod.name,
    image: pod.image,
    imagePullPolicy: 'IfNotPresent',
    command: [...pod.command, ...(isFast ? fastArguments(pod.name) : [])],
    ...(isFast ? { env: fastVariables() } : {}),
    resources: { requests: { cpu: pod.cpu, ...(pod.memory === undefined ? {} : { memory: pod.memory }) } },
    livenessProbe: { ...probe(pod.live, 8, 10), ...(isFast ? FAST_STATIC_POD_LIVENESS : {}) },
    ...(pod.ready === undefined ? {} : { readinessProbe: { ...probe(pod.ready, 3, 1), ...(isFast ? FAST_READINESS : {}) } }),
    startupProbe: { ...probe(pod.live, 24, 10), ...(isFast ? FAST_STARTUP : {}) },
    volumeMounts: [
      ...filesOf(pod).map(({ path, writable }) => ({ name: volumeName(path), mountPath: path, ...(writable ? {} : { readOnly: true }) })),
      ...extra.map(({ path, hostPath }) => ({ name: volumeName(hostPath), mountPath: path, readOnly: true })),
    ],
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod.name, namespace: 'kube-system', labels: { component: pod.name, tier: 'control-plane' }, ...(pod.annotations ? { annotations: { ...pod.annotations } } : {}) },
    spec: {
      containers: [container],
      hostNetwork: true,
      priority: 2000001000,
      priorityClassName: 'system-node-critical',
      securityContext: { runAsUser: 0, runAsGroup: groupOf(pod.name) ?? 0, seccompProfile: { type: 'RuntimeDefault' } },
      volumes: [
        ...filesOf(pod).map(({ path, isFile }) => ({ name: volumeName(path), hostPath: { path, type: isFile ? 'FileOrCreate' : 'DirectoryOrCreate' } })),
        ...extra.map(({ hostPath, type }) => ({ name: volumeName(hostPath), hostPath: { path: hostPath, type } })),
      ],
    },
  };
}

/** What kubeadm gives it, and where its spans go. */
const filesOf = ({ files }: StaticPod): StaticPod['files'] => [...files, { path: SPAN_FOLDER, writable: true }];

const volumeName = (path: string): string => path.slice(1).replaceAll(/[/.]/g, '-');

const flag = (name: string, value: string): string => `--${name}=${value}`;

interface Master {
  readonly name: string;
  readonly address: string;
}

export interface ControlPlaneOptions {
  readonly masters: readonly Master[];
  readonly extraMounts?: ((pod: string) => readonly StaticPodMount[]) | undefined;
  /** URLs of an etcd outside the cluster, which gets no static pod then. */
  readonly externalEtcd?: readonly string[] | undefined;
  /** With the timings of fast-failure-detection.ts. */
  readonly isFast?: boolean;
}

/** File name (without folder) to YAML. */
export function controlPlaneManifests(host: Master, { masters, extraMounts = () => [], externalEtcd = [], isFast = false }: ControlPlaneOptions): ReadonlyMap<string, string> {
  const { name, address } = host;
  const apiserver: Endpoint = { host: address, path: '/livez', port: API_PORT, scheme: 'HTTPS' };
  const pods: StaticPod[] = [
    {
      name: 'etcd', image: ETCD_IMAGE, cpu: '100m', memory: '100Mi',
      annotations: { 'kubeadm.kubernetes.io/etcd.advertise-client-urls': `https://${address}:2379` },
      live: { host: '127.0.0.1', path: '/livez', port: 2381, scheme: 'HTTP' },
      ready: { host: '127.0.0.1', path: '/readyz', port: 2381, scheme: 'HTTP' },
      files: [{ path: '/var/lib/etcd', writable: true }, { path: `${PKI}/etcd` }],
      command: ['etcd',
        flag('advertise-client-urls', `https://${address}:2379`), flag('cert-file', `${PKI}/etcd/server.crt`), flag('client-cert-auth', 'true'),
        flag('data-dir', '/var/lib/etcd'), flag('initial-advertise-peer-urls', etcdPeerUrl(host)),
        // All at once: kubeadm, which makes one master after the other, names those that are there already, and has the others join.
        flag('initial-cluster', initialEtcdCluster(masters)),
        flag('key-file', `${PKI}/etcd/server.key`), flag('listen-client-urls', `https://127.0.0.1:2379,https://${address}:2379`),
        flag('listen-metrics-urls', 'http://127.0.0.1:2381'), flag('listen-peer-urls', etcdPeerUrl(host)), flag('name', name),
        flag('peer-cert-file', `${PKI}/etcd/peer.crt`), flag('peer-client-cert-auth', 'true'), flag('peer-key-file', `${PKI}/etcd/peer.key`),
        flag('peer-trusted-ca-file', `${PKI}/etcd/ca.crt`), flag('snapshot-count', '10000'), flag('trusted-ca-file', `${PKI}/etcd/ca.crt`),
        flag('watch-progress-notify-interval', '5s')],
    },
    {
      name: 'kube-apiserver', image: `registry.k8s.io/kube-apiserver:${KUBERNETES_VERSION}`, cpu: '250m',
      annotations: { 'kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint': `${address}:${API_PORT}` },
      live: apiserver, ready: { ...apiserver, path: '/readyz' },
      files: [{ path: PKI }],
      command: ['kube-apiserver',
        flag('advertise-address', address), flag('allow-privileged', 'true'), flag('authorization-mode', 'Node,RBAC'), flag('client-ca-file', `${PKI}/ca.crt`),
        flag('enable-admission-plugins', 'NodeRestriction'), flag('enable-bootstrap-token-auth', 'true'),
        ...(externalEtcd.length > 0 && externalEtcd.every((server) => server.startsWith('http:')) ? []
          : [flag('etcd-cafile', `${PKI}/etcd/ca.crt`), flag('etcd-certfile', `${PKI}/apiserver-etcd-client.crt`), flag('etcd-keyfile', `${PKI}/apiserver-etcd-client.key`)]),
        flag('etcd-servers', externalEtcd.join() || 'https://127.0.0.1:2379'),
        flag('kubelet-client-certificate', `${PKI}/apiserver-kubelet-client.crt`), flag('kubelet-client-key', `${PKI}/apiserver-kubelet-client.key`),
        flag('kubelet-preferred-address-types', 'InternalIP,ExternalIP,Hostname'), flag('proxy-client-cert-file', `${PKI}/front-proxy-client.crt`),
        flag('proxy-client-key-file', `${PKI}/front-proxy-client.key`), flag('requestheader-allowed-names', 'front-proxy-client'),
        flag('requestheader-client-ca-file', `${PKI}/front-proxy-ca.crt`), flag('requestheader-extra-headers-prefix', 'X-Remote-Extra-'),
        flag('requestheader-group-headers', 'X-Remote-Group'), flag('requestheader-username-headers', 'X-Remote-User'), flag('secure-port', String(API_PORT)),
        flag('service-account-issuer', 'https://kubernetes.default.svc.cluster.local'), flag('service-account-key-file', `${PKI}/sa.pub`),
        flag('service-account-signing-key-file', `${PKI}/sa.key`), flag('service-cluster-ip-range', SERVICE_CIDR),
        flag('tls-cert-file', `${PKI}/apiserver.crt`), flag('tls-private-key-file', `${PKI}/apiserver.key`)],
    },
    {
      name: 'kube-controller-manager', image: `registry.k8s.io/kube-controller-manager:${KUBERNETES_VERSION}`, cpu: '200m',
      live: { host: '127.0.0.1', path: '/healthz', port: 10257, scheme: 'HTTPS' },
      files: [{ path: PKI }, { path: '/etc/kubernetes/controller-manager.conf', isFile: true }],
      command: ['kube-controller-manager',
        flag('allocate-node-cidrs', 'true'), flag('authentication-kubeconfig', '/etc/kubernetes/controller-manager.conf'),
        flag('authorization-kubeconfig', '/etc/kubernetes/controller-manager.conf'), flag('bind-address', '127.0.0.1'), flag('client-ca-file', `${PKI}/ca.crt`),
        flag('cluster-cidr', POD_CIDR), flag('cluster-name', 'kubernetes'), flag('cluster-signing-cert-file', `${PKI}/ca.crt`), flag('cluster-signing-key-file', `${PKI}/ca.key`),
        flag('controllers', '*,bootstrapsigner,tokencleaner'), flag('kubeconfig', '/etc/kubernetes/controller-manager.conf'), flag('leader-elect', 'true'),
        flag('requestheader-client-ca-file', `${PKI}/front-proxy-ca.crt`), flag('root-ca-file', `${PKI}/ca.crt`),
        flag('service-account-private-key-file', `${PKI}/sa.key`), flag('service-cluster-ip-range', SERVICE_CIDR), flag('use-service-account-credentials', 'true')],
    },
    {
      name: 'kube-scheduler', image: `registry.k8s.io/kube-scheduler:${KUBERNETES_VERSION}`, cpu: '100m',
      live: { host: '127.0.0.1', path: '/livez', port: 10259, scheme: 'HTTPS' },
      ready: { host: '127.0.0.1', path: '/readyz', port: 10259, scheme: 'HTTPS' },
      files: [{ path: '/etc/kubernetes/scheduler.conf', isFile: true }, ...(isFast ? [{ path: SCHEDULER_CONFIG_PATH, isFile: true }] : [])],
      command: ['kube-scheduler',
        flag('authentication-kubeconfig', '/etc/kubernetes/scheduler.conf'), flag('authorization-kubeconfig', '/etc/kubernetes/scheduler.conf'),
        flag('bind-address', '127.0.0.1'), flag('kubeconfig', '/etc/kubernetes/scheduler.conf'), flag('leader-elect', 'true')],
    },
  ];
  return new Map(pods.filter(({ name: pod }) => pod !== 'etcd' || externalEtcd.length === 0).map((pod) => [`${pod.name}.yaml`, stringify(podOf(pod, extraMounts(pod.name), isFast), { lineWidth: 0 })]));
}
