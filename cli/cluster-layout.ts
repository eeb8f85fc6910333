// The hosts of the cluster, their addresses, and which component runs where. Source: DESIGN, "Hosts".

export interface HostLayout {
  readonly name: string;
  readonly address: string;
  readonly role: 'control-plane' | 'worker';
  /** Quantities that the node declares instead of the machine's. */
  readonly cpu?: string;
  readonly memory?: string;
  /** Of a master whose API server uses an etcd outside the cluster. */
  readonly hasExternalEtcd?: boolean;
}

export const SUBNET_PREFIX_LENGTH = 24;
export const GATEWAY = '192.168.1.1';
export const SERVICE_CIDR = '10.96.0.0/12';
export const POD_CIDR = '172.16.0.0/16';
export const CLUSTER_DNS = '10.96.0.10';
export const API_PORT = 6443;
export const KUBERNETES_VERSION = 'v1.36.2';

const NETWORK = '192.168.1';
const FIRST_MASTER = 10;
const master = (number: number): HostLayout => ({ name: number === 1 ? 'm-k8s' : `m${number}-k8s`, address: `${NETWORK}.${FIRST_MASTER + number - 1}`, role: 'control-plane' });
/** The first one, which every cluster has. */
export const MASTER = master(1);
/** A majority of two is two: a second master alone would only be one more that can fail. */
export const MASTER_COUNTS: readonly number[] = [1, 3, 5];
/** Of each host's own balancer in front of several API servers, on its loopback address. The port is that of Talos' KubePrism. */
export const BALANCER_PORT = 7445;
export const HOST_NETWORK = `${NETWORK}.0/${SUBNET_PREFIX_LENGTH}`;
const FIRST_WORKER = 101;
const LAST_ADDRESS = 254;
/** Workers with names of their own have addresses from here on, so that w4-k8s finds its place. */
const FIRST_OF_OTHER_NAMES = 201;
export const DEFAULT_WORKERS = 3;
export const MAX_WORKERS = 100;

const worker = (number: number): HostLayout => ({ name: `w${number}-k8s`, address: `${NETWORK}.${FIRST_WORKER + number - 1}`, role: 'worker' });

const numbered = (count: number, host: (number: number) => HostLayout): HostLayout[] => Array.from({ length: count }, (_, index) => host(index + 1));
export const hostsWith = (workers: number, masters = 1): HostLayout[] => [...numbered(masters, master), ...numbered(workers, worker)];

export const mastersOf = (hosts: readonly HostLayout[]): HostLayout[] => hosts.filter(({ role }) => role === 'control-plane');

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Every API server by its own address. */
export const apiServersOf = (hosts: readonly HostLayout[]): Endpoint[] => mastersOf(hosts).map(({ address }) => ({ host: address, port: API_PORT }));

/** Where clients on any host find an API server: the only one, or the host's own balancer. kubeadm's controlPlaneEndpoint. */
export function controlPlaneEndpoint(hosts: readonly HostLayout[]): Endpoint {
  const [first, ...more] = apiServersOf(hosts);
  return more.length > 0 ? { host: '127.0.0.1', port: BALANCER_PORT } : first ?? { host: MASTER.address, port: API_PORT };
}
export const urlOf = ({ host, port }: Endpoint): string => `https://${host}:${port}`;

/** The hosts of a cluster unless it was asked for others. */
export const HOSTS: readonly HostLayout[] = hostsWith(DEFAULT_WORKERS);

/** Where a new worker has its place: w4-k8s at .104, others from .201 on. Undefined when there is no address left. */
export function placeWorker(name: string, hosts: readonly HostLayout[]): HostLayout | undefined {
  const isFree = (address: string): boolean => hosts.every((host) => host.address !== address);
  const number = Number(/^w([1-9]\d?)-k8s$/.exec(name)?.[1] ?? 0);
  if (number > 0 && isFree(worker(number).address)) return worker(number);
  for (let last = FIRST_OF_OTHER_NAMES; last <= LAST_ADDRESS; last += 1) {
    const address = `${NETWORK}.${last}`;
    if (isFree(address)) return { name, address, role: 'worker' };
  }
  return undefined;
}

/** Between the masters and the workers of the hosts' network: 192.168.1.33 to .62. */
export const loadBalancerCidr = (masterAddress: string): string => masterAddress.replace(/\d+$/, '32/27');

export interface Component {
  /** As the command line calls it. */
  readonly name: string;
  /** As the process calls itself. */
  readonly processTitle: string;
  readonly supervisedBy: 'host' | 'static-pod' | 'pod';
  /** The service of the host, the manifest's file name, or the label `k8s-app` of its pods. */
  readonly unit: string;
  readonly hosts: 'every' | 'control-plane' | 'first-master' | 'any';
  /**
   * Of its processes alone, and what their connections are told by when they are to be cut (faults/partition.ts): the group of a
   * socket outlives restarts and needs nobody who looks for new processes. The kubelet and the container runtime have none, for
   * what they make on disk would belong to it; those of a pod with a network of its own are told by its address.
   */
  readonly group?: number;
  /** Started this long after its host; until then it is not missed. */
  readonly startsAfterSeconds?: number;
  /** Asked in the network namespace of the process; undefined: the process being there is all that can be told. */
  readonly healthUrl?: string;
}

/** Metrics are the last thing that a starting cluster needs, and there is nothing to measure before. */
export const METRICS_SERVER_DELAY_SECONDS = 6;

export const COMPONENTS: readonly Component[] = [
  { name: 'etcd', processTitle: 'etcd', supervisedBy: 'static-pod', unit: 'etcd', hosts: 'control-plane', group: 61001, healthUrl: 'http://127.0.0.1:2381/health' },
  { name: 'apiserver', processTitle: 'kube-apiserver', supervisedBy: 'static-pod', unit: 'kube-apiserver', hosts: 'control-plane', group: 61002, healthUrl: 'https://127.0.0.1:6443/readyz' },
  { name: 'controller-manager', processTitle: 'kube-controller-manager', supervisedBy: 'static-pod', unit: 'kube-controller-manager', hosts: 'control-plane', group: 61003, healthUrl: 'https://127.0.0.1:10257/healthz' },
  { name: 'scheduler', processTitle: 'kube-scheduler', supervisedBy: 'static-pod', unit: 'kube-scheduler', hosts: 'control-plane', group: 61004, healthUrl: 'https://127.0.0.1:10259/healthz' },
  { name: 'kubelet', processTitle: 'kubelet', supervisedBy: 'host', unit: 'kubelet', hosts: 'every', healthUrl: 'http://127.0.0.1:10248/healthz' },
  { name: 'container-runtime', processTitle: 'containerd', supervisedBy: 'host', unit: 'containerd', hosts: 'every', healthUrl: 'http://127.0.0.1:1338/v1/metrics' },
  { name: 'metrics-server', processTitle: 'metrics-server', supervisedBy: 'host', unit: 'metrics-server', hosts: 'first-master', group: 61005, startsAfterSeconds: METRICS_SERVER_DELAY_SECONDS, healthUrl: 'https://127.0.0.1:4443/livez' },
  { name: 'kube-proxy', processTitle: 'kube-proxy', supervisedBy: 'pod', unit: 'kube-proxy', hosts: 'every', group: 61006, healthUrl: 'http://127.0.0.1:10256/healthz' },
  { name: 'calico-node', processTitle: 'calico-node', supervisedBy: 'pod', unit: 'calico-node', hosts: 'every', group: 61007, healthUrl: 'http://127.0.0.1:9099/liveness' },
  { name: 'coredns', processTitle: 'coredns', supervisedBy: 'pod', unit: 'kube-dns', hosts: 'any', healthUrl: 'http://127.0.0.1:8080/health' },
  { name: 'calico-kube-controllers', processTitle: 'calico-kube-controllers', supervisedBy: 'pod', unit: 'calico-kube-controllers', hosts: 'any' },
];

export const groupOf = (processTitle: string): number | undefined => COMPONENTS.find((each) => each.processTitle === processTitle)?.group;

/** Of its etcd member. */
export const etcdPeerUrl = ({ address }: Pick<HostLayout, 'address'>): string => `https://${address}:2380`;

/** As etcd's --initial-cluster. */
export const initialEtcdCluster = (masters: readonly Pick<HostLayout, 'name' | 'address'>[]): string => masters.map((master) => `${master.name}=${etcdPeerUrl(master)}`).join(',');

/** Whether the component has to run on this host of a cluster; one that may run anywhere has to on none. */
export function belongsOn({ name: component, hosts: places }: Component, { name, role, hasExternalEtcd }: HostLayout, hosts: readonly HostLayout[]): boolean {
  switch (places) {
    case 'every': return true;
    case 'control-plane': return role === 'control-plane' && !(hasExternalEtcd && component === 'etcd');
    case 'first-master': return name === mastersOf(hosts)[0]?.name;
    case 'any': return false;
  }
}
