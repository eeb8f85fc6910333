// Boots a host: network, then its services; then answers systemctl, modprobe and reboot until it is told to stop.
import { existsSync, mkdirSync, statSync, copyFileSync, truncateSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Environment } from '#lib/environment/environment.ts';
import { aborted } from '#lib/service/abort.ts';
import type { Flags } from '#lib/service/flags.ts';
import { SPAN_FOLDER } from '#lib/tracing/span-folder.ts';
import type { HostConfig } from './core/host-config.ts';
import { failed, parseSystemctl, succeeded, unitStatusText, type CommandResult } from './core/systemctl.ts';
import { serveControlSocket } from './edge/control-socket.ts';
import { restartNetwork, startNetwork } from './edge/network.ts';
import { Unit } from './edge/unit.ts';
import type { nodeFlags } from './flags.ts';

const STATE_FOLDER = '/run/kubreak/units';
const LOG_FOLDER = '/var/log';
/** Marks that this boot has set up the network: the supervisor may be restarted without touching it. */
const BOOTED_MARK = '/run/kubreak/booted';
/** A service's log is moved aside beyond this size; bytes. One older piece is kept. */
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
const LOG_CHECK_MS = 30_000;

export async function startNode(flags: Flags<typeof nodeFlags>, { clock, random, log }: Environment, signal: AbortSignal): Promise<void> {
  const config = JSON.parse(await readFile(flags.config, 'utf8')) as HostConfig;
  const modules = new Set(config.modules);
  const units = new Map(config.units.map((unit) => [unit.name, new Unit(unit, { clock, log, stateFolder: STATE_FOLDER, logFolder: LOG_FOLDER })]));
  const networkOptions = { network: config.network, modules, log };

  if (!existsSync(BOOTED_MARK)) {
    await startNetwork(networkOptions);
    mkdirSync('/run/kubreak', { recursive: true });
    writeFileSync(BOOTED_MARK, '');
  }

  /** Ends PID 1 of the host, and with it everything on it; who runs the host boots it again. */
  const reboot = async (): Promise<void> => {
    await Promise.all([...units.values()].map((unit) => unit.stop()));
    process.kill(1, 'SIGTERM');
  };

  const systemctl = async (args: readonly string[]): Promise<CommandResult> => {
    const request = parseSystemctl(args);
    if ('exitCode' in request) return request;
    const { verb, units: names } = request;
    let output = '';
    for (const name of names) {
      if (name === 'network' || name === 'NetworkManager' || name === 'networking' || name === 'systemd-networkd') {
        if (verb === 'restart') await restartNetwork(networkOptions);
        else if (verb === 'is-active') output += 'active\n';
        else return failed(1, `Failed to ${verb} ${name}.service: only restart is offered for the network of a host.`);
        continue;
      }
      const unit = units.get(name);
      if (!unit) return failed(verb === 'status' ? 4 : 5, verb === 'status' ? `Unit ${name}.service could not be found.` : `Failed to ${verb} ${name}.service: Unit ${name}.service not found.`);
      if (verb === 'start') unit.start();
      else if (verb === 'stop') await unit.stop();
      else if (verb === 'restart') await unit.stop().then(() => unit.start());
      else if (verb === 'kill') unit.signal('SIGKILL');
      else if (verb === 'is-enabled') output += 'enabled\n';
      else {
        const view = unit.view();
        output += verb === 'status' ? unitStatusText(view) : `${view.activeState}\n`;
        if (view.activeState !== 'active') return { exitCode: 3, stdout: output, stderr: '' };
      }
    }
    return succeeded(output);
  };

  const modprobe = (args: readonly string[]): CommandResult => {
    const remove = args.includes('-r') || args.includes('--remove');
    for (const name of args.filter((arg) => !arg.startsWith('-'))) {
      const module = name.replaceAll('-', '_');
      if (module !== 'br_netfilter' && module !== 'overlay') return failed(1, `modprobe: FATAL: Module ${name} not found in directory /lib/modules`);
      if (remove) modules.delete(module);
      else modules.add(module);
    }
    return succeeded();
  };

  const answer = async (request: unknown): Promise<unknown> => {
    const { op, args = [] } = request as { op?: string; args?: string[] };
    switch (op) {
      case 'systemctl': return systemctl(args);
      case 'modprobe': return modprobe(args);
      case 'lsmod': return succeeded(`Module                  Size  Used by\n${[...modules].map((name) => `${name.padEnd(22)} 32768  0\n`).join('')}`);
      case 'reboot':
        log.info('rebooting');
        setImmediate(() => void reboot());
        return succeeded();
      case 'units':
        return [...units.values()].map((unit) => ({ name: unit.config.name, pid: unit.pid ?? null, restarts: unit.restarts, state: unit.view().activeState, logFile: unit.logFile }));
      default: return failed(1, `unknown request: ${String(op)}`);
    }
  };
  await serveControlSocket(flags.socket, answer, signal);

  if (config.balancer) {
    const { serveBalancer } = await import('./edge/balancer.ts'); // with TLS, which a cluster of one master does without
    await serveBalancer(config.balancer, { clock, random, log }, signal);
  }
  mkdirSync(SPAN_FOLDER, { recursive: true }); // where it is, services keep their spans
  for (const unit of units.values()) unit.start((unit.config.bootDelaySeconds ?? 0) * 1000);
  const logCheck = setInterval(() => [...units.values()].forEach(({ logFile }) => rotateLog(logFile)), LOG_CHECK_MS);
  log.info({ host: config.hostName }, 'host is up');
  await aborted(signal);
  clearInterval(logCheck);
  await Promise.all([...units.values()].map((unit) => unit.stop()));
}

/** Services append to their log themselves, so that they outlive this process; hence copy and truncate. */
function rotateLog(file: string): void {
  if (!existsSync(file) || statSync(file).size < LOG_LIMIT_BYTES) return;
  copyFileSync(file, `${file}.1`);
  truncateSync(file);
}
