// Runs a cluster from its folder: starts the lab, hands out the API server's port, reports progress, clears up.
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync, openSync, closeSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { joinSockets } from '#lib/balancer/join-sockets.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { withDeadline } from '#lib/service/abort.ts';
import { apiServersOf, GATEWAY, MASTER, SUBNET_PREFIX_LENGTH, type HostLayout } from '../cluster-layout.ts';
import { removeFaultFiles } from '../faults/fault-files.ts';
import { forgetAllFaults } from '../faults/fault-store.ts';
import { UserError } from '../user-error.ts';
import { withoutExtraAuthorities } from '../without-extra-authorities.ts';
import type { ClusterFolder } from './cluster-folder.ts';
import { etcdRelays, externalEtcdOf, relayToEtcd, type ExternalEtcdOptions } from './external-etcd.ts';
import { checkHostRoutes, connectMachine, keepBlockRoutes } from './host-routes.ts';
import { CGROUP_CONTROLLERS } from './lab/host-boot.ts';
import { LAB_SOCKET, RELAY_SOCKET, type EtcdRelay, type LabConfig } from './lab/lab-config.ts';
import { askLab } from './lab-client.ts';
import { ensureFolderIsUsable, ensureMachineIsReady } from './preflight.ts';
import { pathWithSystemPrograms } from './find-program.ts';
import { allProcesses } from './proc.ts';
import { adminKubeconfig, factsOf, HOST_DATA_FOLDERS, labHost, provision, type WantedHosts } from './provision.ts';
import { isRootless, startAsClusterRoot } from './rootless.ts';
import { waitUntilReady } from './readiness.ts';
import { putBackManifests } from './start-stop.ts';

export interface Progress {
  /** A step that has ended, and how long it took since the last one; milliseconds. */
  step(text: string): void;
  waitingFor(text: string): void;
}

export interface ClusterOptions extends Omit<WantedHosts, 'externalEtcd'>, ExternalEtcdOptions {
  /** Of the API server on 127.0.0.1. */
  readonly port: number;
  /** Whether the machine itself reaches hosts, pods and services. */
  readonly hostRoutes?: boolean;
}

/** Longest time a start may take before it is given up; milliseconds. */
const START_DEADLINE_MS = 180_000;
const STOP_POLL_MS = 20;
const STOP_DEADLINE_MS = 15_000;

/**
 * Starts the cluster and resolves when `signal` aborts and everything is gone. `onReady` is called once. Throws
 * UserError for what the person can mend: missing rights or programs, a taken port, a second cluster in the folder.
 */
export async function superviseCluster(folder: ClusterFolder, { port, hostRoutes = false, ...wanted }: ClusterOptions, progress: Progress, onReady: () => void, signal: AbortSignal): Promise<void> {
  folder.claim(port);
  let lab: ChildProcess | undefined;
  let server: Server | undefined;
  let etcdServers: Server[] = [];
  let routes: Promise<void> | undefined;
  try {
    ensureFolderIsUsable(folder.path);
    ensureMachineIsReady((line) => progress.step(line));
    if (hostRoutes) checkHostRoutes();
    server = await listen(port);
    sweepCgroups(folder);
    forgetAllFaults(folder.path); // of a run that ended by a power cut
    removeFaultFiles(folder);
    progress.waitingFor('certificates and disks of the hosts');
    const externalEtcd = externalEtcdOf(wanted);
    const facts = factsOf(folder, { ...wanted, ...(externalEtcd === undefined ? {} : { externalEtcd }) });
    const etcd = etcdRelays(folder, facts);
    etcdServers = await relayToEtcd(etcd);
    lab = await startLab(folder, facts.hosts, etcd);
    const ended = new Promise<never>((_, reject) => lab?.once('exit', (code, killedBy) => reject(new Error(`the lab ended (${killedBy ?? `exit code ${code ?? 0}`}); see ${folder.logFile}`))));
    ended.catch(() => undefined); // looked at below, also when it comes late
    // While the lab lays the network. The hosts are off until their disks are there.
    await provision(folder, facts, externalEtcd, systemClock.nowMs());
    putBackManifests(folder);
    writeFileSync(folder.kubeconfig, adminKubeconfig(readFileSync(folder.hostData(MASTER.name, '/etc/kubernetes/admin.conf'), 'utf8'), port), { mode: 0o600 });
    progress.step('certificates and disks of the hosts');
    const labPid = await Promise.race([findLabPid(lab), ended]);
    await Promise.all(facts.hosts.map(({ name }) => askLab(labPid, `on ${name}`)));
    folder.updateRunning({ labPid });
    relay(server, labPid);
    if (hostRoutes) connectMachine(folder, labPid);
    progress.step(`network and ${folder.hosts.length} hosts`);
    await Promise.race([withDeadline(START_DEADLINE_MS, signal, (starting) => waitUntilReady(folder, progress, starting)), ended]);
    if (hostRoutes) routes = keepBlockRoutes(folder, labPid, signal);
    folder.updateRunning({ isReady: true });
    onReady();
    await Promise.race([new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })), ended, ...(routes ? [routes] : [])]);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await stopLab(lab);
    for (const each of [server, ...etcdServers]) each?.close();
    sweepCgroups(folder);
    forgetAllFaults(folder.path);
    removeFaultFiles(folder);
    folder.release();
  }
}

async function listen(port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? new UserError(`listen tcp 127.0.0.1:${port}: bind: address already in use; choose another with --port`) : error);
    });
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}

function relay(server: Server, labPid: number): void {
  server.on('connection', (outside) => {
    const inside = connect({ path: `/proc/${labPid}/root${RELAY_SOCKET}`, allowHalfOpen: true });
    joinSockets(outside, inside);
  });
}

async function startLab(folder: ClusterFolder, hosts: readonly HostLayout[], etcd: readonly EtcdRelay[]): Promise<ChildProcess> {
  const dist = dirname(fileURLToPath(import.meta.url));
  const config: LabConfig = {
    hosts: hosts.map((host) => labHost(folder, host)),
    gateway: GATEWAY, prefixLength: SUBNET_PREFIX_LENGTH, apiServers: apiServersOf(hosts), etcd, dataFolders: HOST_DATA_FOLDERS,
    dist, nodeModules: nodeModulesBeside(dist), nodeExecutable: process.execPath, cgroup: folder.cgroup,
    ...(isRootless() ? { rootlessBase: folder.baseFolder } : {}),
  };
  writeFileSync(folder.labConfig, JSON.stringify(config));
  mkdirSync(folder.path, { recursive: true });
  const log = openSync(folder.logFile, 'a');
  // The lab lives as long as its standard input is open: it ends with this process, however that ends.
  const lab = await startAsClusterRoot(['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc', process.execPath, `${dist}/lab.js`, folder.labConfig],
    { stdio: ['pipe', log, log], detached: true, env: { ...withoutExtraAuthorities(process.env), PATH: pathWithSystemPrograms() } });
  closeSync(log);
  return lab;
}

/** The native packages: node_modules of the project itself, or of the project that has kubreak as a dependency. */
function nodeModulesBeside(dist: string): string {
  for (let folder = dirname(dist); folder !== '/'; folder = dirname(folder)) {
    if (existsSync(`${folder}/node_modules/classic-level`)) return `${folder}/node_modules`;
  }
  throw new UserError('the package classic-level is not installed; run: npm ci');
}

/** unshare forks: the lab proper is its only child. */
async function findLabPid(lab: ChildProcess): Promise<number> {
  for (;;) {
    const child = allProcesses().find(({ parentPid, title }) => parentPid === lab.pid && title === 'kubreak-lab');
    if (child && existsSync(`/proc/${child.pid}/root${LAB_SOCKET}`)) return child.pid;
    await systemClock.sleep(STOP_POLL_MS);
  }
}

async function stopLab(lab: ChildProcess | undefined): Promise<void> {
  if (!lab || lab.exitCode !== null || lab.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => lab.once('exit', () => resolve()));
  lab.stdin?.end();
  const killer = setTimeout(() => lab.kill('SIGKILL'), STOP_DEADLINE_MS);
  await ended;
  clearTimeout(killer);
}

/** Removes the cgroups of the cluster, or of one host of it, also those that a killed supervisor left; there is no process in them any more. */
export function sweepCgroups(folder: ClusterFolder, host = ''): void {
  if (isRootless()) return; // there are none
  for (const controller of CGROUP_CONTROLLERS) {
    const path = join('/sys/fs/cgroup', controller, folder.cgroup, host);
    if (existsSync(path)) removeGroups(path);
  }
}

function removeGroups(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeGroups(`${path}/${entry.name}`);
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    const pids = readFileSync(`${path}/cgroup.procs`, 'utf8').trim().split('\n').join(', ');
    throw new UserError(`processes of an earlier cluster of this folder still run (${pids}); was the folder deleted while it ran? End its supervisor first`);
  }
}
