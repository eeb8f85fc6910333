// A cluster of docker-compose.yml: through docker, from the machine.
import { writeFileSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { systemClock } from '#lib/environment/clock.ts';
import { CLOCK_FILE, CLOCK_FOLDER, clockVariables, FAKETIME_PATHS } from '#lib/service/shifted-clock.ts';
import { belongsOn, COMPONENTS, MASTER, type Component, type HostLayout } from '../cluster-layout.ts';
import { HA_MASTERS, HA_PROFILE, hostsOf } from '../compose/host/layout.ts';
import type { Limited } from '../local/host-limits.ts';
import type { InstanceReport } from '../local/instances.ts';
import { hostNamed } from '../host-named.ts';
import { splitSelector } from '../selector.ts';
import { UserError } from '../user-error.ts';
import type { ClusterAccess, CommandOptions, CommandResult, Touched } from './cluster-access.ts';
import { runCommand } from './run-command.ts';

const STOP_DEADLINE_MS = 45_000;
const BOOT_DEADLINE_MS = 60_000;
const POLL_MS = 200;
/** While it is there, entrypoint.sh does not boot the host. */
const OFF_FILE = '/var/lib/kubreak/off';
/** While that is there, containers of the host's control plane start nothing on their own. */
const CONTROL_PLANE_OFF_FILE = '/var/lib/kubreak/control-plane/off';

/** Its network card, which outlives the boot, has no power either; the next boot switches it on. */
const POWER_OFF = `touch ${OFF_FILE}
[ ! -d "$(dirname ${CONTROL_PLANE_OFF_FILE})" ] || touch ${CONTROL_PLANE_OFF_FILE}
pkill -KILL -P "$(pgrep -o -x unshare)" || :
device=$(ip -o -4 address show to "$1" | awk '{print $2}')
[ -z "$device" ] || ip link set "$device" down`;

/** Exit code of a command on a host without power. */
const IS_DOWN = 97;

/** Words before a command on a host, which has to be up; while the clock of the host is shifted, the command sees it so. */
export const IN_HOST_TIME: readonly string[] = ['sh', '-c', `[ -S /run/kubreak/node.sock ] || { echo "the host is down or still booting" >&2; exit ${IS_DOWN}; }
if [ -e ${CLOCK_FOLDER}/${CLOCK_FILE} ]; then
  for library in ${FAKETIME_PATHS.join(' ')}; do [ ! -e "$library" ] || break; done
  exec env ${Object.entries(clockVariables('"$library"')).map(([name, value]) => `${name}=${value}`).join(' ')} "$@"
fi
exec "$@"`, 'sh'];

const docker = (words: readonly string[], options?: CommandOptions): Promise<CommandResult> => runCommand(['docker', ...words], options);

async function dockerOk(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await docker(words);
  if (code !== 0) throw new UserError(stderr.trim().replace(/^Error response from daemon: /, '') || `docker ${words.join(' ')} failed`);
  return stdout;
}

const inContainer = (container: string, ...words: string[]): Promise<string> => dockerOk('exec', container, ...words);
const helper = (container: string, ...words: string[]): Promise<string> => inContainer(container, 'node', '/opt/kubreak/dist/compose-host.js', ...words);

/** Container name to state: running, paused, exited ... Throws UserError (exit code 3) when there is no cluster. */
export async function containerStates(): Promise<ReadonlyMap<string, string>> {
  const stdout = await dockerOk('ps', '-a', '--filter', 'label=com.docker.compose.service', '--format', '{{.Names}} {{.State}}');
  const states = new Map(stdout.trim().split('\n').map((line) => line.split(' ') as [string, string]));
  if (!states.has(MASTER.name)) throw new UserError('there is no cluster in containers; start one with: docker compose up -d', 3);
  return states;
}

/** With the profile `ha` there are more masters; the network may be another one. */
export async function hostsAmong(states: ReadonlyMap<string, string>): Promise<readonly HostLayout[]> {
  const environment = JSON.parse(await dockerOk('inspect', '--format', '{{json .Config.Env}}', MASTER.name)) as string[];
  const subnet = environment.find((line) => line.startsWith('K8S_SUBNET='))?.slice('K8S_SUBNET='.length) ?? '';
  const { hosts } = hostsOf(subnet, states.has(`m${HA_MASTERS}-k8s`) ? HA_PROFILE : '');
  return hosts;
}

/** Where the process of a component on a host runs: that of a control plane in a container of its own, `etcd` or `m2-etcd`; others on the host itself. */
export function containerOf({ name, supervisedBy }: Component, host: string): string {
  if (supervisedBy !== 'static-pod') return host;
  return host === MASTER.name ? name : `${host.replace(/-k8s$/, '')}-${name}`;
}

export interface Selected {
  readonly component: Component;
  /** Those on which it may run, or the one that was named. */
  readonly hosts: readonly string[];
  readonly host: string | undefined;
  readonly states: ReadonlyMap<string, string>;
}

export async function selectContainers(selector: string): Promise<Selected> {
  const { component, host } = splitSelector(selector);
  const states = await containerStates();
  const all = await hostsAmong(states);
  if (host !== undefined) hostNamed(host, all);
  const hosts = all.filter((each) => (host === undefined || each.name === host) && (component.hosts === 'any' || belongsOn(component, each, all))).map((each) => each.name);
  if (hosts.length === 0) throw new UserError(`${component.name} does not run on ${host ?? 'any host'}`);
  return { component, hosts, host, states };
}

export async function reports(only?: string): Promise<InstanceReport[]> {
  const states = await containerStates();
  const hosts = await hostsAmong(states);
  const components = COMPONENTS.filter(({ name }) => only === undefined || name === only);
  // The host as well: it counts the restarts of a control plane process that runs in a container of its own.
  const places = [...new Set(hosts.flatMap((host) => components.filter((component) => component.hosts === 'any' || belongsOn(component, host, hosts)).flatMap((component) => [host.name, containerOf(component, host.name)])))];
  const found = (await Promise.all(places.map(async (place): Promise<InstanceReport[]> =>
    (states.get(place) === 'running' ? JSON.parse(await helper(place, 'processes')) as InstanceReport[] : [])))).flat();
  const lines: InstanceReport[] = [];
  for (const component of components) {
    const own = found.filter(({ component: name }) => name === component.name);
    for (const layout of hosts) {
      const { name: host } = layout;
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

async function signal(selector: string, name: NodeJS.Signals): Promise<Touched[]> {
  const { component, hosts, host, states } = await selectContainers(selector);
  const touched = await Promise.all(hosts.filter((each) => states.get(containerOf(component, each)) === 'running').map(async (each): Promise<Touched[]> => {
    const pids = JSON.parse(await helper(containerOf(component, each), 'signal', component.name, name)) as number[];
    return pids.map((pid) => ({ component: component.name, host: each, pid }));
  }));
  if (touched.flat().length === 0) throw new UserError(`${component.name} is not running${host === undefined ? '' : ` on ${host}`}`);
  return touched.flat();
}

async function stop(selector: string): Promise<Touched[]> {
  const { component, hosts } = await selectContainers(selector);
  for (const host of hosts) {
    if (component.supervisedBy === 'static-pod') await stopStaticPod(component, host);
    else await (component.supervisedBy === 'host' ? inContainer(host, 'systemctl', 'stop', component.unit) : helper(host, 'stop', component.name));
  }
  return hosts.map((host) => ({ component: component.name, host }));
}

async function stopStaticPod(component: Component, host: string): Promise<void> {
  await helper(host, 'stop', component.name);
  const deadlineMs = systemClock.nowMs() + STOP_DEADLINE_MS;
  while ((await reports(component.name)).some((report) => report.host === host && report.pid !== null)) {
    if (systemClock.nowMs() > deadlineMs) throw new UserError(`${component.name}@${host} did not end within ${STOP_DEADLINE_MS / 1000} s; its kubelet ends it: is that running?`);
    await systemClock.sleep(POLL_MS);
  }
}

async function start(selector: string): Promise<Touched[]> {
  const { component, hosts, host } = await selectContainers(selector);
  for (const each of hosts) {
    await (component.supervisedBy === 'host' ? inContainer(each, 'systemctl', 'start', component.unit) : helper(each, 'start', component.name));
  }
  if (component.supervisedBy === 'pod') await helper(MASTER.name, 'replace', component.name, host ?? '');
  return hosts.map((each) => ({ component: component.name, host: each }));
}

const CPU_PERIOD_US = 100_000;
/** `docker update` cannot take a limit of memory away, only raise it. */
const NO_LIMIT_BYTES = 2 ** 53;

/** Of `docker update`. */
const limitOptions = (resource: Limited, amount: number | undefined): string[] => (resource === 'cpu'
  ? ['--cpu-period', String(CPU_PERIOD_US), '--cpu-quota', String(amount === undefined ? -1 : Math.max(1_000, Math.round(amount * CPU_PERIOD_US)))]
  : ['--memory', String(amount ?? NO_LIMIT_BYTES), '--memory-swap', '-1']);

/** The host, and the processes of the control plane that run beside it. */
const containersOf = (host: string, hosts: readonly HostLayout[]): string[] => {
  const layout = hosts.filter(({ name }) => name === host);
  return [host, ...COMPONENTS.filter((component) => component.supervisedBy === 'static-pod' && layout.some((each) => belongsOn(component, each, hosts))).map((component) => containerOf(component, host))];
};

const isUp = async (host: string): Promise<boolean> => (await docker(['exec', host, 'test', '-S', '/run/kubreak/node.sock'])).code === 0;

const bootId = (host: string): Promise<string> => inContainer(host, 'cat', '/run/kubreak/boot_id');

async function untilUp(host: string, before: string): Promise<void> {
  const deadlineMs = systemClock.nowMs() + BOOT_DEADLINE_MS;
  for (;;) {
    const isUp = await bootId(host).then((id) => id !== before && inContainer(host, 'systemctl', 'is-active', 'containerd').then(() => true)).catch(() => false);
    if (isUp) return;
    if (systemClock.nowMs() > deadlineMs) throw new UserError(`${host} did not come back within ${BOOT_DEADLINE_MS / 1000} s`);
    await systemClock.sleep(POLL_MS);
  }
}

/** `folder`: where files on this machine go that concern the cluster. Throws UserError (exit code 3) when there is no cluster. */
export async function composeAccess(folder: string): Promise<ClusterAccess> {
  const hosts = await hostsAmong(await containerStates());
  const path = resolve(folder);
  const [runId = ''] = (await dockerOk('inspect', '--format', '{{.Id}} {{.State.StartedAt}}', MASTER.name)).trim().split(' ');
  return {
    mode: 'compose',
    hosts,
    folder: path,
    runId,
    async kubeconfig() {
      const file = join(path, 'compose-admin.conf');
      mkdirSync(path, { recursive: true });
      writeFileSync(file, await inContainer(MASTER.name, 'kubeconfig'), { mode: 0o600 });
      return file;
    },
    status: reports,
    signal,
    stop,
    start,
    async reboot(host) {
      hostNamed(host, hosts);
      const before = await bootId(host);
      await inContainer(host, 'reboot');
      await untilUp(host, before);
    },
    async powerOff(host) {
      hostNamed(host, hosts);
      const address = hosts.find(({ name }) => name === host)?.address ?? '';
      await inContainer(host, 'sh', '-c', POWER_OFF, 'sh', address);
    },
    async powerOn(host) {
      hostNamed(host, hosts);
      const wasUp = await isUp(host);
      await inContainer(host, 'rm', '-f', OFF_FILE, CONTROL_PLANE_OFF_FILE);
      if (!wasUp) await untilUp(host, '');
    },
    isUp,
    async setLimit(host, resource, amount) {
      hostNamed(host, hosts);
      await dockerOk('update', ...limitOptions(resource, amount), ...containersOf(host, hosts));
    },
    async limitOf(host, resource) {
      const [quota = '', memory = ''] = (await dockerOk('inspect', '--format', '{{.HostConfig.CpuQuota}} {{.HostConfig.Memory}}', host)).trim().split(' ');
      const amount = resource === 'cpu' ? Number(quota) / CPU_PERIOD_US : Number(memory);
      return amount > 0 && amount < NO_LIMIT_BYTES ? amount : undefined;
    },
    async writeFile(host, path, text) {
      hostNamed(host, hosts);
      const script = text === undefined ? 'rm -f "$1"' : 'mkdir -p "$(dirname "$1")" && cat >"$1.new" && mv "$1.new" "$1"';
      const { code, stderr } = await docker(['exec', '-i', host, 'sh', '-c', script, 'sh', path], { input: text ?? '' });
      if (code !== 0) throw new UserError(`${host}: ${stderr.trim()}`);
    },
    async readFile(host, path) {
      const { code, stdout } = await docker(['exec', host, 'cat', path]);
      return code === 0 ? stdout : undefined;
    },
    async onHost(host, words, options) {
      hostNamed(host, hosts);
      const result = await docker(['exec', '-i', host, ...IN_HOST_TIME, ...words], options);
      if (result.code === IS_DOWN && result.stderr.startsWith('the host is down')) throw new UserError(`${host} is down or still booting`);
      return result;
    },
    async inNetworkOf(host, words, options) {
      hostNamed(host, hosts);
      return docker(['exec', '-i', host, ...words], options);
    },
  };
}
