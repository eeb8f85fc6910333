// Prepares the disks of the hosts before their first boot, as an installer and `kubeadm init`/`join` would.
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { kubeadmPki, type PkiFiles } from '#lib/pki/kubeadm-pki.ts';
import { API_PORT, HOSTS, MASTER, SERVICE_CIDR, SUBNET_PREFIX_LENGTH, GATEWAY, type HostLayout } from '../cluster-layout.ts';
import { controlPlaneManifests } from '../manifests/control-plane.ts';
import { kubeletConfiguration } from '../manifests/kubelet-config.ts';
import type { ClusterFolder } from './cluster-folder.ts';

/**
 * Folders of a host that live on its own disk, outside the overlay over the machine's root: what the machine itself
 * keeps there must not show, and containers need a real file system below /var/lib/containerd.
 */
export const HOST_DATA_FOLDERS = [
  '/etc/kubernetes', '/etc/cni', '/etc/kubreak', '/etc/sysctl.d', '/root', '/home', '/opt', '/mnt', '/srv', '/media',
  '/var/lib/kubelet', '/var/lib/containerd', '/var/lib/etcd', '/var/lib/calico', '/var/lib/cni', '/var/log',
] as const;

/** Where the bundles and native packages are on every host; below /opt. */
export const BUNDLE_FOLDER = '/opt/kubreak';
/** Many small processes: a small young generation and one allocator arena save some 15 MB each. */
const LEAN = { NODE_OPTIONS: '--max-semi-space-size=1', MALLOC_ARENA_MAX: '1' };

export async function provision(folder: ClusterFolder, nowMs: number): Promise<void> {
  if (folder.exists) return;
  rmSync(`${folder.path}/hosts`, { recursive: true, force: true }); // an earlier attempt that was cut short
  const pki = await kubeadmPki({
    masters: HOSTS.filter(({ role }) => role === 'control-plane'), workers: HOSTS.filter(({ role }) => role === 'worker'),
    serviceCidr: SERVICE_CIDR, nowMs, extraDnsNames: ['localhost'], extraIpAddresses: ['127.0.0.1'],
  });
  for (const host of HOSTS) provisionHost(folder, host, pki);
  folder.markProvisioned({ addonsApplied: false });
}

/** The admin kubeconfig for the machine itself, with the address that the supervisor listens on. */
export function adminKubeconfig(masterKubeconfig: string, port: number): string {
  return masterKubeconfig.replace(/server: .*/, `server: https://127.0.0.1:${port}`);
}

function provisionHost(folder: ClusterFolder, host: HostLayout, pki: PkiFiles): void {
  const data = (path: string) => folder.hostData(host.name, path);
  for (const path of HOST_DATA_FOLDERS) mkdirSync(data(path), { recursive: true });
  for (const part of ['upper', 'work', 'root']) mkdirSync(`${folder.hostFolder(host.name)}/${part}`, { recursive: true });
  const write = (path: string, text: string, mode = 0o644) => {
    const inData = HOST_DATA_FOLDERS.some((prefix) => path.startsWith(`${prefix}/`));
    const target = inData ? data(path) : `${folder.hostFolder(host.name)}/upper${path}`;
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
    chmodSync(target, mode);
  };
  for (const [path, text] of pki.get(host.name) ?? []) write(path, text, /\.(key|conf)$/.test(path) ? 0o600 : 0o644);
  write('/etc/hostname', `${host.name}\n`);
  write('/etc/machine-id', `${randomBytes(16).toString('hex')}\n`);
  // The router of the network, as on most networks. It has no name service: what is not of the cluster fails at once.
  write('/etc/resolv.conf', `nameserver ${GATEWAY}\n`);
  write('/etc/hosts', ['127.0.0.1 localhost', '::1 localhost ip6-localhost ip6-loopback', ...HOSTS.map(({ name, address }) => `${address} ${name}`), ''].join('\n'));
  write('/etc/sysctl.d/99-kubernetes.conf', 'net.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\nnet.ipv4.ip_forward = 1\n');
  write('/etc/kubreak/node.json', JSON.stringify(nodeConfig(host), null, 2));
  write('/var/lib/kubelet/config.yaml', kubeletConfiguration({ isControlPlane: host.role === 'control-plane', cgroupRoot: `/${folder.cgroup}/${host.name}` }));
  mkdirSync(data('/etc/kubernetes/manifests'), { recursive: true });
  mkdirSync(data('/etc/cni/net.d'), { recursive: true });
  chmodSync(data('/root'), 0o700);
  for (const tool of ['systemctl', 'modprobe', 'lsmod', 'reboot']) {
    const script = `#!/bin/sh\nexec node ${BUNDLE_FOLDER}/dist/hostctl.js ${tool} "$@"\n`;
    write(`/usr/local/sbin/${tool}`, script, 0o755);
    for (const path of [`/usr/bin/${tool}`, `/usr/sbin/${tool}`]) if (existsSync(path)) write(path, script, 0o755);
  }
  if (host.role === 'control-plane') {
    for (const [name, text] of controlPlaneManifests(host)) write(`/etc/kubernetes/manifests/${name}`, text, 0o600);
    write('/root/.kube/config', pki.get(host.name)?.get('/etc/kubernetes/admin.conf') ?? '', 0o600);
  }
}

function nodeConfig(host: HostLayout): unknown {
  const program = (name: string, ...args: string[]) => ['node', `${BUNDLE_FOLDER}/dist/${name}.js`, ...args];
  const environment = { ...LEAN, HOME: '/root' };
  const socket = '/run/containerd/containerd.sock';
  return {
    hostName: host.name,
    network: { device: 'eth0', address: `${host.address}/${SUBNET_PREFIX_LENGTH}`, gateway: GATEWAY },
    modules: ['overlay', 'br_netfilter'],
    units: [
      { name: 'containerd', description: 'containerd container runtime', restartSeconds: 5, environment, command: program('containerd', `--address=${socket}`, '--root=/var/lib/containerd', '--state=/run/containerd', '--metrics-address=127.0.0.1:1338', `--emulator-catalogue=${BUNDLE_FOLDER}/dist/images`) },
      {
        name: 'kubelet', description: 'kubelet: The Kubernetes Node Agent', restartSeconds: 10, environment,
        command: program('kubelet', '--config=/var/lib/kubelet/config.yaml', '--kubeconfig=/etc/kubernetes/kubelet.conf', `--container-runtime-endpoint=unix://${socket}`,
          `--hostname-override=${host.name}`, `--node-ip=${host.address}`),
      },
    ],
  };
}

export const MASTER_ENDPOINT = `${MASTER.address}:${API_PORT}`;
