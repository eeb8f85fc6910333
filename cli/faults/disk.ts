// disk COMPONENT[@HOST] --full|--slow DURATION|--fail-fsync: what the component's own writes meet on its disk. A file in the
// component's data folder tells it (lib/service/disk-fault.ts), and whoever is started there later.
import { FlagError, parseDurationMs } from '#lib/service/flags.ts';
import { DISK_FAULT_FILE, diskFaultText, parseDiskFault, type DiskFault } from '#lib/service/disk-fault.ts';
import { belongsOn } from '../cluster-layout.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { UserError } from '../user-error.ts';
import type { FaultKind, FaultWords } from './fault.ts';
import { hasHost, requireNoOther } from './one-at-a-time.ts';
import { parseSelector } from '../selector.ts';

/** Whose disk it is, and where. The others keep nothing. */
export const DATA_FOLDERS: Readonly<Record<string, string>> = { etcd: '/var/lib/etcd', kubelet: '/var/lib/kubelet', 'container-runtime': '/var/lib/containerd' };

interface DiskPlan {
  readonly component: string;
  readonly hosts: readonly string[];
  readonly fault: DiskFault;
}

const fileOf = (component: string): string => `${DATA_FOLDERS[component] ?? ''}/${DISK_FAULT_FILE}`;

const NOT_SYNCED = 'kubelet does not sync what it writes: --slow and --fail-fsync are for etcd and container-runtime';

/** Throws UserError for words that are no such command. */
export function parseDisk(hosts: ClusterAccess['hosts'], { args, options }: FaultWords): DiskPlan {
  const [selector = '', ...more] = args;
  if (selector === '' || more.length > 0) throw new UserError('disk takes COMPONENT or COMPONENT@HOST', 2);
  const { component, host } = parseSelector({ hosts }, selector);
  const { name } = component;
  if (DATA_FOLDERS[name] === undefined) throw new UserError(`${name} keeps nothing on a disk; those that do are ${Object.keys(DATA_FOLDERS).join(', ')}`, 2);
  const chosen = (['full', 'slow', 'fail-fsync'] as const).filter((option) => options[option] !== undefined && options[option] !== false);
  const [kind] = chosen;
  if (kind === undefined || chosen.length > 1) throw new UserError('disk needs one of --full, --slow DURATION and --fail-fsync', 2);
  if (kind !== 'full' && name === 'kubelet') throw new UserError(NOT_SYNCED, 2);
  const places = hosts.filter((each) => (host === undefined || each.name === host) && belongsOn(component, each, hosts)).map((each) => each.name);
  if (places.length === 0) throw new UserError(`${name} does not run on any host`);
  return { component: name, hosts: places, fault: kind === 'slow' ? { kind, delayMs: durationMs(String(options[kind])) } : { kind } };
}

function durationMs(text: string): number {
  try {
    const ms = parseDurationMs(text);
    if (ms > 0) return ms;
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
  }
  throw new UserError(`--slow must be a duration such as 200ms or 1.5s, not "${text}"`, 2);
}

const each = async (cluster: ClusterAccess, { hosts, component }: DiskPlan, text: string | undefined): Promise<void> => {
  for (const host of hosts) if (hasHost(cluster, host)) await cluster.writeFile(host, fileOf(component), text);
};

export const diskFault: FaultKind<DiskPlan> = {
  name: 'disk',
  description: `fill or break the disk below a component (${Object.keys(DATA_FOLDERS).join(', ')}); COMPONENT or COMPONENT@HOST`,
  arguments: '<component>',
  options: [
    { flags: '--full', description: 'no space is left on it' },
    { flags: '--slow <duration>', description: 'each sync takes so much longer' },
    { flags: '--fail-fsync', description: 'each sync fails with an I/O error' },
  ],
  async plan(cluster, words) {
    const plan = parseDisk(cluster.hosts, words);
    requireNoOther<DiskPlan>(cluster, 'disk', (other) => other.component === plan.component && other.hosts.some((one) => plan.hosts.includes(one)));
    return plan;
  },
  async apply(cluster, plan) {
    await each(cluster, plan, diskFaultText(plan.fault));
    return plan.hosts.map((host) => `${plan.component}@${host}`).join(', ');
  },
  undo: (cluster, plan) => each(cluster, plan, undefined),
  async isInForce(cluster, { component, hosts, fault }) {
    const found = await Promise.all(hosts.filter((host) => hasHost(cluster, host)).map((host) => cluster.readFile(host, fileOf(component))));
    return found.some((text) => text !== undefined && parseDiskFault(text)?.kind === fault.kind);
  },
};
