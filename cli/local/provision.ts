// Prepares the disks of the hosts before their first boot, as an installer and `kubeadm init`/`join` would.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { kubeadmPki, nodeFiles } from '#lib/pki/kubeadm-pki.ts';
import { controlPlaneEndpoint, DEFAULT_WORKERS, hostsWith, MASTER, mastersOf, SERVICE_CIDR, GATEWAY, urlOf, type HostLayout } from '../cluster-layout.ts';
import { HOST_TOOLS, hostFiles, type HostFile } from '../host-files.ts';
import { UserError } from '../user-error.ts';
import type { ClusterFolder, ProvisionedFacts } from './cluster-folder.ts';
import type { ExternalEtcd } from './external-etcd.ts';
import type { LabHost } from './lab/lab-config.ts';
import { isRootless, removeClusterFolder } from './rootless.ts';
import { checkRootlessHosts, makeBase } from './rootless-base.ts';

/**
 * Folders of a host that live on its own disk, outside the overlay over the machine's root: what the machine itself
 * keeps there must not show, and containers need a real file system below /var/lib/containerd.
 */
export const HOST_DATA_FOLDERS = [
  '/etc/kubernetes', '/etc/cni', '/etc/kubreak', '/etc/sysctl.d', '/root', '/home', '/opt', '/mnt', '/srv', '/media',
  '/var/lib/kubelet', '/var/lib/containerd', '/var/lib/etcd', '/var/lib/calico', '/var/lib/cni', '/var/log',
] as const;

/** What a new cluster is asked to have; nothing of it can be asked of one that is there. */
export interface WantedHosts {
  readonly masters?: number;
  readonly workers?: number;
  readonly nodeCpu?: string;
  readonly nodeMemory?: string;
  readonly externalEtcd?: ExternalEtcd;
  readonly fastFailureDetection?: boolean;
}

function checkExisting(folder: ClusterFolder, { masters, workers, nodeCpu, nodeMemory, externalEtcd, fastFailureDetection }: WantedHosts): void {
  const { hosts, path } = folder;
  folder.requireOwner();
  const presentMasters = mastersOf(hosts).length;
  if (masters !== undefined && masters !== presentMasters) throw new UserError(`the cluster in ${path} has ${presentMasters === 1 ? 'one master' : `${presentMasters} masters`}, which cannot be changed: start it without --masters, or make another one with --dir`);
  const present = hosts.filter(({ role }) => role === 'worker').length;
  if (workers !== undefined && workers !== present) throw new UserError(`the cluster in ${path} has ${present} workers: start it without --workers, then use kubreak node add or kubreak node remove`);
  const servers = folder.provisioned.externalEtcd?.join();
  if (externalEtcd !== undefined && externalEtcd.servers.join() !== servers) throw new UserError(`the cluster in ${path} keeps its state ${servers === undefined ? 'in its own etcd' : `in ${servers}`}: start it without --etcd-servers`);
  if (fastFailureDetection === true && folder.provisioned.isFast !== true) throw new UserError(`the cluster in ${path} has upstream's timings, which stay: start it without --fast-failure-detection, or make another one with --dir`);
  if (hosts.some(({ cpu, memory }) => (nodeCpu ?? cpu) !== cpu || (nodeMemory ?? memory) !== memory)) {
    throw new UserError(`the nodes of the cluster in ${path} have their sizes already: start it without --node-cpu and --node-memory, or add nodes with kubreak node add --cpu --memory`);
  }
}

/** What a `kubreak node add` or `node remove` that was cut short has left. */
async function removeStrayDisks(folder: ClusterFolder): Promise<void> {
  const strays = readdirSync(folder.hostFolder('')).filter((name) => !folder.hosts.some((host) => host.name === name));
  for (const name of strays) await removeClusterFolder(folder.hostFolder(name));
}

/** The facts of the cluster in the folder, or of the one that is to be made there. Throws UserError when what is there is not what is wanted. */
export function factsOf(folder: ClusterFolder, wanted: WantedHosts): ProvisionedFacts {
  if (folder.exists) {
    checkExisting(folder, wanted);
    return folder.provisioned;
  }
  const { masters = 1, workers = DEFAULT_WORKERS, nodeCpu: cpu, nodeMemory: memory, externalEtcd, fastFailureDetection: isFast = false } = wanted;
  const hosts = hostsWith(workers, masters).map((host) => ({ ...host, ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }), ...(externalEtcd !== undefined && host.role === 'control-plane' ? { hasExternalEtcd: true } : {}) }));
  return { addonsApplied: false, isRootless: isRootless(), hosts, ...(externalEtcd === undefined ? {} : { externalEtcd: externalEtcd.servers }), ...(isFast ? { isFast } : {}) };
}

/** Makes the disks of a new cluster. */
export async function provision(folder: ClusterFolder, facts: ProvisionedFacts, externalEtcd: ExternalEtcd | undefined, nowMs: number): Promise<void> {
  if (folder.exists) return removeStrayDisks(folder);
  const { hosts, isFast = false } = facts;
  if (isRootless()) {
    await checkRootlessHosts(folder.path);
    await makeBase(folder.baseFolder);
  }
  rmSync(`${folder.path}/hosts`, { recursive: true, force: true }); // an earlier attempt that was cut short
  const pki = await kubeadmPki({
    masters: mastersOf(hosts), controlPlaneEndpoint: urlOf(controlPlaneEndpoint(hosts)), workers: hosts.filter(({ role }) => role === 'worker'),
    serviceCidr: SERVICE_CIDR, nowMs, extraDnsNames: ['localhost'], extraIpAddresses: ['127.0.0.1'],
  });
  for (const host of hosts) provisionHost(folder, { host, hosts, pki: filesOf(host, pki.get(host.name) ?? new Map(), externalEtcd), isFast, externalEtcd: externalEtcd?.servers });
  folder.markProvisioned(facts);
}

/** The admin kubeconfig for the machine itself, with the address that the supervisor listens on. */
export function adminKubeconfig(masterKubeconfig: string, port: number): string {
  return masterKubeconfig.replace(/server: .*/, `server: https://127.0.0.1:${port}`);
}

/** The disk of a further worker, as `kubeadm join` leaves it. */
export async function provisionWorker(folder: ClusterFolder, host: HostLayout, nowMs: number): Promise<void> {
  const pki = folder.hostData(MASTER.name, '/etc/kubernetes/pki');
  const ca = { certPem: readFileSync(`${pki}/ca.crt`, 'utf8'), keyPem: readFileSync(`${pki}/ca.key`, 'utf8') };
  rmSync(folder.hostFolder(host.name), { recursive: true, force: true }); // an earlier attempt that was cut short
  provisionHost(folder, { host, hosts: [...folder.hosts, host], pki: await nodeFiles(host, ca, urlOf(controlPlaneEndpoint(folder.hosts)), nowMs), isFast: folder.provisioned.isFast ?? false });
}

export const labHost = (folder: ClusterFolder, { name, address }: HostLayout): LabHost => ({ name, address, folder: folder.hostFolder(name) });

/** With an etcd outside there are no members to have certificates, and the API server shows the one it was given. */
function filesOf({ role }: HostLayout, pki: ReadonlyMap<string, string>, externalEtcd: ExternalEtcd | undefined): ReadonlyMap<string, string> {
  if (externalEtcd === undefined || role !== 'control-plane') return pki;
  return new Map([...[...pki].filter(([path]) => !path.includes('etcd')), ...externalEtcd.files]);
}

interface HostDisk {
  readonly host: HostLayout;
  readonly hosts: readonly HostLayout[];
  readonly pki: ReadonlyMap<string, string>;
  readonly isFast: boolean;
  readonly externalEtcd?: readonly string[] | undefined;
}

function provisionHost(folder: ClusterFolder, { host, hosts, pki, isFast, externalEtcd }: HostDisk): void {
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
  const files = hostFiles({ host, hosts, gateway: GATEWAY, pki, isFast, cgroupRoot: `/${folder.cgroup}/${host.name}`, ...(externalEtcd === undefined ? {} : { externalEtcd }) });
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
