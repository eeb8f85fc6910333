// kubreak start|resume COMPONENT[@HOST] and reboot|poweron HOST: levers that break nothing, or only for a moment. Those that do are in ../faults.
import type { Command } from 'commander';
import { systemClock } from '#lib/environment/clock.ts';
import type { ClusterAccess, Touched } from '../access/cluster-access.ts';
import { forgetGone } from '../faults/make-and-heal.ts';
import { forgetStarted } from '../faults/stop.ts';
import { noteLever } from '../record/active.ts';
import type { Lever } from '../record/recording.ts';
import { SELECTOR } from '../selector.ts';

/** `accessOf` is asked when a command runs: by then the options are known. */
export function addLeverCommands(program: Command, accessOf: (command: Command) => Promise<ClusterAccess>): void {
  const lever = (name: Lever, description: string, done: string, pull: (cluster: ClusterAccess, selector: string) => Promise<readonly Touched[]>) => {
    program.command(name).description(description).argument('<component>', SELECTOR).action(async (selector: string, _options: unknown, command: Command) => {
      const cluster = await accessOf(command);
      const startedMs = systemClock.nowMs();
      const touched = await pull(cluster, selector);
      noteLever(cluster, name, selector, startedMs);
      for (const { component, host, pid } of touched) {
        process.stdout.write(`${component}${host && `@${host}`} ${done}${pid === undefined ? '' : ` (pid ${pid})`}\n`);
      }
    });
  };
  lever('resume', 'let a frozen process go on (SIGCONT)', 'resumed', async (cluster, selector) => {
    const touched = await cluster.signal(selector, 'SIGCONT');
    await forgetGone(cluster, ['pause']);
    return touched;
  });
  lever('start', 'start what was stopped', 'started', async (cluster, selector) => {
    const touched = await cluster.start(selector);
    forgetStarted(cluster, touched);
    return touched;
  });
  const power = (name: Lever, description: string, done: string, pull: (cluster: ClusterAccess, host: string) => Promise<void>) => {
    program.command(name).description(description).argument('<host>').action(async (host: string, _options: unknown, command: Command) => {
      const cluster = await accessOf(command);
      const startedMs = systemClock.nowMs();
      await pull(cluster, host);
      noteLever(cluster, name, host, startedMs);
      process.stdout.write(`${host} ${done}\n`);
    });
  };
  power('reboot', 'reboot a host: everything on it ends; its disk stays', 'rebooted', (cluster, host) => cluster.reboot(host));
  power('poweron', 'switch a host on again', 'is on', async (cluster, host) => {
    await cluster.powerOn(host);
    await forgetGone(cluster, ['poweroff']);
  });
}
