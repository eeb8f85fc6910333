// The host's own network device: taken down and brought up again as the `network` service does.
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import type { Logger } from 'pino';
import { runCommand } from '#lib/service/run-command.ts';
import type { HostConfig } from '../core/host-config.ts';
import { planNetworkSysctls } from '../core/sysctl-plan.ts';

const SYSCTL_FILE = '/etc/sysctl.d/99-kubernetes.conf';

export interface NetworkOptions {
  readonly network: HostConfig['network'];
  readonly modules: ReadonlySet<string>;
  readonly log: Logger;
}

/** Takes the device down and up, sets address and default route, applies the sysctl file. Throws when `ip` fails. */
export async function restartNetwork({ network, modules, log }: NetworkOptions): Promise<void> {
  await runCommand('ip', ['-batch', '-'], restartBatch(network));
  await applySysctls(modules, log);
}

function restartBatch(network: HostConfig['network']): string {
  const { address, gateway } = network;
  const device = deviceOf(network);
  return [`link set ${device} down`, `addr flush dev ${device}`, `addr add ${address} dev ${device}`, `link set lo up`, `link set ${device} up`, `route replace default via ${gateway} dev ${device}`, ''].join('\n');
}

async function applySysctls(modules: ReadonlySet<string>, log: Logger): Promise<void> {
  const { writes, problem } = planNetworkSysctls(await readFile(SYSCTL_FILE, 'utf8'), modules);
  for (const { key, value } of writes) await writeFile(`/proc/sys/${key.replaceAll('.', '/')}`, value);
  if (problem !== undefined) log.warn({ problem }, 'kernel parameters were not all applied');
}

/** As `restartNetwork`, for a host that boots: it has no rules and routes left from before; only its device stays. */
export async function startNetwork({ network, modules, log }: NetworkOptions): Promise<void> {
  await Promise.all([removeTables(network), runCommand('ip', ['-batch', '-'], `route flush table main\n${restartBatch(network)}`)]);
  await applySysctls(modules, log);
}

/** What `kubreak partition` and the like put in the way of the host's packets is in its cables, which a boot does not mend. */
const CABLE_FAULT = /^\S+ kubreak-f\d+(-helper)?$/;

async function removeTables({ foreignTables = [] }: HostConfig['network']): Promise<void> {
  const tables = (await runCommand('nft', ['list', 'tables'])).split('\n').map((line) => line.replace(/^table /, '').trim());
  const own = tables.filter((table) => table !== '' && !foreignTables.includes(table) && !CABLE_FAULT.test(table));
  if (own.length > 0) await runCommand('nft', ['-f', '-'], own.map((table) => `delete table ${table}\n`).join(''));
}

/** The device with the host's address. A container engine that connects a host anew gives it another one. */
function deviceOf({ device, address }: HostConfig['network']): string {
  const devices = networkInterfaces();
  const having = Object.keys(devices).find((name) => devices[name]?.some(({ cidr }) => cidr === address));
  if (having !== undefined) return having;
  const lines = readFileSync('/proc/self/net/dev', 'utf8').split('\n').map((line) => line.split(':')[0]?.trim() ?? '');
  return lines.includes(device) ? device : (lines.find((name) => /^(eth|ens|enp)/.test(name)) ?? device);
}
