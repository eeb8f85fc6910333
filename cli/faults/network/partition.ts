// partition A B: hosts or components that no longer reach each other.
import type { ClusterAccess } from '../../access/cluster-access.ts';
import { mastersOf } from '../../cluster-layout.ts';
import { UserError } from '../../user-error.ts';
import type { FaultKind } from '../fault.ts';
import { connectionsOf, cutRules, linksBetween, type Connection, type Link } from './component-cuts.ts';
import { deafTo, wireNameOf } from './host-cuts.ts';
import { isWithoutNetwork, putTables, removeTables, tableOf, tablesAreThere, type HostTable, type TablesPlan } from './nft-tables.ts';
import { placesOf, usesBalancer } from './places.ts';

interface PartitionPlan extends TablesPlan {
  readonly note?: string;
}

export const partitionFault: FaultKind<PartitionPlan> = {
  name: 'partition',
  description: 'cut two off from each other: hosts (w1-k8s,w2-k8s m-k8s) or components (kubelet@w1-k8s apiserver); connections hang',
  arguments: '<a> <b>',
  options: [{ flags: '--one-way', description: 'only what A sends does not reach B' }],
  async plan(cluster, { args, options }, id) {
    const [left = '', right = '', ...more] = args;
    if (right === '' || more.length > 0) throw new UserError('partition takes A and B: hosts (w1-k8s,w2-k8s) or components (COMPONENT or COMPONENT@HOST)', 2);
    const isOneWay = options['one-way'] === true;
    const sides = sidesOf(cluster, left, right);
    const table = tableOf(id);
    if (sides.are === 'hosts') return { table, tables: await hostTables(cluster, sides.left, sides.right, isOneWay) };
    const links = await linksOf(cluster, sides.left, sides.right, isOneWay);
    return { table, ...componentTables(links, 'counter drop'), ...noteOf(links) };
  },
  async apply(cluster, plan) {
    await putTables(cluster, plan);
    return plan.note;
  },
  undo: removeTables,
  isInForce: tablesAreThere,
};

export interface Sides {
  readonly are: 'hosts' | 'components';
  readonly left: readonly string[];
  readonly right: readonly string[];
}

/** Throws UserError (exit code 2) when both are not of a kind, or share something. */
export function sidesOf({ hosts }: Pick<ClusterAccess, 'hosts'>, left: string, right: string): Sides {
  const [lefts, rights] = [left.split(','), right.split(',')];
  const areHosts = [...lefts, ...rights].map((name) => hosts.some((host) => host.name === name));
  if (areHosts.every((each) => each)) {
    const both = lefts.find((name) => rights.includes(name));
    if (both !== undefined) throw new UserError(`${both} is on both sides`, 2);
    return { are: 'hosts', left: lefts, right: rights };
  }
  if (areHosts.some((each) => each)) throw new UserError('both sides have to be hosts, or both components (such as kubelet@w1-k8s)', 2);
  return { are: 'components', left: lefts, right: rights };
}

async function hostTables(cluster: ClusterAccess, left: readonly string[], right: readonly string[], isOneWay: boolean): Promise<HostTable[]> {
  const [lefts, rights] = await Promise.all([left, right].map((names) => Promise.all(names.map((name) => wireNameOf(cluster, name)))));
  return [...right.map((host) => ({ host, rules: deafTo(lefts ?? []) })), ...(isOneWay ? [] : left.map((host) => ({ host, rules: deafTo(rights ?? []) })))];
}

/** Throws UserError when nothing connects the two, or their connections cannot be told from others. */
export async function linksOf(cluster: ClusterAccess, left: readonly string[], right: readonly string[], isOneWay: boolean): Promise<Link[]> {
  await requireGroups(cluster);
  const places = async (selectors: readonly string[]) => (await Promise.all(selectors.map((selector) => placesOf(cluster, selector)))).flat();
  const [lefts, rights] = [await places(left), await places(right)];
  const links = await Promise.all(linksBetween(lefts, rights, isOneWay).flatMap((link) => throughBalancer(cluster, link)).map(async (link) => ({ ...link, connections: await connectionsNow(cluster, link) })));
  if (links.length === 0) throw new UserError(`${left.join()} and ${right.join()} do not connect to each other`);
  return links;
}

/** In containers the processes of the control plane are not seen from their host: there the first answer may still arrive. */
async function connectionsNow(cluster: ClusterAccess, link: Link): Promise<Connection[]> {
  if (link.client.isOwnNetwork) return [];
  const { code, stdout, stderr } = await cluster.inNetworkOf(link.client.host, ['ss', '-tnpH', 'state', 'established']);
  if (code !== 0 && isWithoutNetwork({ stderr })) return [];
  if (code !== 0) throw new UserError(`ss on ${link.client.host}: ${stderr.trim()}`);
  return connectionsOf(link, stdout);
}

/** With several masters many ask whichever API server their host's balancer chooses: those can only be cut off from all. */
function throughBalancer({ hosts }: ClusterAccess, link: Link): Link[] {
  const masters = mastersOf(hosts);
  const [apiServers, others] = [link.servers.filter(({ component }) => component.name === 'apiserver'), link.servers.filter(({ component }) => component.name !== 'apiserver')];
  if (masters.length === 1 || apiServers.length === 0) return [link];
  if (!usesBalancer(link.client, hosts)) {
    // On a master, what has no group is the balancer as well: of the kubelet only its own API server is known.
    const known = link.client.component.name === 'kubelet' ? apiServers.filter(({ host }) => host === link.client.host) : apiServers;
    return known.length + others.length === 0 ? [] : [{ ...link, servers: [...known, ...others] }];
  }
  if (apiServers.length < masters.length) {
    throw new UserError(`${link.client.component.name}@${link.client.host} asks whichever API server the balancer of its host chooses: cut it off from all of them (apiserver), or the hosts from each other`);
  }
  return [{ ...link, servers: others, viaBalancer: true }];
}

/** Rootless, with one user and group for the whole cluster, the processes cannot be told from each other. */
async function requireGroups(cluster: ClusterAccess): Promise<void> {
  const { code, stdout, stderr } = await cluster.inNetworkOf(mastersOf(cluster.hosts)[0]?.name ?? '', ['cat', '/proc/1/gid_map']);
  if (code !== 0) throw new UserError(stderr.trim());
  if (groupCount(stdout) < GROUPS_NEEDED) {
    throw new UserError('the connections of components cannot be told from each other here: the cluster has a single group (rootless without /etc/subgid). Hosts can be cut off from each other: kubreak partition w1-k8s m-k8s');
  }
}

/** All the components' groups are below. */
const GROUPS_NEEDED = 61_100;

export const groupCount = (gidMap: string): number => gidMap.trim().split('\n').reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2] ?? 0), 0);

export function componentTables(links: readonly Link[], what: string): { tables: HostTable[] } {
  const hosts = [...new Set(links.map(({ client }) => client.host))];
  return { tables: hosts.map((host) => ({ host, ...(hosts.length > 1 && { isAside: true as const }), rules: cutRules(links.filter(({ client }) => client.host === host).map((link) => ({ link, what }))) })) };
}

function noteOf(links: readonly Link[]): { note?: string } {
  const hosts = [...new Set(links.filter(({ client }) => client.component.name === 'kubelet').map(({ client }) => client.host))];
  return hosts.length === 0 ? {} : { note: `on ${hosts.join(', ')} also what else root runs on the host itself, such as a kubectl there` };
}
