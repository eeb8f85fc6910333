// kubreak snapshot save: what a cluster is, in one file.
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { connectToApiserver } from '#lib/api-client/client.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { controlPlaneEndpoint, KUBERNETES_VERSION, mastersOf, urlOf } from '../cluster-layout.ts';
import { readOnHost } from '../control-plane/static-pod.ts';
import { BUNDLE_FOLDER } from '../host-files.ts';
import { UserError } from '../user-error.ts';
import { FORMAT, writeArchive, type SnapshotMeta } from './archive.ts';
import { objectFiles } from './objects.ts';

const PKI = '/etc/kubernetes/pki';
/** For etcd to send all it has; milliseconds. */
const SNAPSHOT_TIMEOUT_MS = 600_000;

/** Resolves with what is in it. Throws UserError when no etcd or API server answers. */
export async function saveSnapshot(cluster: ClusterAccess, file: string): Promise<SnapshotMeta> {
  if (cluster.hosts.some(({ hasExternalEtcd }) => hasExternalEtcd)) throw new UserError('this cluster keeps its state in an etcd of its own keeping: save that with etcdctl snapshot save');
  const etcdSnapshot = `${file}.etcd`;
  const unfinished = `${file}.new`;
  try {
    await fetchEtcdSnapshot(cluster, etcdSnapshot);
    const [first] = mastersOf(cluster.hosts);
    const read = (path: string): Promise<string> => readOnHost(cluster, first?.name ?? '', path);
    const api = connectToApiserver(await loadKubeconfig(await cluster.kubeconfig()), 'kubreak');
    const { files: objects, counts, onlyInEtcd } = await objectFiles(api).finally(() => api.close());
    const meta: SnapshotMeta = {
      format: FORMAT, takenAt: new Date(systemClock.nowMs()).toISOString(), kubernetesVersion: KUBERNETES_VERSION, mode: cluster.mode,
      controlPlaneEndpoint: urlOf(controlPlaneEndpoint(cluster.hosts)), hosts: cluster.hosts.map(({ name, address, role }) => ({ name, address, role })),
      objects: counts, onlyInEtcd,
    };
    await writeArchive(unfinished, {
      meta, objects, etcdSnapshot, signingKeyPem: await read(`${PKI}/sa.key`), verificationKeyPem: await read(`${PKI}/sa.pub`), authorityPem: await read(`${PKI}/ca.crt`),
    });
    renameSync(unfinished, file);
    return meta;
  } finally {
    for (const path of [etcdSnapshot, unfinished]) rmSync(path, { force: true });
  }
}

/** From the first member that gives one. */
async function fetchEtcdSnapshot(cluster: ClusterAccess, file: string): Promise<void> {
  const problems: string[] = [];
  for (const { name } of mastersOf(cluster.hosts)) {
    const descriptor = openSync(file, 'w', 0o600);
    try {
      const { code, stderr } = await cluster.onHost(name, ['node', `${BUNDLE_FOLDER}/dist/master-tool.js`, 'etcd-snapshot'], {
        timeoutMs: SNAPSHOT_TIMEOUT_MS,
        onLine: (line) => {
          const bytes = Buffer.from(line, 'base64');
          for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at);
        },
      });
      if (code === 0) return;
      problems.push(`${name}: ${stderr.trim() || `ended with ${code}`}`);
    } catch (error) {
      if (!(error instanceof UserError)) throw error; // the host is down
      problems.push(error.message);
    } finally {
      closeSync(descriptor);
    }
  }
  throw new UserError(`no etcd member gives a snapshot: ${problems.join('; ')}`);
}
