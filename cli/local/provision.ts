// Prepares the disks of the hosts before their first boot, as an installer and `kubeadm init`/`join` would.
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { kubeadmPki, type PkiFiles } from '#lib/pki/kubeadm-pki.ts';
import { API_PORT, HOSTS, MASTER, SERVICE_CIDR, GATEWAY, type HostLayout } from '../cluster-layout.ts';
import { HOST_TOOLS, hostFiles, type HostFile } from '../host-files.ts';
import { UserError } from '../user-error.ts';
import type { ClusterFolder } from './cluster-folder.ts';
import { isRootless } from './rootless.ts';
import { makeBase } from './rootless-base.ts';

/**
 * Folders of a host that live on its own disk, outside the overlay over the machine's root: what the machine itself
 * keeps there must not show, and containers need a real file system below /var/lib/containerd.
 */
export const HOST_DATA_FOLDERS = [
  '/etc/kubernetes', '/etc/cni', '/etc/kubreak', '/etc/sysctl.d', '/root', '/home', '/opt', '/mnt', '/srv', '/media',
  '/var/lib/kubelet', '/var/lib/containerd', '/var/lib/etcd', '/var/lib/calico', '/var/lib/cni', '/var/log',
] as const;

export async function provision(folder: ClusterFolder, nowMs: number): Promise<void> {
  if (folder.exists) {
    if (folder.provisioned.isRootless === isRootless()) return;
    throw new UserError(`the cluster in ${folder.path} was made ${isRootless() ? 'by root: run kubreak as root' : 'without root: run kubreak as its user'}, or choose another folder with --dir`);
  }
  if (isRootless()) await makeBase(folder.baseFolder);
  rmSync(`${folder.path}/hosts`, { recursive: true, force: true }); // an earlier attempt that was cut short
  const pki = await kubeadmPki({
    masters: HOSTS.filter(({ role }) => role === 'control-plane'), workers: HOSTS.filter(({ role }) => role === 'worker'),
    serviceCidr: SERVICE_CIDR, nowMs, extraDnsNames: ['localhost'], extraIpAddresses: ['127.0.0.1'],
  });
  for (const host of HOSTS) provisionHost(folder, host, pki);
  folder.markProvisioned({ addonsApplied: false, isRootless: isRootless() });
}

/** The admin kubeconfig for the machine itself, with the address that the supervisor listens on. */
export function adminKubeconfig(masterKubeconfig: string, port: number): string {
  return masterKubeconfig.replace(/server: .*/, `server: https://127.0.0.1:${port}`);
}

function provisionHost(folder: ClusterFolder, host: HostLayout, pki: PkiFiles): void {
  const data = (path: string) => folder.hostData(host.name, path);
  for (const path of HOST_DATA_FOLDERS) mkdirSync(data(path), { recursive: true });
  for (const part of ['upper', 'work', 'root', ...(isRootless() ? ['usr-upper', 'usr-work'] : [])]) mkdirSync(`${folder.hostFolder(host.name)}/${part}`, { recursive: true });
  const write = ({ path, text, mode }: HostFile) => {
    const inData = HOST_DATA_FOLDERS.some((prefix) => path.startsWith(`${prefix}/`));
    const layer = isRootless() && path.startsWith('/usr/') ? `usr-upper${path.slice('/usr'.length)}` : `upper${path}`;
    const target = inData ? data(path) : `${folder.hostFolder(host.name)}/${layer}`;
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
    chmodSync(target, mode);
  };
  const files = hostFiles({ host, hosts: HOSTS, gateway: GATEWAY, pki: pki.get(host.name) ?? new Map(), cgroupRoot: `/${folder.cgroup}/${host.name}` });
  for (const file of files) {
    write(file);
    // The machine's own systemctl and the like must not answer on a host.
    const tool = HOST_TOOLS.find((name) => file.path === `/usr/local/sbin/${name}`);
    if (tool !== undefined) for (const path of [`/usr/bin/${tool}`, `/usr/sbin/${tool}`]) if (existsSync(path)) write({ ...file, path });
  }
  mkdirSync(data('/etc/kubernetes/manifests'), { recursive: true });
  mkdirSync(data('/etc/cni/net.d'), { recursive: true });
  chmodSync(data('/root'), 0o700);
}

export const MASTER_ENDPOINT = `${MASTER.address}:${API_PORT}`;
