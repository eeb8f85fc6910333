// kubreak snapshot restore: a cluster gets the objects of a snapshot in place of its own. Every etcd member is made anew from it, with
// revisions far above what anybody has seen, so that whoever watches finds his position gone and lists again.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectToApiserver, TransportError, type ApiClient } from '#lib/api-client/client.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { lastWords } from '../access/run-command.ts';
import { uploadToHost } from '../access/upload.ts';
import { controlPlaneEndpoint, etcdPeerUrl, initialEtcdCluster, mastersOf, urlOf, type HostLayout } from '../cluster-layout.ts';
import { readOnHost, removeOnHost, writeOnHost } from '../control-plane/static-pod.ts';
import { BUNDLE_FOLDER } from '../host-files.ts';
import type { ClusterFolder } from '../local/cluster-folder.ts';
import { UserError } from '../user-error.ts';
import { adoptAuthority } from './adopt-authority.ts';
import { readArchive, requireFile, type SnapshotContents, type SnapshotMeta } from './archive.ts';

const PKI = '/etc/kubernetes/pki';
const DATA = '/var/lib/etcd';
/** Beside the data, on the same disk: the member is made here first, and the one it replaces stays until all are made. */
const PREPARED = '/var/lib/etcd/.restored';
const UPLOADED = '/var/lib/etcd/.snapshot.db';
/** Source: etcd's documentation of disaster recovery: a billion is more than a week of writes. */
const BUMP_REVISION = 1_000_000_000;
const RESTORE_TIMEOUT_MS = 600_000;
/** For the control plane to be ready again; milliseconds. */
const READY_DEADLINE_MS = 180_000;
const POLL_MS = 250;
/** In the order in which they end. */
const CONTROL_PLANE = ['scheduler', 'controller-manager', 'apiserver', 'etcd'] as const;

type Contents = Omit<SnapshotContents, 'objects'>;

const memberFlags = (master: HostLayout, masters: readonly HostLayout[]): string[] =>
  [`--name=${master.name}`, `--initial-cluster=${initialEtcdCluster(masters)}`, `--initial-advertise-peer-urls=${etcdPeerUrl(master)}`, `--emulator-bump-revision=${BUMP_REVISION}`];

function checkFits(meta: SnapshotMeta, hosts: readonly HostLayout[]): void {
  if (hosts.some(({ hasExternalEtcd }) => hasExternalEtcd)) throw new UserError('this cluster keeps its state in an etcd of its own keeping: restore that with etcdutl snapshot restore');
  const endpoint = urlOf(controlPlaneEndpoint(hosts));
  // Configuration of kube-proxy and calico-node, which is among the objects, names it.
  if (meta.controlPlaneEndpoint !== endpoint) throw new UserError(`the snapshot is of a cluster whose nodes find the API server at ${meta.controlPlaneEndpoint}, in this one it is at ${endpoint}: restore it into a cluster with ${meta.hosts.filter(({ role }) => role === 'control-plane').length} masters on the same network`);
}

async function withArchive<T>(file: string, work: (contents: Contents) => Promise<T>): Promise<T> {
  requireFile(file);
  const etcdSnapshot = `${file}.etcd`;
  try {
    return await work(await readArchive(file, etcdSnapshot));
  } finally {
    rmSync(etcdSnapshot, { force: true });
  }
}

/** Into a cluster that runs. Until every member is made nothing is changed. */
export function restoreRunning(cluster: ClusterAccess, file: string, onStep: (text: string) => void): Promise<SnapshotMeta> {
  return withArchive(file, async (contents) => {
    const { meta } = contents;
    checkFits(meta, cluster.hosts);
    const masters = mastersOf(cluster.hosts);
    try {
      await Promise.all(masters.map((master) => prepare(cluster, master, masters, contents.etcdSnapshot)));
      onStep('etcd made from the snapshot');
      try {
        for (const component of CONTROL_PLANE) await cluster.stop(component);
        onStep('control plane stopped');
        await Promise.all(masters.map((master) => swapIn(cluster, master, contents)));
      } finally {
        for (const component of [...CONTROL_PLANE].reverse()) await cluster.start(component);
      }
    } finally {
      await Promise.all(masters.map(({ name }) => removeOnHost(cluster, name, PREPARED, UPLOADED)));
    }
    const caPem = await readOnHost(cluster, masters[0]?.name ?? '', `${PKI}/ca.crt`);
    await untilReady(cluster, async (api) => {
      if (caPem !== contents.authorityPem) await adoptAuthority(api, caPem, cluster.hosts);
    });
    onStep('control plane ready');
    return meta;
  });
}

async function prepare(cluster: ClusterAccess, master: HostLayout, masters: readonly HostLayout[], etcdSnapshot: string): Promise<void> {
  await removeOnHost(cluster, master.name, PREPARED, UPLOADED);
  await uploadToHost(cluster, master.name, etcdSnapshot, UPLOADED);
  const { code, stderr, stdout } = await cluster.onHost(master.name, ['node', `${BUNDLE_FOLDER}/dist/etcd.js`, `--emulator-restore-snapshot=${UPLOADED}`, `--data-dir=${PREPARED}`, ...memberFlags(master, masters)], { timeoutMs: RESTORE_TIMEOUT_MS });
  if (code !== 0) throw new UserError(`${master.name}: ${lastWords({ stdout, stderr })}`);
}

async function swapIn(cluster: ClusterAccess, { name }: HostLayout, { signingKeyPem, verificationKeyPem }: Contents): Promise<void> {
  const { code, stderr } = await cluster.onHost(name, ['sh', '-c', 'set -e; cd "$1"; find . -mindepth 1 -maxdepth 1 ! -name ".restored" ! -name ".snapshot.db" -exec rm -rf {} +; find "$2" -mindepth 1 -maxdepth 1 -exec mv {} . \\;', 'sh', DATA, PREPARED]);
  if (code !== 0) throw new UserError(`${name}: ${stderr.trim()}`);
  await writeOnHost(cluster, name, `${PKI}/sa.key`, signingKeyPem);
  await writeOnHost(cluster, name, `${PKI}/sa.pub`, verificationKeyPem, '0644');
}

/** Tries until it has gone through: the first answers come from servers that are still starting. */
async function untilReady(cluster: ClusterAccess, work: (api: ApiClient) => Promise<void>): Promise<void> {
  const deadlineMs = systemClock.nowMs() + READY_DEADLINE_MS;
  const api = connectToApiserver(await loadKubeconfig(await cluster.kubeconfig()), 'kubreak');
  try {
    for (;;) {
      try {
        const isHealthy = (await cluster.status()).every(({ component, health }) => !CONTROL_PLANE.some((one) => one === component) || health === 'healthy');
        if (isHealthy) {
          await api.request('GET', '/readyz');
          return await work(api);
        }
      } catch (error) {
        if (!(error instanceof TransportError) && !(error instanceof StatusError)) throw error;
        if (systemClock.nowMs() > deadlineMs) throw error;
      }
      if (systemClock.nowMs() > deadlineMs) throw new UserError(`the control plane is not ready within ${READY_DEADLINE_MS / 1000} s; see: kubreak status`);
      await systemClock.sleep(POLL_MS);
    }
  } finally {
    await api.close();
  }
}

/** Into a local cluster that does not run; it has the objects when it is started. */
export function restoreStopped(folder: ClusterFolder, file: string): Promise<SnapshotMeta> {
  if (!folder.exists) throw new UserError(`there is no cluster in ${folder.path}; make one with: kubreak up`, 3);
  folder.requireOwner();
  return withArchive(file, async ({ meta, etcdSnapshot, signingKeyPem, verificationKeyPem, authorityPem }) => {
    checkFits(meta, folder.hosts);
    const masters = mastersOf(folder.hosts);
    const prepared = (name: string): string => folder.hostData(name, PREPARED);
    try {
      for (const master of masters) {
        rmSync(prepared(master.name), { recursive: true, force: true });
        const { status, stderr, stdout } = spawnSync(process.execPath, [join(dirname(fileURLToPath(import.meta.url)), 'etcd.js'), `--emulator-restore-snapshot=${etcdSnapshot}`, `--data-dir=${prepared(master.name)}`, ...memberFlags(master, masters)], { encoding: 'utf8' });
        if (status !== 0) throw new UserError(`${master.name}: ${lastWords({ stdout, stderr })}`);
      }
      for (const { name } of masters) {
        const data = folder.hostData(name, DATA);
        mkdirSync(data, { recursive: true });
        for (const entry of readdirSync(data)) if (join(data, entry) !== prepared(name)) rmSync(join(data, entry), { recursive: true });
        for (const entry of readdirSync(prepared(name))) renameSync(join(prepared(name), entry), join(data, entry));
        writeFileSync(folder.hostData(name, `${PKI}/sa.key`), signingKeyPem, { mode: 0o600 });
        writeFileSync(folder.hostData(name, `${PKI}/sa.pub`), verificationKeyPem);
      }
      const [first] = masters;
      // Its objects are those of another cluster: told to the next start, which has an API server to change them.
      if (readFileSync(folder.hostData(first?.name ?? '', `${PKI}/ca.crt`), 'utf8') !== authorityPem) folder.markProvisioned({ ...folder.provisioned, hasForeignObjects: true });
    } finally {
      for (const { name } of masters) if (existsSync(prepared(name))) rmSync(prepared(name), { recursive: true });
    }
    return meta;
  });
}
