// Helpers on hosts (../helper): started in the host's own process namespace, so that they end with its boot and with the cluster.
import type { ClusterAccess, CommandResult } from '../../access/cluster-access.ts';
import { UserError } from '../../user-error.ts';
import type { HelperSpec } from '../helper/spec.ts';
import { isWithoutNetwork } from './nft-tables.ts';

export interface HostHelper {
  readonly host: string;
  readonly spec: HelperSpec;
}

export interface HelpersPlan {
  readonly id: string;
  readonly helpers: readonly HostHelper[];
}

const PROGRAM = '/opt/kubreak/dist/fault-helper.js';
/** There on each host that has booted: no folder of their own is left when they have ended. */
const FOLDER = '/run/kubreak';

/** $1 id, $2 spec: ends when the helper is at work, or with its complaint when it is not. */
const START = `mkdir -p ${FOLDER} && cd ${FOLDER} && rm -f fault-$1.ready || exit 1
setsid node --max-semi-space-size=1 ${PROGRAM} "$1" "$2" ${FOLDER}/fault-$1.ready </dev/null >fault-$1.log 2>&1 & pid=$!
while [ ! -e fault-$1.ready ]; do
  kill -0 $pid 2>/dev/null || { cat fault-$1.log >&2; exit 1; }
  sleep 0.05
done`;
/** The brackets keep the pattern from meaning the shell that has it in its own words. */
const pattern = (id: string): string => `[f]ault-helper.js ${id} `;
/** Of the shell that starts it: when kubreak is killed meanwhile, that goes on. */
const startPattern = (id: string): string => `^sh -c [m]kdir -p ${FOLDER} .* sh ${id} `;
/** $1 and $2 patterns, $3 id. The shell first, for it makes the other. */
const END = `while pkill -KILL -f "$1" || pkill -KILL -f "$2"; do sleep 0.05; done; rm -f ${FOLDER}/fault-$3.ready ${FOLDER}/fault-$3.log`;

export async function startHelpers(cluster: ClusterAccess, { id, helpers }: HelpersPlan): Promise<void> {
  const started = await Promise.allSettled(helpers.map(async ({ host, spec }) => {
    const { code, stderr } = await cluster.onHost(host, ['sh', '-c', START, 'sh', id, JSON.stringify(spec)]);
    if (code !== 0) throw new UserError(`${host}: ${stderr.trim() || `exit code ${code}`}`);
  }));
  // Not before all have had their try: the others would go on while they are undone.
  for (const each of started) if (each.status === 'rejected') throw each.reason;
}

export async function endHelpers(cluster: ClusterAccess, { id, helpers }: HelpersPlan): Promise<void> {
  await Promise.all(helpers.filter(({ host }) => cluster.hosts.some(({ name }) => name === host)).map(async ({ host }) => {
    const result = await onHostIfUp(cluster, host, ['sh', '-c', END, 'sh', startPattern(id), pattern(id), id]);
    if (result && result.code !== 0) throw new UserError(`${host}: ${result.stderr.trim() || `exit code ${result.code}`}`);
  }));
}

/** Of each, in the order of the plan. */
export function helpersAreThere(cluster: ClusterAccess, { id, helpers }: HelpersPlan): Promise<boolean[]> {
  return Promise.all(helpers.map(async ({ host }) => (await onHostIfUp(cluster, host, ['pgrep', '-f', pattern(id)]))?.code === 0));
}

/** Undefined: it is off, or its container has ended; no process is left of it. */
async function onHostIfUp(cluster: ClusterAccess, host: string, words: readonly string[]): Promise<CommandResult | undefined> {
  if (cluster.mode === 'local' && !(await cluster.isUp(host))) return undefined;
  const result = await cluster.onHost(host, words);
  return result.code !== 0 && isWithoutNetwork(result) ? undefined : result;
}
