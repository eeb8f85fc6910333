// Keeping a component down and starting it again, by the means that fit who supervises it: the host's systemctl, the
// manifest of a static pod, or for pods a hold that the container runtime of the host respects.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { systemClock } from '#lib/environment/clock.ts';
import { connectToApiserver, TransportError } from '#lib/api-client/client.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { UserError } from '../user-error.ts';
import type { ClusterFolder } from './cluster-folder.ts';
import { askHost, findInstances, hostInits, type Instance } from './instances.ts';
import { signalProcess } from './signal-process.ts';

/** On a host: containers called so do not start while it is there. Read by services/container-runtime. */
export const holdOf = (processTitle: string): string => `/run/kubreak/hold-${processTitle}`;
export const STOPPED_MANIFESTS = '/etc/kubernetes/manifests-stopped';
export const MANIFESTS = '/etc/kubernetes/manifests';
/** Longest wait for a component to end; milliseconds: the 30 s of grace of a pod and some. */
const STOP_DEADLINE_MS = 45_000;
const POLL_MS = 50;

function hostOf({ component, host }: Instance, labPid: number): number {
  const init = hostInits(labPid).get(host);
  if (init === undefined) throw new UserError(`${component.name} does not run: ${host || 'its host'} is down or not known`);
  return init;
}

interface CommandResult {
  readonly exitCode: number;
  readonly stderr: string;
}

async function systemctl(init: number, verb: 'start' | 'stop', unit: string): Promise<void> {
  const { exitCode, stderr } = (await askHost(init, 'systemctl', [verb, unit])) as CommandResult;
  if (exitCode !== 0) throw new UserError(stderr.trim());
}

/** Resolves when the process has ended and will stay down. */
export async function stopInstance(instance: Instance, folder: ClusterFolder, labPid: number): Promise<void> {
  const { component, host, process: facts } = instance;
  const init = hostOf(instance, labPid);
  switch (component.supervisedBy) {
    case 'host': return systemctl(init, 'stop', component.unit);
    case 'static-pod': {
      const manifest = folder.hostData(host, `${MANIFESTS}/${component.unit}.yaml`);
      mkdirSync(folder.hostData(host, STOPPED_MANIFESTS), { recursive: true });
      if (existsSync(manifest)) renameSync(manifest, folder.hostData(host, `${STOPPED_MANIFESTS}/${component.unit}.yaml`));
      break;
    }
    case 'pod': {
      writeFileSync(`/proc/${init}/root${holdOf(component.processTitle)}`, '');
      if (facts) signalProcess(facts.pid, 'SIGTERM');
    }
  }
  const deadlineMs = systemClock.nowMs() + STOP_DEADLINE_MS;
  while (facts && findInstances(labPid, folder.hosts).some(({ process: other }) => other?.pid === facts.pid)) {
    if (systemClock.nowMs() > deadlineMs) {
      const reason = component.supervisedBy === 'static-pod' ? '; its kubelet ends it: is that running?' : '';
      throw new UserError(`${component.name}@${host} did not end within ${STOP_DEADLINE_MS / 1000} s${reason}`);
    }
    await systemClock.sleep(POLL_MS);
  }
}

/** Resolves when the start has been asked for; who supervises the component does it. */
export async function startInstance(instance: Instance, folder: ClusterFolder, labPid: number): Promise<void> {
  const { component, host } = instance;
  if (component.supervisedBy === 'host') return systemctl(hostOf(instance, labPid), 'start', component.unit);
  if (component.supervisedBy === 'static-pod') {
    const stopped = folder.hostData(host, `${STOPPED_MANIFESTS}/${component.unit}.yaml`);
    if (existsSync(stopped)) renameSync(stopped, folder.hostData(host, `${MANIFESTS}/${component.unit}.yaml`));
    return;
  }
  // A pod that no process shows of may be held on any host.
  const inits = host === '' ? [...hostInits(labPid).values()] : [hostOf(instance, labPid)];
  for (const init of inits) rmSync(`/proc/${init}/root${holdOf(component.processTitle)}`, { force: true });
  await replaceWaitingPods(instance, folder.kubeconfig);
}

/** A cluster starts whole: what `kubreak stop` keeps down is down until `kubreak start`, or until the cluster is stopped. */
export function putBackManifests(folder: ClusterFolder): void {
  for (const { name } of folder.hosts) {
    const stopped = folder.hostData(name, STOPPED_MANIFESTS);
    if (!existsSync(stopped)) continue;
    for (const file of readdirSync(stopped)) renameSync(`${stopped}/${file}`, `${folder.hostData(name, MANIFESTS)}/${file}`);
  }
}

/** Its pods wait out a crash back-off of up to five minutes by now: new ones start at once. */
export async function replaceWaitingPods({ component, host }: Pick<Instance, 'component' | 'host'>, kubeconfig: string): Promise<void> {
  const api = connectToApiserver(await loadKubeconfig(kubeconfig), 'kubreak');
  try {
    const { items } = await api.list(podKind, { namespace: 'kube-system', labelSelector: `k8s-app=${component.unit}`, ...(host === '' ? {} : { fieldSelector: `spec.nodeName=${host}` }) });
    const waiting = items.filter(({ status }) => status?.containerStatuses?.every(({ state }) => state?.running === undefined) ?? false);
    await Promise.all(waiting.map(({ metadata }) => api.delete(podKind, metadata.namespace, metadata.name)));
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    process.stderr.write(`kubreak: the API server does not answer, so ${component.name} comes back only when its kubelet tries again (within five minutes)\n`);
  } finally {
    await api.close();
  }
}
