// cpu HOST --limit CPUS and memory HOST --limit BYTES: everything on the host together gets no more of the machine.
import { parseQuantity, QuantityError, type Quantity } from '#lib/machinery/quantity.ts';
import type { Limited } from '../local/host-limits.ts';
import { UserError } from '../user-error.ts';
import type { FaultKind, FaultWords } from './fault.ts';
import { hasHost, requireHost, requireNoOther } from './one-at-a-time.ts';

interface LimitPlan {
  readonly host: string;
  /** CPUs or bytes. */
  readonly amount: number;
  /** Absent: there was no limit. */
  readonly before?: number;
}

const NANOS = 1e9;
/** Of what is read back: quotas are whole microseconds, memory is in pages. */
const TOLERANCE = 0.01;

/** Throws UserError (exit code 2) for words that are no such command. */
export function parseLimit({ args, options }: FaultWords, resource: Limited): { host: string; amount: number } {
  const [host, ...more] = args;
  const { limit } = options;
  const examples = resource === 'cpu' ? '0.2 or 200m' : '512Mi or 1Gi';
  if (host === undefined || more.length > 0) throw new UserError(`${resource} takes a host`, 2);
  if (typeof limit !== 'string') throw new UserError(`${resource} needs --limit, such as ${examples}`, 2);
  const wrong = new UserError(`--limit must be a quantity above 0 such as ${examples}, not "${limit}"`, 2);
  let quantity: Quantity;
  try {
    quantity = parseQuantity(limit);
  } catch (error) {
    if (error instanceof QuantityError) throw wrong;
    throw error;
  }
  const amount = Number(quantity.nanos) / NANOS;
  if (amount <= 0) throw wrong;
  return { host, amount: resource === 'cpu' ? amount : Math.round(amount) };
}

const limitFault = (resource: Limited, description: string, example: string): FaultKind<LimitPlan> => ({
  name: resource,
  description,
  arguments: '<host>',
  options: [{ flags: '--limit <quantity>', description: `such as ${example}` }],
  async plan(cluster, words) {
    const { host, amount } = parseLimit(words, resource);
    requireHost(cluster, host);
    requireNoOther<LimitPlan>(cluster, resource, (other) => other.host === host);
    const before = await cluster.limitOf(host, resource);
    return { host, amount, ...(before !== undefined && { before }) };
  },
  apply: (cluster, { host, amount }) => cluster.setLimit(host, resource, amount),
  async undo(cluster, { host, before }) {
    if (hasHost(cluster, host)) await cluster.setLimit(host, resource, before);
  },
  async isInForce(cluster, { host, amount }) {
    if (!hasHost(cluster, host)) return false;
    const now = await cluster.limitOf(host, resource);
    return now !== undefined && Math.abs(now - amount) <= amount * TOLERANCE + (resource === 'memory' ? 4096 : 0);
  },
});

export const cpuFault = limitFault('cpu', 'give everything on a host together no more CPU than this', '0.2');
export const memoryFault = limitFault('memory', 'give everything on a host together no more memory than this: beyond it the kernel kills', '512Mi');
