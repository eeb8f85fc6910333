// Adds workers to a running cluster and takes them out again. Each step may be repeated: a command that was cut short is
// completed by giving it once more, or by the next `kubreak up`.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { systemClock } from '#lib/environment/clock.ts';
import { connectToApiserver, type ApiClient } from '#lib/api-client/client.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { isConditionTrue } from '#lib/machinery/conditions.ts';
import { placeWorker, type HostLayout } from '../cluster-layout.ts';
import { hostNamed } from '../host-named.ts';
import { UserError } from '../user-error.ts';
import type { ClusterFolder } from './cluster-folder.ts';
import { hostInits } from './instances.ts';
import { askLab } from './lab-client.ts';
import { labHost, provisionWorker } from './provision.ts';
import { removeClusterFolder } from './rootless.ts';
import { sweepCgroups } from './supervisor.ts';

/** Longest wait for a new node to be Ready; milliseconds. */
const READY_DEADLINE_MS = 120_000;
const POLL_MS = 200;

export async function addNode(folder: ClusterFolder, name: string, size: { cpu?: string; memory?: string }): Promise<HostLayout> {
  const { labPid } = folder.requireRunning();
  const { hosts } = folder;
  if (hosts.some((host) => host.name === name)) throw new UserError(`there is a host called ${name} already`);
  const place = placeWorker(name, hosts);
  if (!place) throw new UserError('the network of the hosts has no address left');
  const host = { ...place, ...size };
  await provisionWorker(folder, host, systemClock.nowMs());
  folder.markProvisioned({ ...folder.provisioned, hosts: [...hosts, host] });
  changeHostsFiles(folder, labPid, hosts, (lines) => [...lines.filter((line) => line !== hostsLine(host)), hostsLine(host)]);
  await askLab(labPid, `add ${JSON.stringify(labHost(folder, host))}`);
  await withApi(folder, async (api) => {
    const deadlineMs = systemClock.nowMs() + READY_DEADLINE_MS;
    while (!(await isReady(api, name))) {
      if (systemClock.nowMs() > deadlineMs) throw new UserError(`${name} has joined but is not Ready after ${READY_DEADLINE_MS / 1000} s; see: kubreak logs kubelet@${name}`);
      await systemClock.sleep(POLL_MS);
    }
  });
  return host;
}

export async function removeNode(folder: ClusterFolder, name: string): Promise<void> {
  const { labPid } = folder.requireRunning();
  const { hosts } = folder;
  const host = hostNamed(name, hosts);
  if (host.role === 'control-plane') throw new UserError(`${name} runs the control plane and cannot be removed`);
  // Whether the API server answers is seen before anything is done.
  await withApi(folder, async (api) => {
    await api.list(nodeKind, {}, { signal: AbortSignal.timeout(10_000) }).catch((error: unknown) => {
      throw new UserError(`the API server does not answer, so the Node cannot be deleted: ${error instanceof Error ? error.message : String(error)}`);
    });
    await askLab(labPid, `remove ${name}`);
    await api.delete(nodeKind, undefined, name).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  });
  const left = hosts.filter((candidate) => candidate.name !== name);
  changeHostsFiles(folder, labPid, left, (lines) => lines.filter((line) => line !== hostsLine(host)));
  sweepCgroups(folder, name);
  await removeClusterFolder(folder.hostFolder(name));
  folder.markProvisioned({ ...folder.provisioned, hosts: left });
}

async function withApi<T>(folder: ClusterFolder, use: (api: ApiClient) => Promise<T>): Promise<T> {
  const api = connectToApiserver(await loadKubeconfig(folder.kubeconfig), 'kubreak');
  try {
    return await use(api);
  } finally {
    await api.close();
  }
}

async function isReady(api: ApiClient, name: string): Promise<boolean> {
  try {
    const { status } = await api.get(nodeKind, undefined, name);
    return isConditionTrue(status?.conditions, 'Ready');
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

const hostsLine = ({ name, address }: HostLayout): string => `${address} ${name}`;

/** /etc/hosts on every host: that of a host that is up through its own eyes, else in the writable layer of its disk. */
function changeHostsFiles(folder: ClusterFolder, labPid: number, hosts: readonly HostLayout[], change: (lines: string[]) => string[]): void {
  const inits = hostInits(labPid);
  for (const { name } of hosts) {
    const init = inits.get(name);
    const path = init === undefined ? `${folder.hostFolder(name)}/upper/etc/hosts` : `/proc/${init}/root/etc/hosts`;
    if (!existsSync(path)) continue; // somebody deleted it
    const lines = readFileSync(path, 'utf8').replace(/\n$/, '').split('\n');
    writeFileSync(path, `${change(lines).join('\n')}\n`);
  }
}
