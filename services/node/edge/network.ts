// The host's own network device: taken down and brought up again as the `network` service does.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import type { HostConfig } from '../core/host-config.ts';
import { planNetworkSysctls } from '../core/sysctl-plan.ts';

const run = promisify(execFile);
const COMMAND_TIMEOUT_MS = 10_000;
const SYSCTL_FILE = '/etc/sysctl.d/99-kubernetes.conf';

export interface NetworkOptions {
  readonly network: HostConfig['network'];
  readonly modules: ReadonlySet<string>;
  readonly log: Logger;
}

/** Takes the device down and up, sets address and default route, applies the sysctl file. Throws when `ip` fails. */
export async function restartNetwork({ network, modules, log }: NetworkOptions): Promise<void> {
  const { device, address, gateway } = network;
  const batch = [`link set ${device} down`, `addr flush dev ${device}`, `addr add ${address} dev ${device}`, `link set lo up`, `link set ${device} up`, `route replace default via ${gateway} dev ${device}`];
  await runIpBatch(batch);
  const { writes, problem } = planNetworkSysctls(await readFile(SYSCTL_FILE, 'utf8'), modules);
  for (const { key, value } of writes) await writeFile(`/proc/sys/${key.replaceAll('.', '/')}`, value);
  if (problem !== undefined) log.warn({ problem }, 'kernel parameters were not all applied');
}

/** A host that boots has no rules and routes left from before; only its device stays. */
export async function clearNetworkState(): Promise<void> {
  await run('nft', ['flush', 'ruleset'], { timeout: COMMAND_TIMEOUT_MS });
  await run('ip', ['route', 'flush', 'table', 'main'], { timeout: COMMAND_TIMEOUT_MS });
}

async function runIpBatch(lines: readonly string[]): Promise<void> {
  const child = run('ip', ['-batch', '-'], { timeout: COMMAND_TIMEOUT_MS });
  child.child.stdin?.end(`${lines.join('\n')}\n`);
  await child;
}
