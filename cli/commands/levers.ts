// kubreak kill|stop|start|resume COMPONENT[@HOST] and reboot|poweroff|poweron HOST: the levers of the failure experiments.
import type { Command } from 'commander';
import type { ClusterAccess, Touched } from '../access/cluster-access.ts';
import { forgetGone } from '../faults/make-and-heal.ts';

const SELECTOR = 'COMPONENT or COMPONENT@HOST';

/** `accessOf` is asked when a command runs: by then the options are known. */
export function addLeverCommands(program: Command, accessOf: (command: Command) => Promise<ClusterAccess>): void {
  const lever = (name: string, description: string, done: string, pull: (cluster: ClusterAccess, selector: string) => Promise<readonly Touched[]>) => {
    program.command(name).description(description).argument('<component>', SELECTOR).action(async (selector: string, _options: unknown, command: Command) => {
      for (const { component, host, pid } of await pull(await accessOf(command), selector)) {
        process.stdout.write(`${component}${host && `@${host}`} ${done}${pid === undefined ? '' : ` (pid ${pid})`}\n`);
      }
    });
  };
  lever('kill', 'SIGKILL; who supervises it starts it again', 'killed', (cluster, selector) => cluster.signal(selector, 'SIGKILL'));
  lever('resume', 'let a frozen process go on (SIGCONT)', 'resumed', async (cluster, selector) => {
    const touched = await cluster.signal(selector, 'SIGCONT');
    await forgetGone(cluster, ['pause']);
    return touched;
  });
  lever('stop', 'end it and keep it down until it, or the whole cluster, is started', 'stopped', (cluster, selector) => cluster.stop(selector));
  lever('start', 'start what was stopped', 'started', (cluster, selector) => cluster.start(selector));
  const power = (name: string, description: string, done: string, pull: (cluster: ClusterAccess, host: string) => Promise<void>) => {
    program.command(name).description(description).argument('<host>').action(async (host: string, _options: unknown, command: Command) => {
      await pull(await accessOf(command), host);
      process.stdout.write(`${host} ${done}\n`);
    });
  };
  power('reboot', 'reboot a host: everything on it ends; its disk stays', 'rebooted', (cluster, host) => cluster.reboot(host));
  power('poweroff', 'cut the power of a host; its disk stays', 'is off', (cluster, host) => cluster.powerOff(host));
  power('poweron', 'switch a host on again', 'is on', (cluster, host) => cluster.powerOn(host));
}
