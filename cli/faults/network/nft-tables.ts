// What network faults are made of: nft tables in the networks of hosts, called after the fault. They outlive boots of the host
// (services/node leaves them alone) and replacing of its device, and go with the host's network.
import type { ClusterAccess, CommandResult } from '../../access/cluster-access.ts';
import { UserError } from '../../user-error.ts';
import type { InForce } from '../fault.ts';

export interface HostTable {
  readonly host: string;
  /** What stands between the braces of the table. */
  readonly rules: string;
  /** Not one that was named: when it has no network at the moment, it does without. */
  readonly isAside?: true;
}

export interface TablesPlan {
  /** Of the family inet. */
  readonly table: string;
  readonly tables: readonly HostTable[];
}

export const tableOf = (id: string): string => `kubreak-${id}`;
/** Of a helper, which nobody else can change. */
export const helperTableOf = (id: string): string => `${tableOf(id)}-helper`;

/** In one transaction, in place of one that may be there already. */
export const tableScript = (table: string, rules: string): string => `table inet ${table} {}
delete table inet ${table}
table inet ${table} {
${rules}
}
`;

/** Ends well when it is not there, too. */
const REMOVE = 'nft delete table inet "$1" 2>/dev/null || ! nft list tables | grep -qxF "table inet $1"';
const IS_THERE = 'nft list tables | grep -qxF "table inet $1"';

export async function putTables(cluster: ClusterAccess, { table, tables }: TablesPlan): Promise<void> {
  for (const { host, rules, isAside } of tables) {
    const result = await cluster.inNetworkOf(host, ['nft', '-f', '-'], { input: tableScript(table, rules) });
    const { code, stderr } = result;
    if (code !== 0 && !(isAside && isWithoutNetwork(result))) throw new UserError(`nft on ${host}: ${stderr.trim()}`);
  }
}

/** Tries every host before it throws. */
export async function removeTables(cluster: ClusterAccess, { table, tables }: TablesPlan): Promise<void> {
  const problems: string[] = [];
  for (const { host } of tables) {
    if (!cluster.hosts.some(({ name }) => name === host)) continue; // it has left the cluster, with its network
    const result = await cluster.inNetworkOf(host, ['sh', '-c', REMOVE, 'sh', table]);
    if (result.code !== 0 && !isWithoutNetwork(result)) problems.push(`${host}: ${result.stderr.trim() || `exit code ${result.code}`}`);
  }
  if (problems.length > 0) throw new UserError(`nft table ${table} is still there on ${problems.join('; ')}`);
}

/** Of those aside one is enough, when there are no others. In part: some are with a network that is no more. */
export async function tablesAreThere(cluster: ClusterAccess, { table, tables }: TablesPlan): Promise<InForce> {
  const find = (those: readonly HostTable[]): Promise<boolean[]> => Promise.all(those.map(async ({ host }) => {
    const result = await cluster.inNetworkOf(host, ['sh', '-c', IS_THERE, 'sh', table]);
    if (result.code !== 0 && result.stderr.trim() !== '' && !isWithoutNetwork(result)) throw new UserError(`${host}: ${result.stderr.trim()}`);
    return result.code === 0;
  }));
  const named = await find(tables.filter(({ isAside }) => !isAside));
  if (tables.length === 0 || named.length > 0 && named.every((each) => each)) return true;
  const aside = await find(tables.filter(({ isAside }) => isAside));
  if (named.length === 0) return aside.some((each) => each);
  return [...named, ...aside].some((each) => each) && 'in part';
}

/** A container that has ended takes its network and its processes along. */
export const isWithoutNetwork = ({ stderr }: Pick<CommandResult, 'stderr'>): boolean => /is not running|No such container/.test(stderr);
