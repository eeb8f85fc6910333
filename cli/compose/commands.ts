// The commands of kubreak for a cluster of docker-compose.yml (`kubreak --compose ...`): through docker, from the machine.
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { systemClock } from '#lib/environment/clock.ts';
import { COMPONENTS, HOSTS, MASTER, type Component } from '../cluster-layout.ts';
import { addImageCommand, type HostRunner } from '../commands/image.ts';
import { tableOf } from '../commands/status.ts';
import type { InstanceReport } from '../local/instances.ts';
import { UserError } from '../user-error.ts';
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

/** Where the processes of a component run: a control plane process in a container of its own name, all others on hosts. */
function containersOf(component: Component, host?: string): string[] {
  if (component.supervisedBy === 'static-pod') return [component.name];
  return HOSTS.filter(({ name, role }) => (host === undefined || name === host) && (component.hosts !== 'control-plane' || role === 'control-plane')).map(({ name }) => name);
}

function parseSelector(selector: string): { component: Component; host: string | undefined } {
  const [name = '', host, ...more] = selector.split('@');
  if (more.length > 0) throw new UserError(`"${selector}" is not ${SELECTOR}`, 2);
  const component = componentNamed(name);
  if (host !== undefined) requireHost(host);
  if (containersOf(component, host).length === 0 || (component.supervisedBy === 'static-pod' && host !== undefined && host !== MASTER.name)) throw new UserError(`${component.name} does not run on ${host ?? 'any host'}`);
  return { component, host };
}

function requireHost(host: string): void {
  if (!HOSTS.some(({ name }) => name === host)) throw new UserError(`no host is called "${host}"; there are ${HOSTS.map(({ name }) => name).join(', ')}`, 2);
}

async function reports(): Promise<InstanceReport[]> {
  const states = await containerStates();
  const places = [...HOSTS.map(({ name }) => name), ...COMPONENTS.filter(({ supervisedBy }) => supervisedBy === 'static-pod').map(({ name }) => name)];
  const found = (await Promise.all(places.map(async (place): Promise<InstanceReport[]> =>
    (states.get(place) === 'running' ? JSON.parse(await helper(place, 'processes')) as InstanceReport[] : [])))).flat();
  const lines: InstanceReport[] = [];
  for (const component of COMPONENTS) {
    const own = found.filter(({ component: name }) => name === component.name);
    for (const { name: host, role } of HOSTS) {
      // m-k8s counts the restarts of a control plane process that runs in a container of its own.
      const here = own.filter((report) => report.host === host);
      const best = here.find(({ pid }) => pid !== null) ?? here[0];
      const isExpected = component.hosts === 'every' || (component.hosts === 'control-plane' && role === 'control-plane');
      const health = states.get(component.supervisedBy === 'static-pod' ? component.name : host) === 'paused' ? 'paused' : (best?.health ?? 'stopped');
      if (component.hosts === 'any') lines.push(...here.filter(({ pid }) => pid !== null));
      else if (best || isExpected) lines.push({ component: component.name, host, pid: best?.pid ?? null, pssBytes: best?.pssBytes ?? 0, health, restarts: Math.max(0, ...here.map(({ restarts }) => restarts)) });
    }
  }
  return lines;
}

async function signal(selector: string, name: NodeJS.Signals, done: string): Promise<void> {
  const { component, host } = parseSelector(selector);
  const states = await containerStates();
  const lines = await Promise.all(containersOf(component, host).filter((container) => states.get(container) === 'running').map(async (container) => {
    const pids = JSON.parse(await helper(container, 'signal', component.name, name)) as number[];
    const place = component.supervisedBy === 'static-pod' ? MASTER.name : container;
    return pids.map((pid) => `${component.name}@${place} ${done} (pid ${pid})\n`);
  }));
  if (lines.flat().length === 0) throw new UserError(`${component.name} is not running${host === undefined ? '' : ` on ${host}`}`);
  process.stdout.write(lines.flat().join(''));
}

async function stop(selector: string): Promise<void> {
  const { component, host } = parseSelector(selector);
  await containerStates();
  if (component.supervisedBy === 'static-pod') {
    await helper(MASTER.name, 'stop', component.name);
    const deadlineMs = systemClock.nowMs() + STOP_DEADLINE_MS;
    while ((await reports()).some((report) => report.component === component.name && report.pid !== null)) {
      if (systemClock.nowMs() > deadlineMs) throw new UserError(`${component.name}@${MASTER.name} did not end within ${STOP_DEADLINE_MS / 1000} s; its kubelet ends it: is that running?`);
      await systemClock.sleep(POLL_MS);
    }
    process.stdout.write(`${component.name}@${MASTER.name} stopped\n`);
    return;
  }
  for (const container of containersOf(component, host)) {
    await (component.supervisedBy === 'host' ? inContainer(container, 'systemctl', 'stop', component.unit) : helper(container, 'stop', component.name));
    process.stdout.write(`${component.name}@${container} stopped\n`);
  }
}

async function start(selector: string): Promise<void> {
  const { component, host } = parseSelector(selector);
  await containerStates();
  for (const container of component.supervisedBy === 'static-pod' ? [MASTER.name] : containersOf(component, host)) {
    await (component.supervisedBy === 'host' ? inContainer(container, 'systemctl', 'start', component.unit) : helper(container, 'start', component.name));
    process.stdout.write(`${component.name}@${container} started\n`);
  }
  if (component.supervisedBy === 'pod') await helper(MASTER.name, 'replace', component.name, host ?? '');
}

async function reboot(host: string): Promise<void> {
  requireHost(host);
  await containerStates();
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
  const { component, host } = parseSelector(selector);
  await containerStates();
  const containers = containersOf(component, host);
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
    return HOSTS.map(({ name }) => name).filter((name) => states.get(name) === 'running');
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
    requireHost(host);
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
