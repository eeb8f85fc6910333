// The commands of kubreak for a cluster of docker-compose.yml (`kubreak --compose ...`): through docker, from the machine.
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { systemClock } from '#lib/environment/clock.ts';
import { belongsOn, COMPONENTS, DEFAULT_WORKERS, HOSTS, hostsWith, MASTER, type Component, type HostLayout } from '../cluster-layout.ts';
import { addImageCommand, type HostRunner } from '../commands/image.ts';
import { tableOf } from '../commands/status.ts';
import type { InstanceReport } from '../local/instances.ts';
import { UserError } from '../user-error.ts';
import { HA_MASTERS } from './host/layout.ts';
import { componentNamed } from './host/processes.ts';

const COMMAND_TIMEOUT_MS = 60_000;
const STOP_DEADLINE_MS = 45_000;
const REBOOT_DEADLINE_MS = 60_000;
const POLL_MS = 200;
const SELECTOR = 'COMPONENT or COMPONENT@HOST';

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function docker(...args: string[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    execFile('docker', args, { timeout: COMMAND_TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error?.code === 'ENOENT') reject(new UserError('the program docker is not installed'));
      else resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

async function inContainer(container: string, ...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await docker('exec', container, ...command);
  if (code !== 0) throw new UserError(stderr.trim().replace(/^Error response from daemon: /, '') || `${container}: ${command.join(' ')} failed`);
  return stdout;
}

const helper = (container: string, ...words: string[]): Promise<string> => inContainer(container, 'node', '/opt/kubreak/dist/compose-host.js', ...words);

/** Container name to state: running, paused, exited ... Throws UserError (exit code 3) when there is no cluster. */
async function containerStates(): Promise<ReadonlyMap<string, string>> {
  const { code, stdout, stderr } = await docker('ps', '-a', '--filter', 'label=com.docker.compose.service', '--format', '{{.Names}} {{.State}}');
  if (code !== 0) throw new UserError(stderr.trim());
  const states = new Map(stdout.trim().split('\n').map((line) => line.split(' ') as [string, string]));
  if (!states.has(MASTER.name)) throw new UserError('there is no cluster in containers; start one with: docker compose up -d', 3);
  return states;
}

/** With the profile `ha` there are more masters. */
const hostsAmong = (states: ReadonlyMap<string, string>): readonly HostLayout[] => {
  const all = hostsWith(DEFAULT_WORKERS, HA_MASTERS);
  return all.every(({ name }) => HOSTS.some((usual) => usual.name === name) || states.has(name)) ? all : HOSTS;
};

/** Where the process of a component on a host runs: that of a control plane in a container of its own, `etcd` or `m2-etcd`; others on the host itself. */
function containerOf({ name, supervisedBy }: Component, host: string): string {
  if (supervisedBy !== 'static-pod') return host;
  return host === MASTER.name ? name : `${host.replace(/-k8s$/, '')}-${name}`;
}

interface Selected {
  readonly component: Component;
  /** Those on which it may run, or the one that was named. */
  readonly hosts: readonly string[];
  readonly host: string | undefined;
  readonly states: ReadonlyMap<string, string>;
}

async function select(selector: string): Promise<Selected> {
  const [name = '', host, ...more] = selector.split('@');
  if (more.length > 0) throw new UserError(`"${selector}" is not ${SELECTOR}`, 2);
  const component = componentNamed(name);
  const states = await containerStates();
  const all = hostsAmong(states);
  if (host !== undefined) requireHost(host, all);
  const hosts = all.filter((each) => (host === undefined || each.name === host) && (component.hosts === 'any' || belongsOn(component, each, all))).map((each) => each.name);
  if (hosts.length === 0) throw new UserError(`${component.name} does not run on ${host ?? 'any host'}`);
  return { component, hosts, host, states };
}

function requireHost(host: string, hosts: readonly HostLayout[]): void {
  if (!hosts.some(({ name }) => name === host)) throw new UserError(`no host is called "${host}"; there are ${hosts.map(({ name }) => name).join(', ')}`, 2);
}

async function reports(): Promise<InstanceReport[]> {
  const states = await containerStates();
  const hosts = hostsAmong(states);
  const places = [...new Set(hosts.flatMap((host) => [host.name, ...COMPONENTS.filter((component) => belongsOn(component, host, hosts)).map((component) => containerOf(component, host.name))]))];
  const found = (await Promise.all(places.map(async (place): Promise<InstanceReport[]> =>
    (states.get(place) === 'running' ? JSON.parse(await helper(place, 'processes')) as InstanceReport[] : [])))).flat();
  const lines: InstanceReport[] = [];
  for (const component of COMPONENTS) {
    const own = found.filter(({ component: name }) => name === component.name);
    for (const layout of hosts) {
      const { name: host } = layout;
      // The host counts the restarts of a control plane process that runs in a container of its own.
      const here = own.filter((report) => report.host === host);
      const best = here.find(({ pid }) => pid !== null) ?? here[0];
      const isExpected = belongsOn(component, layout, hosts);
      const health = states.get(containerOf(component, host)) === 'paused' ? 'paused' : (best?.health ?? 'stopped');
      if (component.hosts === 'any') lines.push(...here.filter(({ pid }) => pid !== null));
      else if (best?.pid !== undefined && best.pid !== null || isExpected) lines.push({ component: component.name, host, pid: best?.pid ?? null, pssBytes: best?.pssBytes ?? 0, health, restarts: Math.max(0, ...here.map(({ restarts }) => restarts)) });
    }
  }
  return lines;
}

async function signal(selector: string, name: NodeJS.Signals, done: string): Promise<void> {
  const { component, hosts, host, states } = await select(selector);
  const lines = await Promise.all(hosts.filter((each) => states.get(containerOf(component, each)) === 'running').map(async (each) => {
    const pids = JSON.parse(await helper(containerOf(component, each), 'signal', component.name, name)) as number[];
    return pids.map((pid) => `${component.name}@${each} ${done} (pid ${pid})\n`);
  }));
  if (lines.flat().length === 0) throw new UserError(`${component.name} is not running${host === undefined ? '' : ` on ${host}`}`);
  process.stdout.write(lines.flat().join(''));
}

async function stop(selector: string): Promise<void> {
  const { component, hosts } = await select(selector);
  for (const host of hosts) {
    if (component.supervisedBy === 'static-pod') await stopStaticPod(component, host);
    else await (component.supervisedBy === 'host' ? inContainer(host, 'systemctl', 'stop', component.unit) : helper(host, 'stop', component.name));
    process.stdout.write(`${component.name}@${host} stopped\n`);
  }
}

async function stopStaticPod(component: Component, host: string): Promise<void> {
  await helper(host, 'stop', component.name);
  const deadlineMs = systemClock.nowMs() + STOP_DEADLINE_MS;
  while ((await reports()).some((report) => report.component === component.name && report.host === host && report.pid !== null)) {
    if (systemClock.nowMs() > deadlineMs) throw new UserError(`${component.name}@${host} did not end within ${STOP_DEADLINE_MS / 1000} s; its kubelet ends it: is that running?`);
    await systemClock.sleep(POLL_MS);
  }
}

async function start(selector: string): Promise<void> {
  const { component, hosts, host } = await select(selector);
  for (const each of hosts) {
    await (component.supervisedBy === 'host' ? inContainer(each, 'systemctl', 'start', component.unit) : helper(each, 'start', component.name));
    process.stdout.write(`${component.name}@${each} started\n`);
  }
  if (component.supervisedBy === 'pod') await helper(MASTER.name, 'replace', component.name, host ?? '');
}

async function reboot(host: string): Promise<void> {
  requireHost(host, hostsAmong(await containerStates()));
  const bootId = (): Promise<string> => inContainer(host, 'cat', '/run/kubreak/boot_id');
  const before = await bootId();
  await inContainer(host, 'reboot');
  const deadlineMs = systemClock.nowMs() + REBOOT_DEADLINE_MS;
  for (;;) {
    const isUp = await bootId().then((id) => id !== before && inContainer(host, 'systemctl', 'is-active', 'containerd').then(() => true)).catch(() => false);
    if (isUp) break;
    if (systemClock.nowMs() > deadlineMs) throw new UserError(`${host} did not come back within ${REBOOT_DEADLINE_MS / 1000} s`);
    await systemClock.sleep(POLL_MS);
  }
  process.stdout.write(`${host} rebooted\n`);
}

/** With this terminal as its own; resolves with its exit code. */
function attached(args: readonly string[]): Promise<number> {
  const child = spawn('docker', args, { stdio: 'inherit' });
  process.on('SIGINT', () => undefined); // what is typed is for the command
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

async function logs(selector: string, follow: boolean): Promise<void> {
  const { component, hosts } = await select(selector);
  const containers = hosts.map((host) => containerOf(component, host));
  const tail = `tail -n +1 ${follow ? '-F' : ''}`;
  const newest = `ls -t /var/log/pods/kube-system_*/${component.unit}/*.log /var/log/pods/kube-system_*/${component.processTitle}/*.log 2>/dev/null | head -n 1`;
  await Promise.all(containers.map(async (container) => {
    const script = component.supervisedBy === 'host' ? `exec ${tail} /var/log/${component.unit}.log` : `f=$(${newest}); [ -n "$f" ] && ${tail} "$f" | sed -u -E 's/^[^ ]+ (stdout|stderr) [FP] //'`;
    const child = spawn('docker', component.supervisedBy === 'static-pod' ? ['logs', ...(follow ? ['-f'] : []), container] : ['exec', container, 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'pipe'] });
    const prefix = containers.length > 1 ? `[${container}] ` : '';
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', (line) => process.stdout.write(`${prefix}${line}\n`));
    await new Promise<void>((resolve) => child.once('close', () => resolve()));
  }));
}

const hostsInContainers: HostRunner = {
  hosts: async () => {
    const states = await containerStates();
    return hostsAmong(states).map(({ name }) => name).filter((name) => states.get(name) === 'running');
  },
  command: (host, words) => ['docker', 'exec', '-i', host, ...words],
};

export function addComposeCommands(program: Command): void {
  addImageCommand(program, () => hostsInContainers);
  program.command('status').description('list the processes of the cluster').option('-o, --output <format>', 'json, or table', 'table').action(async ({ output }: { output: string }) => {
    if (output !== 'json' && output !== 'table') throw new UserError(`--output must be json or table, not "${output}"`, 2);
    const processes = await reports();
    process.stdout.write(output === 'json' ? `${JSON.stringify({ processes }, null, 2)}\n` : tableOf(processes));
  });
  program.command('exec').description('run a command on a host (default: a shell)').argument('<host>').argument('[command...]').passThroughOptions().action(async (host: string, words: string[]) => {
    requireHost(host, hostsAmong(await containerStates()));
    if (words[0] === '--') words.shift();
    process.exitCode = await attached(['exec', process.stdin.isTTY ? '-it' : '-i', host, ...(words.length > 0 ? words : ['bash'])]);
  });
  program.command('logs').description('print the log of a component').argument('<component>', SELECTOR).option('-f, --follow', 'go on with what is written from now on')
    .action((selector: string, { follow = false }: { follow?: boolean }) => logs(selector, follow));
  program.command('kill').description('SIGKILL; who supervises it starts it again').argument('<component>', SELECTOR).action((selector: string) => signal(selector, 'SIGKILL', 'killed'));
  program.command('pause').description('freeze the process (SIGSTOP)').argument('<component>', SELECTOR).action((selector: string) => signal(selector, 'SIGSTOP', 'paused'));
  program.command('resume').description('let a frozen process go on (SIGCONT)').argument('<component>', SELECTOR).action((selector: string) => signal(selector, 'SIGCONT', 'resumed'));
  program.command('stop').description('end it and keep it down until it is started').argument('<component>', SELECTOR).action(stop);
  program.command('start').description('start what was stopped').argument('<component>', SELECTOR).action(start);
  program.command('reboot').description('reboot a host').argument('<host>').action(reboot);
}
