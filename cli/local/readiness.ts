// Follows a starting cluster until every node is Ready and CoreDNS runs; on the first start it also does what kubeadm
// does once the API server answers: roles, the control plane's label, the addons.
import { systemClock } from '#lib/environment/clock.ts';
import { connectToApiserver, TransportError, type ApiClient } from '#lib/api-client/client.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { HOSTS } from '../cluster-layout.ts';
import { UserError } from '../user-error.ts';
import { applyAddons, bindClusterAdmins, markControlPlane } from './bootstrap-objects.ts';
import type { ClusterFolder } from './cluster-folder.ts';
import type { Progress } from './supervisor.ts';

const POLL_MS = 50;

export async function waitUntilReady(folder: ClusterFolder, progress: Progress, signal: AbortSignal): Promise<void> {
  const { kubeconfig } = folder;
  const api = connectToApiserver(await loadKubeconfig(kubeconfig), 'kubreak');
  try {
    await until('the API server', progress, signal, async () => {
      await api.request('GET', '/readyz', undefined, { signal });
      return true;
    });
    if (!folder.provisioned.addonsApplied) {
      await bindClusterAdmins(folder);
      await applyAddons(api);
      progress.step('addons: calico, kube-proxy, CoreDNS');
    }
    await until(`nodes Ready (${HOSTS.length}/${HOSTS.length})`, progress, signal, () => allNodesReady(api));
    if (!folder.provisioned.addonsApplied) {
      await markControlPlane(api);
      folder.markProvisioned({ addonsApplied: true });
    }
    await until('CoreDNS Running', progress, signal, () => dnsRuns(api));
  } catch (error) {
    if (signal.aborted && signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError') {
      throw new UserError(`the cluster did not get ready in time; see ${folder.logFile} and ${folder.path}/hosts/*/data/var/log`);
    }
    throw error;
  } finally {
    await api.close();
  }
}

/** Tries until `attempt` says true; an API server that is not there yet is no error. */
async function until(what: string, progress: Progress, signal: AbortSignal, attempt: () => Promise<boolean>): Promise<void> {
  progress.waitingFor(what);
  for (;;) {
    signal.throwIfAborted();
    try {
      if (await attempt()) break;
    } catch (error) {
      if (!(error instanceof TransportError) && !(error instanceof StatusError)) throw error;
    }
    await systemClock.sleep(POLL_MS, signal);
  }
  progress.step(what);
}

async function allNodesReady(api: ApiClient): Promise<boolean> {
  const { items } = await api.list(nodeKind);
  const ready = new Set(items.filter(({ status }) => status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True')).map(({ metadata }) => metadata.name));
  return HOSTS.every(({ name }) => ready.has(name));
}

async function dnsRuns(api: ApiClient): Promise<boolean> {
  const { items } = await api.list(podKind, { namespace: 'kube-system', labelSelector: 'k8s-app=kube-dns' });
  return items.length > 0 && items.every(({ status, metadata }) => metadata.deletionTimestamp === undefined
    && status?.phase === 'Running' && status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True'));
}
