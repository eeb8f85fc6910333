// netem HOST, netem A B: a slow, lossy, narrow network around a host or between two. By the kernel's netem where it has it; where
// not, loss is done by nft and delay by relays on the ports by which the components reach each other.
import type { ClusterAccess } from '../../access/cluster-access.ts';
import { API_PORT } from '../../cluster-layout.ts';
import { UserError } from '../../user-error.ts';
import { FlagError, parseDurationMs } from '#lib/service/flags.ts';
import { allInForce, type FaultKind, type FaultWords } from '../fault.ts';
import { addressOf, deafTo, deafToAll, wireNameOf, type WireName } from './host-cuts.ts';
import { endHelpers, helpersAreThere, startHelpers, type HelpersPlan, type HostHelper } from './helpers.ts';
import { helperTableOf, putTables, removeTables, tableOf, tablesAreThere, type HostTable, type TablesPlan } from './nft-tables.ts';
import { handleOf, idOfHandle, NETEM_PROBE, TC_IN_USE, tcCheck, tcRemoval, tcScript, type HostQueue, type Slowness } from './tc.ts';

interface NetemPlan extends TablesPlan, HelpersPlan {
  readonly queues: readonly HostQueue[];
  /** What the queues do. */
  readonly slowness: Slowness;
  readonly handle: string;
  /** Connections that are there already and go past the relays: they are broken off, so that they come again. */
  readonly breaks: readonly Break[];
  readonly note?: string;
}

interface Break {
  readonly host: string;
  /** Absent: whoever. */
  readonly peers?: readonly string[];
}

/** Ports of hosts by which components reach each other: API server, etcd, its peers, kubelet. */
const COMPONENT_PORTS = [API_PORT, 2379, 2380, 10250] as const;

export const netemFault: FaultKind<NetemPlan> = {
  name: 'netem',
  description: 'make the network of a host, or between two (groups of) hosts, slow, lossy or narrow; each way',
  arguments: '<host> [other]',
  options: [
    { flags: '--delay <duration>', description: 'each packet takes so much longer, each way: 100ms' },
    { flags: '--jitter <duration>', description: '... give or take so much' },
    { flags: '--loss <percent>', description: 'so many packets are lost: 5%' },
    { flags: '--duplicate <percent>', description: 'so many packets come twice' },
    { flags: '--corrupt <percent>', description: 'so many packets have a wrong bit' },
    { flags: '--rate <rate>', description: 'most that a host sends: 512kbit, 8mbit' },
  ],
  async plan(cluster, words, id) {
    const slowness = parseSlowness(words);
    const sides = parseSides(cluster, words);
    const hasNetem = (await cluster.inNetworkOf(sides.left[0] ?? '', NETEM_PROBE)).code === 0;
    const table = tableOf(id);
    const wires = new Map(await Promise.all([...sides.left, ...(sides.right ?? [])].map(async (name): Promise<[string, WireName]> => [name, await wireNameOf(cluster, name)])));
    // Around a host: the others as far as they are there.
    const up = sides.right ? cluster.hosts : (await Promise.all(cluster.hosts.map(async (host) => (sides.left.includes(host.name) || (await cluster.isUp(host.name)) ? [host] : [])))).flat();
    const those = { ...cluster, hosts: up };
    const plan: NetemPlan = hasNetem ? withNetem(those, sides, wires, slowness, { id, table }) : withoutNetem(those, sides, wires, slowness, { id, table });
    await requireFreeQueues(cluster, plan);
    return plan;
  },
  async apply(cluster, plan) {
    await putTables(cluster, plan);
    for (const queue of plan.queues) await sh(cluster, queue.host, tcScript(queue, plan.handle, plan.slowness));
    await startHelpers(cluster, plan);
    for (const each of plan.breaks) await sh(cluster, each.host, breakScript(each, addressOf(cluster, each.host)));
    return plan.note;
  },
  async undo(cluster, plan) {
    await removeTables(cluster, plan);
    for (const { host } of plan.queues) if (cluster.hosts.some(({ name }) => name === host)) await sh(cluster, host, tcRemoval(plan.handle), true);
    await endHelpers(cluster, plan);
  },
  async isInForce(cluster, plan) {
    const queues = await Promise.all(plan.queues.map(async ({ host }) => (await cluster.inNetworkOf(host, ['sh', '-c', tcCheck(plan.handle)])).code === 0));
    return allInForce([...queues, ...(plan.tables.length > 0 ? [await tablesAreThere(cluster, plan)] : []), ...(await helpersAreThere(cluster, plan))]);
  },
};

/** Two groups of hosts; without the second: those of the first and everything else. */
export interface Sides {
  readonly left: readonly string[];
  readonly right?: readonly string[];
}

function parseSides(cluster: ClusterAccess, { args }: FaultWords): Sides {
  const [left, right, ...more] = args;
  if (left === undefined || more.length > 0) throw new UserError('netem takes HOST, or A and B (w1-k8s,w2-k8s m-k8s)', 2);
  const sides = { left: left.split(','), ...(right !== undefined && { right: right.split(',') }) };
  for (const name of [...sides.left, ...(sides.right ?? [])]) addressOf(cluster, name);
  const both = sides.left.find((name) => sides.right?.includes(name));
  if (both !== undefined) throw new UserError(`${both} is on both sides`, 2);
  return sides;
}

/** Throws UserError (exit code 2) for what is no percentage, duration or rate. */
export function parseSlowness({ options }: FaultWords): Slowness {
  const text = (name: string): string | undefined => (typeof options[name] === 'string' ? options[name] : undefined);
  const [delayMs, jitterMs] = [duration('delay', text('delay')), duration('jitter', text('jitter'))];
  const [loss, duplicate, corrupt] = ['loss', 'duplicate', 'corrupt'].map((name) => percent(name, text(name)));
  const rate = text('rate')?.toLowerCase();
  if (rate !== undefined && !/^[1-9]\d*(bit|kbit|mbit|gbit)$/.test(rate)) throw new UserError(`--rate must be a rate such as 512kbit or 8mbit, not "${rate}"`, 2);
  if (jitterMs !== undefined && delayMs === undefined) throw new UserError('--jitter is that of a --delay', 2);
  const slowness: Slowness = {
    ...(delayMs !== undefined && { delayMs }), ...(jitterMs !== undefined && { jitterMs }), ...(loss !== undefined && { loss }),
    ...(duplicate !== undefined && { duplicate }), ...(corrupt !== undefined && { corrupt }), ...(rate !== undefined && { rate }),
  };
  if (Object.keys(slowness).length === 0) throw new UserError('netem takes at least one of --delay, --loss, --duplicate, --corrupt, --rate', 2);
  return slowness;
}

function duration(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    const ms = parseDurationMs(text);
    if (ms >= 0) return ms;
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
  }
  throw new UserError(`--${name} must be a duration such as 100ms, not "${text}"`, 2);
}

function percent(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = /^(\d+(?:\.\d+)?)%?$/.exec(text)?.[1];
  if (value === undefined || Number(value) > 100) throw new UserError(`--${name} must be a percentage such as 5% or 0.1, not "${text}"`, 2);
  return Number(value);
}

interface Names {
  readonly id: string;
  readonly table: string;
}

/** Who sends, and to whom: all, or those. Each direction of the network between the sides is one. */
function sendings(cluster: ClusterAccess, { left, right }: Sides): { host: string; to?: readonly string[] }[] {
  if (right) return [...left.map((host) => ({ host, to: right })), ...right.map((host) => ({ host, to: left }))];
  return [...left.map((host) => ({ host })), ...cluster.hosts.filter(({ name }) => !left.includes(name)).map(({ name }) => ({ host: name, to: left }))];
}

function queuesOf(cluster: ClusterAccess, sides: Sides, wires: ReadonlyMap<string, WireName>): HostQueue[] {
  return sendings(cluster, sides).map(({ host, to }) => ({
    host, address: addressOf(cluster, host), ...(to && { toMacs: to.flatMap((name) => wires.get(name)?.mac ?? []) }),
  }));
}

function withNetem(cluster: ClusterAccess, sides: Sides, wires: ReadonlyMap<string, WireName>, slowness: Slowness, { id, table }: Names): NetemPlan {
  return { id, table, tables: [], helpers: [], queues: queuesOf(cluster, sides, wires), slowness, handle: handleOf(id), breaks: [] };
}

function withoutNetem(cluster: ClusterAccess, sides: Sides, wires: ReadonlyMap<string, WireName>, slowness: Slowness, { id, table }: Names): NetemPlan {
  const impossible = (['duplicate', 'corrupt'] as const).filter((name) => slowness[name] !== undefined);
  if (impossible.length > 0) throw new UserError(`${impossible.map((name) => `--${name}`).join(' and ')} cannot be done on this machine: its kernel has no netem (sch_netem); --delay, --loss and --rate can`);
  const { delayMs, jitterMs = 0, loss, rate } = slowness;
  const relays = delayMs === undefined ? [] : receivers(cluster, sides);
  return {
    id, table,
    tables: loss === undefined ? [] : lossTables(cluster, sides, wires, loss),
    queues: rate === undefined ? [] : queuesOf(cluster, sides, wires),
    slowness: { ...(rate !== undefined && { rate }) }, handle: handleOf(id),
    helpers: relays.map(({ host, peers }) => relayHelper(helperTableOf(id), { host, address: addressOf(cluster, host), ...(peers && { peers }) }, { delayMs: delayMs ?? 0, jitterMs })),
    breaks: relays,
    ...(delayMs !== undefined && { note: `the kernel has no netem, so only connections to the ports ${COMPONENT_PORTS.join(', ')} of hosts are delayed, by a relay; pings and pods' own traffic are not` }),
  };
}

function lossTables(cluster: ClusterAccess, { left, right }: Sides, wires: ReadonlyMap<string, WireName>, loss: number): HostTable[] {
  const wiresOf = (names: readonly string[]): WireName[] => names.flatMap((name) => wires.get(name) ?? []);
  if (right) return [...left.map((host) => ({ host, rules: deafTo(wiresOf(right), loss) })), ...right.map((host) => ({ host, rules: deafTo(wiresOf(left), loss) }))];
  const others = cluster.hosts.filter(({ name }) => !left.includes(name));
  return [...left.map((host) => ({ host, rules: deafToAll(loss) })), ...others.map(({ name }) => ({ host: name, rules: deafTo(wiresOf(left), loss), isAside: true as const }))];
}

/** Who is connected to from the other side. */
function receivers(cluster: ClusterAccess, { left, right }: Sides): Break[] {
  const addresses = (names: readonly string[]): string[] => names.map((name) => addressOf(cluster, name));
  if (right) return [...left.map((host) => ({ host, peers: addresses(right) })), ...right.map((host) => ({ host, peers: addresses(left) }))];
  return [...left.map((host) => ({ host })), ...cluster.hosts.filter(({ name }) => !left.includes(name)).map(({ name }) => ({ host: name, peers: addresses(left) }))];
}

/** Just before kube-proxy's. */
const BEFORE_SERVICES = -110;

export function relayHelper(table: string, { host, address, peers }: Break & { readonly address: string }, { delayMs, jitterMs }: { readonly delayMs: number; readonly jitterMs: number }): HostHelper {
  const from = peers === undefined ? 'iifname != { "lo", "cali*" }' : `ip saddr { ${peers.join(', ')} }`;
  return {
    host,
    spec: {
      address, table,
      services: COMPONENT_PORTS.map((toPort) => ({ kind: 'relay', toPort, delayMs, jitterMs })),
      rules: [
        `add table inet ${table} { flags owner; }`,
        `add chain inet ${table} arrival { type nat hook prerouting priority ${BEFORE_SERVICES}; }`,
        ...COMPONENT_PORTS.map((port, index) => `add rule inet ${table} arrival ${from} ip daddr ${address} tcp dport ${port} dnat ip to ${address}:$${index}`),
      ],
    },
  };
}

/** ss(8) has the kernel end them with a reset to both ends, where it can; it prints those. */
export function breakScript({ peers }: Pick<Break, 'peers'>, address: string): string {
  const ports = COMPONENT_PORTS.map((port) => `sport = :${port}`).join(' or ');
  const from = peers === undefined ? `not dst 127.0.0.0/8 and not dst ${address}` : `( ${peers.map((peer) => `dst ${peer}`).join(' or ')} )`;
  return `ss -K -tnH state established '( ${ports} ) and ${from}' >/dev/null`;
}

/** Throws UserError: a device has one queue at its root. */
async function requireFreeQueues(cluster: ClusterAccess, { queues }: NetemPlan): Promise<void> {
  for (const { host } of queues) {
    const { stdout } = await cluster.inNetworkOf(host, ['sh', '-c', TC_IN_USE]);
    if (stdout.trim() !== '') throw new UserError(`${host} sends through the queue of another netem, ${idOfHandle(stdout.trim())}: heal that first`);
  }
}

/** In the network of the host. `isUndoing`: what has ended with its network is as good as undone. */
async function sh(cluster: ClusterAccess, host: string, script: string, isUndoing = false): Promise<void> {
  const { code, stderr } = await cluster.inNetworkOf(host, ['sh', '-c', script]);
  if (code !== 0 && !(isUndoing && /is not running|No such container/.test(stderr))) throw new UserError(`${host}: ${stderr.trim() || `exit code ${code}`}`);
}
