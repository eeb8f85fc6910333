// The files with which a host comes out of its installation and `kubeadm init` or `kubeadm join`: the same in local mode,
// where `kubreak up` writes them to the hosts' disks, and in a container, which writes them to its own.
import { randomBytes } from 'node:crypto';
import { apiServersOf, controlPlaneEndpoint, groupOf, mastersOf, METRICS_SERVER_DELAY_SECONDS, SUBNET_PREFIX_LENGTH, type HostLayout } from './cluster-layout.ts';
import { CONTAINERD_CONFIG, containerdFiles } from './manifests/containerd-config.ts';
import { FAST_RESTART_SECONDS, FAST_VARIABLES, fastSchedulerConfig, SCHEDULER_CONFIG_PATH } from './manifests/fast-failure-detection.ts';
import { controlPlaneManifests, type StaticPodMount } from './manifests/control-plane.ts';
import { kubeletConfiguration } from './manifests/kubelet-config.ts';
import { metricsServerArguments } from './manifests/metrics-server.ts';

/** Where the bundles and native packages are on every host. */
export const BUNDLE_FOLDER = '/opt/kubreak';
/**
 * Many small processes: a small young generation and one allocator arena save some 15 MB each; larger pieces outside the
 * allocator's heap, so that what V8 used to compile goes back, save another 10. Measured: 24 idle processes 467 MiB
 * instead of 693, for the same CPU time of a start (15.5 s).
 */
const LEAN = { NODE_OPTIONS: '--max-semi-space-size=1 --use-openssl-ca', MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_MMAP_THRESHOLD_: '16384' };
/** Tools of systemd and kmod that services/node answers. */
export const HOST_TOOLS = ['systemctl', 'modprobe', 'lsmod', 'reboot'] as const;

export interface HostFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/** `kubreak`: the one that is built in; `containerd`: the real one, which has to be installed on the host. */
export const CONTAINER_RUNTIMES = ['kubreak', 'containerd'] as const;
export type ContainerRuntime = (typeof CONTAINER_RUNTIMES)[number];

export interface ServiceFilesOptions {
  readonly host: HostLayout;
  readonly hosts: readonly HostLayout[];
  readonly gateway: string;
  /** nft tables on the host that are not its own. */
  readonly foreignTables?: readonly string[];
  readonly containerRuntime?: ContainerRuntime;
  /** With the timings of manifests/fast-failure-detection.ts. */
  readonly isFast?: boolean;
}

export interface HostFilesOptions extends ServiceFilesOptions {
  /** Certificates and kubeconfigs of this host, by path. */
  readonly pki: ReadonlyMap<string, string>;
  /** Cgroup below which the host's pods are put. */
  readonly cgroupRoot: string;
  /** See KubeletConfigOptions. */
  readonly resolvConf?: string;
  /** URLs of an etcd outside the cluster, which gets no static pod then. */
  readonly externalEtcd?: readonly string[];
  /** What a pod of the control plane gets to see beside what kubeadm gives it, by the pod's name. */
  readonly staticPodMounts?: (pod: string) => readonly StaticPodMount[];
}

const file = (path: string, text: string, mode = 0o644): HostFile => ({ path, text, mode });

export function hostFiles(options: HostFilesOptions): HostFile[] {
  const { host, hosts, gateway, pki, cgroupRoot, staticPodMounts, resolvConf, externalEtcd, isFast = false } = options;
  const isMaster = host.role === 'control-plane';
  return [
    ...[...pki].map(([path, text]) => file(path, text, /\.(key|conf)$/.test(path) ? 0o600 : 0o644)),
    file('/etc/hostname', `${host.name}\n`),
    file('/etc/machine-id', `${randomBytes(16).toString('hex')}\n`),
    // The router of the network, as on most networks. It has no name service: what is not of the cluster fails at once.
    file('/etc/resolv.conf', `nameserver ${gateway}\n`),
    file('/etc/hosts', hostsText(hosts)),
    file('/etc/sysctl.d/99-kubernetes.conf', 'net.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\nnet.ipv4.ip_forward = 1\n'),
    ...serviceFiles(options),
    file('/var/lib/kubelet/config.yaml', kubeletConfiguration({ isControlPlane: isMaster, cgroupRoot, isFast, ...(resolvConf === undefined ? {} : { resolvConf }) })),
    ...hostToolFiles(),
    ...(isMaster && isFast ? [file(SCHEDULER_CONFIG_PATH, fastSchedulerConfig())] : []),
    ...(isMaster ? [...controlPlaneManifests(host, { masters: mastersOf(hosts), extraMounts: staticPodMounts, externalEtcd, isFast })].map(([name, text]) => file(`/etc/kubernetes/manifests/${name}`, text, 0o600)) : []),
    ...(isMaster ? [file('/root/.kube/config', pki.get('/etc/kubernetes/admin.conf') ?? '', 0o600)] : []),
  ];
}

export function hostToolFiles(): HostFile[] {
  const tool = (name: string, command: string): HostFile => ({ path: `/usr/local/sbin/${name}`, text: `#!/bin/sh\nexec node ${BUNDLE_FOLDER}/dist/${command} "$@"\n`, mode: 0o755 });
  // A real containerd's ctr stays where it is: ours calls it where that runtime serves.
  return [...HOST_TOOLS.map((name) => tool(name, `hostctl.js ${name}`)), tool('ctr', 'ctr.js')];
}

export function hostsText(hosts: readonly HostLayout[]): string {
  return ['127.0.0.1 localhost', '::1 localhost ip6-localhost ip6-loopback', ...hosts.map(({ name, address }) => `${address} ${name}`), ''].join('\n');
}

/** What runs on the host beside pods. */
export function serviceFiles(options: ServiceFilesOptions): HostFile[] {
  return [
    file('/etc/kubreak/node.json', JSON.stringify(nodeConfig(options), null, 2)),
    ...(options.containerRuntime === 'containerd' ? realContainerdFiles() : []),
  ];
}

/** Only for hosts on which it runs: the built-in runtime would read its registries, too. */
export const realContainerdFiles = (): HostFile[] =>
  containerdFiles({ socket: SOCKET, metricsAddress: RUNTIME_METRICS, registry: `127.0.0.1:${IMAGE_REGISTRY_PORT}`, runc: `${BUNDLE_FOLDER}/cli/compose/runc` }).map(({ path, text }) => file(path, text));

const SOCKET = '/run/containerd/containerd.sock';
const RUNTIME_METRICS = '127.0.0.1:1338';
const IMAGE_REGISTRY_PORT = 1339;

function nodeConfig({ host, hosts, gateway, foreignTables = [], containerRuntime = 'kubreak', isFast = false }: ServiceFilesOptions): unknown {
  const apiServers = apiServersOf(hosts);
  const isFirstMaster = host.name === mastersOf(hosts)[0]?.name;
  const program = (name: string, ...args: string[]) => ['node', `${BUNDLE_FOLDER}/dist/${name}.js`, ...args];
  const environment = { ...LEAN, HOME: '/root', ...(isFast ? FAST_VARIABLES : {}) };
  const restartSeconds = isFast ? FAST_RESTART_SECONDS : { kubelet: 10, containerd: 5 };
  const runtime = { name: 'containerd', description: 'containerd container runtime', restartSeconds: restartSeconds.containerd, environment };
  return {
    hostName: host.name,
    network: { device: 'eth0', address: `${host.address}/${SUBNET_PREFIX_LENGTH}`, gateway, foreignTables },
    modules: ['overlay', 'br_netfilter'],
    ...(apiServers.length > 1 ? { balancer: { listen: controlPlaneEndpoint(hosts), servers: apiServers } } : {}),
    units: [
      ...(containerRuntime === 'containerd' ? [
        { name: 'image-registry', description: 'registry of the built-in images', restartSeconds: 5, environment, command: program('image-registry', `--port=${IMAGE_REGISTRY_PORT}`) },
        { ...runtime, environment: { HOME: '/root' }, command: ['containerd', `--config=${CONTAINERD_CONFIG}`] },
      ] : [{ ...runtime, command: program('containerd', `--address=${SOCKET}`, '--root=/var/lib/containerd', '--state=/run/containerd', `--metrics-address=${RUNTIME_METRICS}`, `--emulator-catalogue=${BUNDLE_FOLDER}/dist/images`) }]),
      {
        name: 'kubelet', description: 'kubelet: The Kubernetes Node Agent', restartSeconds: restartSeconds.kubelet, environment,
        command: program('kubelet', '--config=/var/lib/kubelet/config.yaml', '--kubeconfig=/etc/kubernetes/kubelet.conf', `--container-runtime-endpoint=unix://${SOCKET}`,
          `--hostname-override=${host.name}`, `--node-ip=${host.address}`,
          ...(host.cpu === undefined ? [] : [`--emulator-capacity-cpu=${host.cpu}`]), ...(host.memory === undefined ? [] : [`--emulator-capacity-memory=${host.memory}`])),
      },
      ...(isFirstMaster ? [{
        name: 'metrics-server', description: 'metrics-server: usage of nodes and pods', restartSeconds: 5, bootDelaySeconds: METRICS_SERVER_DELAY_SECONDS, environment, group: groupOf('metrics-server'),
        command: program('metrics-server', ...metricsServerArguments),
      }] : []),
    ],
  };
}
