// kubreak logs COMPONENT[@HOST]: what a component has written, straight from the disk of its host.
import { createReadStream, existsSync, readdirSync, readFileSync, realpathSync, statSync, watch } from 'node:fs';
import type { Command } from 'commander';
import type { Component } from '../cluster-layout.ts';
import type { ClusterFolder } from '../local/cluster-folder.ts';
import { findInstances, type Instance } from '../local/instances.ts';
import { selectInstances } from '../local/selection.ts';
import { SELECTOR } from '../selector.ts';
import { UserError } from '../user-error.ts';
import { clusterFolderOf } from './cluster-option.ts';

export function addLogsCommand(program: Command): void {
  program.command('logs')
    .description('print the log of a component')
    .argument('<component>', SELECTOR)
    .option('-f, --follow', 'go on with what is written from now on')
    .action(async (selector: string, options: { follow?: boolean }, command: Command) => {
      const folder = clusterFolderOf(command);
      const { labPid } = folder.requireRunning();
      const chosen = selectInstances(findInstances(labPid, folder.hosts), selector, folder.hosts);
      const withPrefix = chosen.length > 1;
      await Promise.all(chosen.map((instance) => printLog(folder, instance, withPrefix, options.follow === true)));
    });
}

/** The newest log file of an instance; undefined when it has none. */
function logFileOf(folder: ClusterFolder, { component, host }: Instance): string | undefined {
  const logs = folder.hostData(host, '/var/log');
  if (component.supervisedBy === 'host') return `${logs}/${component.unit}.log`;
  const pods = `${logs}/pods`;
  if (!existsSync(pods)) return undefined;
  const files = readdirSync(pods).filter((name) => name.startsWith('kube-system_')).flatMap((pod) => containerLogs(`${pods}/${pod}`, component));
  return files.sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs).at(-1);
}

function containerLogs(pod: string, { unit, processTitle }: Component): string[] {
  return [unit, processTitle].flatMap((container) => {
    const path = `${pod}/${container}`;
    return existsSync(path) ? readdirSync(path).filter((name) => name.endsWith('.log')).map((name) => `${path}/${name}`) : [];
  });
}

async function printLog(folder: ClusterFolder, instance: Instance, withPrefix: boolean, follow: boolean): Promise<void> {
  const file = logFileOf(folder, instance);
  if (file === undefined || !existsSync(file)) throw new UserError(`${instance.component.name} has no log on ${instance.host || 'any host'} yet`);
  const prefix = withPrefix ? `[${instance.host}] ` : '';
  const isCri = instance.component.supervisedBy !== 'host';
  let rest = '';
  const print = (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    // TIME STREAM F|P TEXT: the head belongs to the container runtime.
    for (const line of lines) process.stdout.write(`${prefix}${isCri ? line.replace(/^\S+ (stdout|stderr) [FP] /, '') : line}\n`);
  };
  if (!follow) {
    print(readFileSync(file, 'utf8'));
    return;
  }
  await followFile(realpathSync(file), print);
}

/** Prints what is there and what comes; ends only with the process. */
async function followFile(file: string, print: (text: string) => void): Promise<void> {
  let offset = 0;
  let isReading = false;
  const readOn = async (): Promise<void> => {
    if (isReading) return;
    isReading = true;
    try {
      for (let size = statSync(file).size; size !== offset; size = statSync(file).size) {
        if (size < offset) offset = 0; // cut by rotation
        for await (const chunk of createReadStream(file, { start: offset, encoding: 'utf8' }) as AsyncIterable<string>) {
          offset += Buffer.byteLength(chunk);
          print(chunk);
        }
      }
    } finally {
      isReading = false;
    }
  };
  await readOn();
  await new Promise<never>((_, reject) => watch(file, () => void readOn().catch(reject)));
}
