// Follows a starting cluster until every node is Ready and CoreDNS runs; on the first start it also does what kubeadm
// does once the API server answers: roles, the control plane's label, the addons.
import { readFileSync } from 'node:fs';
import { systemClock } from '#lib/environment/clock.ts';
import { connectToApiserver, TransportError, type ApiClient, type ListOptions } from '#lib/api-client/client.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { isForbidden, StatusError } from '#lib/machinery/status-error.ts';
import { isConditionTrue } from '#lib/machinery/conditions.ts';
import { applyAddons, bindClusterAdmins, markControlPlane } from '../bootstrap-objects.ts';
import { MASTER, type HostLayout } from '../cluster-layout.ts';
import { UserError } from '../user-error.ts';
import type { ClusterFolder } from './cluster-folder.ts';
import type { Progress } from './supervisor.ts';

/** Time between two attempts while there is nothing to watch yet; milliseconds. */
const RETRY_MS = 100;
/** CoreDNS, its Deployment and its pods. */
const DNS = { namespace: 'kube-system', labelSelector: 'k8s-app=kube-dns' } as const;

export async function waitUntilReady(folder: ClusterFolder, progress: Progress, signal: AbortSignal): Promise<void> {
  const { kubeconfig, hosts } = folder;
  const admin = await loadKubeconfig(kubeconfig);
  const api = connectToApiserver(admin, 'kubreak');
  try {
    await until('the API server', progress, signal, async () => {
      await api.request('GET', '/readyz', undefined, { signal });
      return true;
    });
    if (!folder.provisioned.addonsApplied) {
      await until('addons: calico, kube-proxy, CoreDNS', progress, signal, async () => {
        await bindClusterAdmins(folder.hostData(MASTER.name, '/etc/kubernetes/super-admin.conf'), admin.server);
        await applyAddons(api, hosts, folder.provisioned.isFast);
        return true;
      }, mayPass);
    }
    if (folder.provisioned.hasForeignObjects) {
      const { adoptAuthority } = await import('../snapshot/adopt-authority.ts');
      await until('certificates of the objects restored', progress, signal, async () => {
        await adoptAuthority(api, readFileSync(folder.hostData(MASTER.name, '/etc/kubernetes/pki/ca.crt'), 'utf8'), hosts);
        return true;
      }, mayPass);
      const { hasForeignObjects: _, ...others } = folder.provisioned;
      folder.markProvisioned(others);
    }
    await until(`nodes Ready (${hosts.length}/${hosts.length})`, progress, signal, async () => {
      if (!(await follow(api, nodeKind, {}, (nodes) => allNodesReady(nodes, hosts), signal))) return false;
      if (!folder.provisioned.addonsApplied) await markControlPlane(api, hosts);
      return true;
    });
    if (!folder.provisioned.addonsApplied) folder.markProvisioned({ ...folder.provisioned, addonsApplied: true });
    await until('CoreDNS Running', progress, signal, async () => {
      const wanted = await wantedDnsPods(api, signal);
      return follow(api, podKind, DNS, (pods) => pods.length >= wanted && pods.every(isReady), signal);
    });
  } catch (error) {
    if (signal.aborted && signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError') {
      throw new UserError(`the cluster did not get ready in time; see ${folder.logFile} and ${folder.path}/hosts/*/data/var/log`);
    }
    throw error;
  } finally {
    await api.close();
  }
}

const isOfServer = (error: unknown): boolean => error instanceof TransportError || error instanceof StatusError;
/**
 * An API server that goes away, loses its etcd for a moment, or has not heard yet of the rights that the admins were given a moment ago: its
 * authorizer learns of them from a watch, which the answer to the write does not wait for. What it refuses for another reason, it will refuse again.
 */
const mayPass = (error: unknown): boolean => error instanceof TransportError || (error instanceof StatusError && (error.code >= 500 || isForbidden(error)));

/** Tries until `attempt` says true; an API server that is not there yet is no error. */
async function until(what: string, progress: Progress, signal: AbortSignal, attempt: () => Promise<boolean>, isNoError = isOfServer): Promise<void> {
  progress.waitingFor(what);
  for (;;) {
    signal.throwIfAborted();
    try {
      if (await attempt()) break;
    } catch (error) {
      if (!isNoError(error)) throw error;
    }
    await systemClock.sleep(RETRY_MS, signal);
  }
  progress.step(what);
}

/**
 * Resolves with true once the objects are as they should be, with false when the watch ends before. Asking every few
 * milliseconds instead would take a tenth of what the whole start does.
 */
async function follow<T extends KubernetesObject>(api: ApiClient, kind: Kind<T>, selection: ListOptions, isDone: (objects: readonly T[]) => boolean, signal: AbortSignal): Promise<boolean> {
  const { items, resourceVersion } = await api.list(kind, selection, { signal });
  const objects = new Map(items.map((object) => [object.metadata.name, object]));
  if (isDone([...objects.values()])) return true;
  const done = new AbortController();
  try {
    for await (const { type, object } of api.watch(kind, { ...selection, resourceVersion, signal: AbortSignal.any([signal, done.signal]) })) {
      if (type === 'BOOKMARK') continue;
      if (type === 'DELETED') objects.delete(object.metadata.name);
      else objects.set(object.metadata.name, object);
      if (isDone([...objects.values()])) return true;
    }
    return false;
  } finally {
    done.abort();
  }
}

function allNodesReady(nodes: readonly Node[], hosts: readonly HostLayout[]): boolean {
  const ready = new Set(nodes.filter(({ status }) => isConditionTrue(status?.conditions, 'Ready')).map(({ metadata }) => metadata.name));
  return hosts.every(({ name }) => ready.has(name));
}

/** The first of its pods may be ready before the second one is there. */
async function wantedDnsPods(api: ApiClient, signal: AbortSignal): Promise<number> {
  const { items } = await api.list(deploymentKind, DNS, { signal });
  return items.length === 0 ? 1 : items.reduce((sum, { spec }) => sum + (spec.replicas ?? 1), 0);
}

const isReady = ({ status, metadata }: Pod): boolean => metadata.deletionTimestamp === undefined
  && status?.phase === 'Running' && isConditionTrue(status.conditions, 'Ready');
