// What `kubeadm init` leaves on the master, and `kubeadm join` on another host, written to the host's own disk. The (first) master
// makes the certificates of all and puts each host's share on a volume that only the two have.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemClock } from '#lib/environment/clock.ts';
import { kubeadmPki } from '#lib/pki/kubeadm-pki.ts';
import { controlPlaneEndpoint, mastersOf, SERVICE_CIDR, urlOf, type HostLayout } from '../../cluster-layout.ts';
import { CONTAINER_RUNTIMES, HOST_TOOLS, hostFiles, realContainerdFiles, serviceFiles, type HostFile } from '../../host-files.ts';
import { findProgram } from '../../local/find-program.ts';

/** On the first master: one folder for each other host. On the others: their own. */
const JOIN_FOLDER = '/var/lib/kubreak/join';
const COMPLETE = 'complete';
const POLL_MS = 50;
/** The agents' sockets; see ../agent. */
const CONTROL_PLANE_FOLDER = '/var/lib/kubreak/control-plane';
const LINK = '/opt/kubreak/cli/compose/link';
/** What Docker or the image provides. */
const LEFT_OUT = new Set(['/etc/hostname', ...HOST_TOOLS.map((tool) => `/usr/local/sbin/${tool}`)]);
/** The name service of the host itself is Docker's, on an address that means something else in a pod. */
const RESOLV_CONF_OF_PODS = '/etc/kubreak/resolv.conf';
/** Not on the volume: kept where it is, and put in place by entrypoint.sh. */
const KEPT_AT: Readonly<Record<string, string>> = { '/etc/hosts': '/etc/kubreak/hosts', '/etc/machine-id': '/etc/kubreak/machine-id', '/etc/resolv.conf': RESOLV_CONF_OF_PODS };

/** Docker's name service, and what entrypoint.sh keeps in. */
const FOREIGN_TABLES = ['ip nat', 'ip gateway'];

export interface Installation {
  readonly name: string;
  readonly hosts: readonly HostLayout[];
  readonly gateway: string;
  /** With the timings of ../../manifests/fast-failure-detection.ts. */
  readonly isFast: boolean;
}

export async function installHost({ name, hosts, gateway, isFast }: Installation): Promise<void> {
  const host = hosts.find((candidate) => candidate.name === name);
  if (!host) throw new Error(`${name} is no host of a cluster of ${hosts.map((each) => each.name).join(', ')}: set COMPOSE_PROFILES=ha, here and in every other docker compose command, instead of --profile ha`);
  const pki = host.name === mastersOf(hosts)[0]?.name ? await initialize(host, hosts) : await joined();
  const files = hostFiles({
    host, hosts, gateway, pki, isFast, cgroupRoot: '/', resolvConf: RESOLV_CONF_OF_PODS, foreignTables: FOREIGN_TABLES,
    staticPodMounts: (component) => [{ hostPath: LINK, path: `/usr/local/bin/${component}`, type: 'File' }, { hostPath: CONTROL_PLANE_FOLDER, path: CONTROL_PLANE_FOLDER, type: 'Directory' }],
  });
  // Static pods last: the containers of the control plane start theirs as soon as they see the manifest.
  const isManifest = ({ path }: HostFile): boolean => path.includes('/manifests/');
  for (const file of [...files.filter((candidate) => !isManifest(candidate)), ...files.filter(isManifest)]) {
    if (!LEFT_OUT.has(file.path)) write(KEPT_AT[file.path] ?? file.path, file.text, file.mode);
  }
  mkdirSync('/etc/kubernetes/manifests', { recursive: true });
  mkdirSync('/etc/cni/net.d', { recursive: true });
}

/** Which container runtime the host starts with from its next boot on. Throws when there is no such runtime. */
export function chooseContainerRuntime({ name, hosts, gateway, isFast }: Installation, chosen: string): void {
  const host = hosts.find((candidate) => candidate.name === name);
  const containerRuntime = CONTAINER_RUNTIMES.find((runtime) => runtime === chosen);
  if (!host) throw new Error(`no host of the cluster is called ${name}`);
  if (!containerRuntime) throw new Error(`CONTAINER_RUNTIME must be one of ${CONTAINER_RUNTIMES.join(', ')}, not "${chosen}"`);
  const missing = containerRuntime === 'containerd' ? ['containerd', 'runc'].filter((program) => findProgram(program) === undefined) : [];
  if (missing.length > 0) throw new Error(`${missing.join(' and ')} not installed in this image: docker compose build w3-k8s`);
  for (const { path, text, mode } of serviceFiles({ host, hosts, gateway, foreignTables: FOREIGN_TABLES, containerRuntime, isFast })) write(path, text, mode);
  if (containerRuntime === 'containerd') return;
  for (const { path, text } of realContainerdFiles()) {
    if (!existsSync(path) || readFileSync(path, 'utf8') !== text) continue;
    rmSync(path);
    if (readdirSync(dirname(path)).length === 0) rmdirSync(dirname(path));
  }
}

async function initialize(master: HostLayout, hosts: readonly HostLayout[]): Promise<ReadonlyMap<string, string>> {
  const pki = await kubeadmPki({
    masters: mastersOf(hosts), workers: hosts.filter(({ role }) => role === 'worker'), controlPlaneEndpoint: urlOf(controlPlaneEndpoint(hosts)),
    serviceCidr: SERVICE_CIDR, nowMs: systemClock.nowMs(), extraDnsNames: ['localhost'], extraIpAddresses: ['127.0.0.1'],
  });
  for (const [name, files] of pki) {
    if (name === master.name) continue;
    const folder = join(JOIN_FOLDER, name);
    for (const [path, text] of files) write(`${folder}/files${path}`, text, 0o600);
    write(`${folder}/${COMPLETE}`, '', 0o600);
  }
  return pki.get(master.name) ?? new Map();
}

async function joined(): Promise<ReadonlyMap<string, string>> {
  while (!existsSync(`${JOIN_FOLDER}/${COMPLETE}`)) await systemClock.sleep(POLL_MS);
  const root = `${JOIN_FOLDER}/files`;
  return new Map(readdirSync(root, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile()).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return [path.slice(root.length), readFileSync(path, 'utf8')];
  }));
}

function write(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, text);
  chmodSync(`${path}.new`, mode);
  renameSync(`${path}.new`, path);
}
