// kubreak kill|stop|start|pause|resume COMPONENT[@HOST] and reboot HOST: the levers of the failure experiments.
import type { Command } from 'commander';
import { systemClock } from '#lib/environment/clock.ts';
import type { ClusterFolder } from '../local/cluster-folder.ts';
import { askHost, findInstances, hostInits, type Instance } from '../local/instances.ts';
import { askLab } from '../local/lab-client.ts';
import { startInstance, stopInstance } from '../local/start-stop.ts';
import { selectInstances } from '../local/selection.ts';
import { UserError } from '../user-error.ts';
import { clusterFolderOf } from './cluster-option.ts';
import { hostInit } from './exec.ts';

const SELECTOR = 'COMPONENT or COMPONENT@HOST';
/** Longest wait for a host to be down and up again; milliseconds. */
const REBOOT_DEADLINE_MS = 60_000;
const POLL_MS = 50;

export function addLeverCommands(program: Command): void {
  const lever = (name: string, description: string, pull: (instances: readonly Instance[], folder: ClusterFolder, labPid: number) => Promise<void> | void) => {
    program.command(name).description(description).argument('<component>', SELECTOR).action(async (selector: string, _options: unknown, command: Command) => {
      const folder = clusterFolderOf(command);
      const { labPid } = folder.requireRunning();
      await pull(selectInstances(findInstances(labPid, folder.hosts), selector, folder.hosts), folder, labPid);
    });
  };
  lever('kill', 'SIGKILL; who supervises it starts it again', (instances) => signalAll(instances, 'SIGKILL', 'killed'));
  lever('pause', 'freeze the process (SIGSTOP): it hangs, connections to it stay open', (instances) => signalAll(instances, 'SIGSTOP', 'paused'));
  lever('resume', 'let a frozen process go on (SIGCONT)', (instances) => signalAll(instances, 'SIGCONT', 'resumed'));
  lever('stop', 'end it and keep it down until it, or the whole cluster, is started', async (instances, folder, labPid) => {
    for (const instance of instances) {
      await stopInstance(instance, folder, labPid);
      say(instance, 'stopped');
    }
  });
  lever('start', 'start what was stopped', async (instances, folder, labPid) => {
    for (const instance of instances) {
      await startInstance(instance, folder, labPid);
      say(instance, 'started');
    }
  });
  program.command('reboot').description('reboot a host: everything on it ends; its disk stays').argument('<host>')
    .action(async (host: string, _options: unknown, command: Command) => {
      const folder = clusterFolderOf(command);
      const { labPid } = folder.requireRunning();
      await reboot(labPid, hostInit(labPid, host, folder.hosts), host);
    });
}

function say({ component, host, process: facts }: Instance, done: string): void {
  process.stdout.write(`${component.name}${host && `@${host}`} ${done}${facts ? ` (pid ${facts.pid})` : ''}\n`);
}

function signalAll(instances: readonly Instance[], signal: NodeJS.Signals, done: string): void {
  const running = instances.filter((instance) => instance.process !== undefined);
  if (running.length === 0) throw new UserError(`${instances[0]?.component.name ?? ''} is not running${instances.length === 1 ? ` on ${instances[0]?.host ?? ''}` : ''}`);
  for (const instance of running) {
    process.kill(instance.process?.pid ?? 0, signal);
    say(instance, done);
  }
}

/** Asks the host to reboot; when nobody answers there, cuts its power. Resolves when the host is up again. */
async function reboot(labPid: number, before: number, host: string): Promise<void> {
  await askHost(before, 'reboot').catch(() => askLab(labPid, `cycle ${host}`));
  const deadlineMs = systemClock.nowMs() + REBOOT_DEADLINE_MS;
  for (;;) {
    const init = hostInits(labPid).get(host);
    if (init !== undefined && init !== before && (await isUp(init))) break;
    if (systemClock.nowMs() > deadlineMs) throw new UserError(`${host} did not come back within ${REBOOT_DEADLINE_MS / 1000} s`);
    await systemClock.sleep(POLL_MS);
  }
  process.stdout.write(`${host} rebooted\n`);
}

async function isUp(init: number): Promise<boolean> {
  return askHost(init, 'units').then(() => true, () => false);
}
