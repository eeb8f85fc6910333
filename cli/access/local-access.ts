// A cluster of local mode: through /proc, signals and namespaces of this machine.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { systemClock } from '#lib/environment/clock.ts';
import { HOST_PATH, hostCommand, hostInit } from '../commands/exec.ts';
import type { ClusterFolder } from '../local/cluster-folder.ts';
import { limitOf, setLimit } from '../local/host-limits.ts';
import { askHost, findInstances, hostInits, reportInstances, type Instance } from '../local/instances.ts';
import { askLab } from '../local/lab-client.ts';
import { clusterRights, isRootless } from '../local/rootless.ts';
import { selectInstances } from '../local/selection.ts';
import { signalProcess } from '../local/signal-process.ts';
import { startInstance, stopInstance } from '../local/start-stop.ts';
import { hostNamed } from '../host-named.ts';
import { UserError } from '../user-error.ts';
import type { ClusterAccess, Touched } from './cluster-access.ts';
import { runCommand } from './run-command.ts';

/** Longest wait for a host to be down and up again; milliseconds. */
const BOOT_DEADLINE_MS = 60_000;
const POLL_MS = 50;

const touched = ({ component, host, process: facts }: Instance): Touched => ({ component: component.name, host, ...(facts && { pid: facts.pid }) });

/** Throws UserError (exit code 3) when no cluster runs in the folder. */
export function localAccess(folder: ClusterFolder): ClusterAccess {
  const { labPid, supervisorPid, supervisorStartTicks } = folder.requireRunning();
  const select = (selector: string): readonly Instance[] => selectInstances(findInstances(labPid, folder.hosts), selector, folder.hosts);

  async function untilUp(host: string, before?: number): Promise<void> {
    const deadlineMs = systemClock.nowMs() + BOOT_DEADLINE_MS;
    for (;;) {
      const init = hostInits(labPid).get(host);
      if (init !== undefined && init !== before && (await askHost(init, 'units').then(() => true, () => false))) return;
      if (systemClock.nowMs() > deadlineMs) throw new UserError(`${host} did not come back within ${BOOT_DEADLINE_MS / 1000} s`);
      await systemClock.sleep(POLL_MS);
    }
  }

  return {
    mode: 'local',
    hosts: folder.hosts,
    folder: folder.path,
    runId: `${supervisorPid}.${supervisorStartTicks}`,
    kubeconfig: () => Promise.resolve(folder.kubeconfig),
    status: async (component) => (await reportInstances(labPid, folder.hosts)).filter((report) => component === undefined || report.component === component),
    async signal(selector, signal) {
      const instances = select(selector);
      const reached = instances.filter(({ process: facts }) => facts !== undefined && signalProcess(facts.pid, signal));
      // Those that run nowhere have no host.
      if (reached.length === 0) throw new UserError(`${instances[0]?.component.name ?? ''} is not running${instances.length === 1 && instances[0]?.host ? ` on ${instances[0].host}` : ''}`);
      return reached.map(touched);
    },
    async stop(selector) {
      const instances = select(selector);
      for (const instance of instances) await stopInstance(instance, folder, labPid);
      return instances.map(touched);
    },
    async start(selector) {
      const instances = select(selector);
      for (const instance of instances) await startInstance(instance, folder, labPid);
      return instances.map(touched);
    },
    /** Asks the host to; when nobody answers there, cuts its power. */
    async reboot(host) {
      const before = hostInit(labPid, host, folder.hosts);
      await askHost(before, 'reboot').catch(() => askLab(labPid, `cycle ${host}`));
      await untilUp(host, before);
    },
    async powerOff(host) {
      hostNamed(host, folder.hosts);
      await askLab(labPid, `off ${host}`);
    },
    async powerOn(host) {
      hostNamed(host, folder.hosts);
      await askLab(labPid, `on ${host}`);
      await untilUp(host);
    },
    isUp: (host) => Promise.resolve(hostInits(labPid).has(host)),
    setLimit(host, resource, amount) {
      hostNamed(host, folder.hosts);
      if (isRootless() && amount !== undefined) throw new UserError('control groups belong to root: a rootless cluster has no limits for its hosts');
      if (!isRootless()) setLimit(`${folder.cgroup}/${host}`, resource, amount);
      return Promise.resolve();
    },
    limitOf: (host, resource) => Promise.resolve(isRootless() ? undefined : limitOf(`${folder.cgroup}/${host}`, resource)),
    writeFile(host, path, text) {
      hostNamed(host, folder.hosts);
      const file = folder.hostData(host, path);
      if (text === undefined) rmSync(file, { force: true });
      else {
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(`${file}.new`, text);
        renameSync(`${file}.new`, file);
      }
      return Promise.resolve();
    },
    readFile(host, path) {
      const file = folder.hostData(host, path);
      return Promise.resolve(existsSync(file) ? readFileSync(file, 'utf8') : undefined);
    },
    async onHost(host, words, options) {
      const command = ['env', '-i', `PATH=${HOST_PATH}`, 'HOME=/root', 'LANG=C.UTF-8', ...hostCommand(hostInit(labPid, host, folder.hosts), words)];
      return runCommand(command, options);
    },
    async inNetworkOf(host, words, options) {
      hostNamed(host, folder.hosts);
      return runCommand(['nsenter', '-t', String(labPid), ...clusterRights(), '-m', `--net=/proc/${labPid}/root/run/netns/${host}`, '--', ...words], options);
    },
  };
}
