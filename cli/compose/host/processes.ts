// What `kubreak --compose` asks inside a container: its processes, a signal to one, one kept down or let up again.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { promisify } from 'node:util';
import { COMPONENTS, type Component, type HostLayout } from '../../cluster-layout.ts';
import { findInstances, reportInstances, type InstanceReport } from '../../local/instances.ts';
import { allProcesses, descendantsOf, pssBytesOf, type ProcessFacts } from '../../local/proc.ts';
import { holdOf, MANIFESTS, replaceWaitingPods, STOPPED_MANIFESTS } from '../../local/start-stop.ts';
import { componentNamed } from '../../selector.ts';

const run = promisify(execFile);
const HEALTH_TIMEOUT_S = 3;
const CONTAINER_INIT = 1;

/** A host, or the place of one process of the control plane. */
const isHost = (): boolean => existsSync('/etc/kubreak/node.json');

/** Docker calls a container by the name of the host in whose network it is. */
export async function reportContainer(hosts: readonly HostLayout[]): Promise<InstanceReport[]> {
  if (isHost()) {
    const here = hosts.filter(({ name }) => name === hostname());
    return (await reportInstances(CONTAINER_INIT, here)).filter(({ host }) => host !== '');
  }
  return Promise.all(ownProcesses().map(async ({ component, facts }) => ({
    component: component.name, host: hostname(), pid: facts.pid, restarts: 0, pssBytes: pssBytesOf(facts.pid),
    health: facts.state === 'T' ? 'paused' : (await isHealthy(component)) ? 'healthy' : 'unhealthy',
  })));
}

function ownProcesses(): { component: Component; facts: ProcessFacts }[] {
  return descendantsOf(CONTAINER_INIT, allProcesses()).flatMap((facts) => {
    const component = COMPONENTS.find(({ processTitle }) => processTitle === facts.title);
    return component && facts.state !== 'Z' ? [{ component, facts }] : [];
  });
}

async function isHealthy({ healthUrl }: Component): Promise<boolean> {
  if (healthUrl === undefined) return true;
  try {
    await run('curl', ['-skf', '-m', String(HEALTH_TIMEOUT_S), '-o', '/dev/null', healthUrl]);
    return true;
  } catch {
    return false; // refused, timed out, or it says so
  }
}

/** Pids that got the signal. */
export function signalComponent(name: string, signal: NodeJS.Signals, hosts: readonly HostLayout[]): number[] {
  const component = componentNamed(name);
  const processes = isHost() ? findInstances(CONTAINER_INIT, hosts).map((instance) => ({ component: instance.component, facts: instance.process })) : ownProcesses();
  const pids = processes.flatMap(({ component: other, facts }) => (other === component && facts ? [facts.pid] : []));
  for (const pid of pids) process.kill(pid, signal);
  return pids;
}

/** A static pod by its manifest, a pod by a hold that the container runtime respects. */
export function keepDown(name: string, hosts: readonly HostLayout[]): void {
  const { supervisedBy, unit, processTitle } = componentNamed(name);
  if (supervisedBy === 'static-pod') {
    mkdirSync(STOPPED_MANIFESTS, { recursive: true });
    if (existsSync(`${MANIFESTS}/${unit}.yaml`)) renameSync(`${MANIFESTS}/${unit}.yaml`, `${STOPPED_MANIFESTS}/${unit}.yaml`);
    return;
  }
  writeFileSync(holdOf(processTitle), '');
  signalComponent(name, 'SIGTERM', hosts);
}

export function letUp(name: string): void {
  const { supervisedBy, unit, processTitle } = componentNamed(name);
  if (supervisedBy === 'pod') rmSync(holdOf(processTitle), { force: true });
  else if (existsSync(`${STOPPED_MANIFESTS}/${unit}.yaml`)) renameSync(`${STOPPED_MANIFESTS}/${unit}.yaml`, `${MANIFESTS}/${unit}.yaml`);
}

/** On the master: pods that wait out a back-off are replaced by new ones. */
export function replacePods(name: string, host: string): Promise<void> {
  return replaceWaitingPods({ component: componentNamed(name), host }, '/etc/kubernetes/admin.conf');
}
